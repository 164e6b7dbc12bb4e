/* Phase III, first half: K dense bases become one Mixture-of-Experts (DeepFusion Eqs. 12 and 13;
 * deepfusion.md section 5, "K against E" and "Merge").
 *
 * A SwiGLU FFN is a sum over hidden units, so the FFN of base i is cut exactly into g = E/K experts: expert
 * i*g+j takes the rows [j*Fe, (j+1)*Fe) of gate and up and the same columns of down. Everything else is the
 * mean over the bases.
 */
#pragma once

#include "kernels/kernels.h"
#include "model/model.h"

/* Dims of a base: the dense model with the MoE's width, layers, heads, vocabulary, norms and biases, and FFN
 * width g*Fe; DeepSeek's first dense layers keep their own width (dims.first, dims.F_first). qwen2_moe has
 * bases of family qwen2, deepseek_moe of family llama; no base has early exits. EF_DECK if `global` has no
 * experts, E is not a multiple of `clusters`, or a dense layer of another width than g*Fe stands behind a
 * layer with experts. Local. */
ef_status ef_base_dims(const ef_dims *global, size_t clusters, ef_dims *base);

/* Merges bases[0..K), of dims ef_base_dims(moe->dims, K), into `moe` (all experts held, created by the
 * caller). Means are taken in double. Routers are left untouched; the norms of early exits become 1, their
 * biases 0; Qwen's shared gate vector becomes 0 (a gate of 1/2). The shared expert is the mean of the K FFNs:
 * its Fs units with the largest |w_up|*|w_down| of the mean (ties: the lower), in their order. EF_DECK if Fs
 * > g*Fe, EF_FAULT if a base has other dims, EF_MACHINE. Local. */
ef_status ef_merge(const ef_model *bases, size_t K, ef_model *moe);

/* Router rows of every MoE layer from N(0, 0.02^2), stream (seed, EF_RNG_ROUTER, layer, 0). Local. */
void ef_router_normal(ef_model *moe, uint64_t seed);

/* Domain prior: the g rows of base i are kappa * (mu_i - mean(mu)) / |mu_i - mean(mu)|, mu (K,D) the mean
 * router input of one layer over samples of cluster i. kappa is the least length for which the probability of
 * the chosen experts (dims.K largest), averaged over the K means, is at least 0.9 of what it tends to for
 * kappa -> infinity: of 1, unless g > dims.K or means coincide. Zero rows where mu_i is the mean. EF_MACHINE.
 * Local. */
ef_status ef_router_prior(ef_model *moe, size_t layer, size_t K, const float *mu);

/* Multiplies the routed down matrices of one layer by the scalar a that best reproduces the bases' FFN
 * outputs: minimal |a*routed + shared - wanted|^2, a = <routed, wanted - shared> / <routed, routed>. routed,
 * shared, wanted are (rows,D): the merged block's routed part, its shared part and FFN_i(x). Returns a; 1 if
 * routed is zero. Local. */
float ef_routed_scale(ef_model *moe, size_t layer, size_t rows, const float *routed, const float *shared,
                      const float *wanted);
