/* The local model of FedJETS (Dun et al. 2023, as used in deepfusion.md section 7): the global MoE with the
 * `held` experts of each layer that weigh most on a device's own text, and the whole router.
 *
 * Which weigh most is asked of a pretrained common expert, a dense model that every device got once: its
 * hidden states go through the routers of the global model. The local model numbers its experts anew: its
 * expert j of an MoE layer is expert order[j] of the global one, for the rows of the router too.
 * Probabilities are those of all E experts, so routed outputs have the scale of the global model; only held
 * experts are chosen (dims.held).
 *
 * Its auxiliary loss counts no choice of the others, so it favours their rows of the router a little; pooled
 * over the layers (Qwen) it also pools by the new numbers, not the global ones.
 */
#pragma once

#include "model/model.h"
#include "text/tokens.h"

/* mass (MoE layers,E): sum over the tokens of up to `most` evenly spread windows of T tokens of `stream` of
 * softmax(router_l h_l), where h_l is the normed input of the FFN of layer l in `common`, a dense model of
 * the width, depth and vocabulary of `global`, and router_l (E,D) that of `global`. Padding of the last
 * window is not counted. EF_INPUT if there is no window (a text of fewer than 2 tokens, or most = 0),
 * EF_MACHINE. Local.
 */
ef_status ef_gate_mass(const ef_kernels *kernels, const ef_model *common, const ef_model *global,
                       const ef_stream *stream, size_t T, size_t most, double *mass);

/* order (E) of one layer from its masses (E): the `held` experts of largest mass, ascending by number, then
 * the others, ascending; of equal masses the lower number counts as larger. 0 < held <= E. EF_MACHINE.
 * Local. */
ef_status ef_experts_order(const double *mass, size_t E, size_t held, int32_t *order);

/* Dims of a local model with `held` experts of each layer; held = E: those of the global model. EF_INPUT
 * unless K <= held <= E. Local. */
ef_status ef_pruned_dims(const ef_dims *global, size_t held, ef_dims *local);

/* Fills `local`, made with ef_pruned_dims of the global model's: shared tensors are copied, rows of the
 * routers stand in `order` (MoE layers,E), experts are order[0..held) of each layer. Local. */
void ef_pruned_take(const ef_model *global, const int32_t *order, ef_model *local);

/* Numbers of a local model on the wire, from the dims alone (deepfusion.md section 7, M_loc): all that is not
 * a routed expert, the whole router D*E of every MoE layer included, and held * 3*D*Fe for each of them. For
 * families with experts, 0 < held <= E; held = E: the whole model. Pure. */
uint64_t ef_pruned_numbers(const ef_dims *global, size_t held);
