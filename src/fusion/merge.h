/* Phase III, first half: K dense bases become one Mixture-of-Experts (DeepFusion Eqs. 12 and 13; deepfusion.md
 * section 5, "K against E" and "Merge").
 *
 * A SwiGLU FFN is a sum over hidden units, so the FFN of base i is cut exactly into g = E/K experts: expert i*g+j takes the
 * rows [j*Fe, (j+1)*Fe) of gate and up and the same columns of down. Everything else is the mean over the bases.
 */
#pragma once

#include "kernels/kernels.h"
#include "model/model.h"

/* Dims of a base: the dense model with the MoE's width, layers, heads, vocabulary, norms and biases, and FFN width
 * g*Fe (DeepSeek's first dense layers keep their own width). EF_DECK if E is not a multiple of K. Local. */
ef_status ef_base_dims(const ef_dims *global, size_t clusters, ef_dims *base);

/* Merges bases[0..K) into `moe` (all experts held, created by the caller). Routers are left untouched; Qwen's shared gate
 * vector becomes 0 (a gate of 1/2). The shared expert is the mean of the K FFNs, its Fs units with the largest
 * |w_up|*|w_down| of the mean when Fs < g*Fe (in their order); all units when equal. EF_DECK if Fs > g*Fe. Local. */
ef_status ef_merge(const ef_model *bases, size_t K, ef_model *moe);

/* Router rows from N(0, 0.02^2), stream (seed, EF_RNG_ROUTER, layer, 0). Local. */
void ef_router_normal(ef_model *moe, uint64_t seed);

/* Domain prior: the g rows of base i point along mu_i - mean(mu) (unit vectors), mu (K,D) the mean router input of one
 * layer over samples of cluster i; their common length kappa is the least for which the top-K mass, averaged over the
 * K means, is at least 0.9 (bisection). Local. */
void ef_router_prior(ef_model *moe, size_t layer, size_t K, const float *mu);

/* Multiplies the routed down matrices of one layer by the scalar that best reproduces (least squares) the bases' FFN
 * outputs: routed, shared, wanted are (rows,D), the merged block's routed part, its shared part and FFN_i(x). Returns the
 * scalar; 1 if routed is zero. Local. */
float ef_routed_scale(ef_model *moe, size_t layer, size_t rows, const float *routed, const float *shared,
                      const float *wanted);
