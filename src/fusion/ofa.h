/* OFA-KD as the loss of phase II (Hao et al., One-for-All, NeurIPS 2023, arXiv 2310.19444, with a projector
 * for text): ablation A5 of deepfusion.md section 6.4, and the method ofakd.
 *
 * Features of unlike architectures are compared where they mean the same, as logits. Stage j = 1 .. J of the
 * student, F_j = its residual stream behind block ceil(j L / J), has a branch
 *
 *   z_j = Head(gelu(LN_j(F_j) W_j^T + b_j))        LN_j with weight and bias (eps 1e-5), W_j (D,D), b_j (D)
 *
 * with the student's own output matrix as Head, whose gradient flows into the student. The branch of the last
 * stage is one beside the final logits, as in the authors' code. With p = softmax(. / tau), z^T the final
 * logits of the teacher, y one-hot,
 *
 *   L_j = tau^2 mean over counted tokens of  -sum_v ((p^T_v + y_v)^epsilon - y_v) log p^S_v(z_j)
 *
 * with the factor tau^2 of the KL loss (theirs has none; at tau = 1 they are one). epsilon 1: cross-entropy
 * against the teacher's soft labels. Branches live in one block, trained beside the student at fusion.vaa_lr
 * times its rate and thrown away after phase II. The final logits have the same loss (model/loss.h:
 * ef_loss_spec.ofa).
 */
#pragma once

#include "fusion/comparison.h"

typedef struct ef_ofa_shape {
  size_t width, J; /* D of the student, stages */
  float epsilon, tau;
} ef_ofa_shape;

typedef struct ef_ofa ef_ofa; /* opaque */

/* For batches of `rows` = B*T tokens. EF_DECK if a size is 0. EF_MACHINE. Local. */
ef_status ef_ofa_create(const ef_ofa_shape *shape, const ef_kernels *kernels, size_t rows, ef_ofa **ofa);
void ef_ofa_free(ef_ofa *ofa);                               /* NULL is accepted */
size_t ef_ofa_bytes(const ef_ofa_shape *shape, size_t rows); /* what ef_ofa_create takes */

size_t ef_ofa_params(const ef_ofa_shape *shape); /* floats of the block: J (D^2 + 3 D) */
float *ef_ofa_block(ef_ofa *ofa);                /* norm weight, norm bias, W_1, b_1, ...; owned by the ofa */

/* W_j ~ N(0, 1/D) from the stream (seed, EF_RNG_INIT, unit, j), norms 1, biases 0. Local. */
void ef_ofa_init(ef_ofa *ofa, uint64_t seed, uint64_t unit);

/* The mean of L_j over the J branches; with gradients wanted, those of scale * sum_j L_j: of the branches
 * into lesson->extra_grads (+=), of the output matrix into lesson->grads (+=), of the stages into dtaps. The
 * pass of the lesson holds the last forward of its model; logits exist in its blocks of rows only. The
 * teacher's stages are not read. Local. */
double ef_ofa_loss(ef_ofa *ofa, const ef_comparison *comparison);
