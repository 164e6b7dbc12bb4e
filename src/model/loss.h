/* The output head and its losses, in blocks of rows: the (B*T,V) logits never exist at once.
 *
 * L = ce_scale * sum CE + kl_scale * sum KL over the counted rows (deepfusion.md 6.3); means come from the
 * scales (1 / number of counted tokens of the whole batch). OFA-KD may stand in the place of KL (kernels.h).
 */
#pragma once

#include "model/model.h"

/* Largest number of teacher logits kept per row; a larger top_k means the full distribution. */
enum { EF_TOP_K_MAX = 1024 };

/* Source of teacher logits: writes (rows,V) for rows [row, row+rows) of the same batch. `student` (rows,V)
 * are the logits that they will be compared with: a teacher that is known in part takes the rest from there.
 */
typedef struct ef_teacher {
  void *ctx;
  void (*logits)(void *ctx, size_t row, size_t rows, const float *student, float *out);
} ef_teacher;

typedef struct ef_loss_spec {
  const int32_t *targets;    /* (R) label of each row, already shifted; EF_IGNORE is not counted */
  float ce_scale, kl_scale;  /* scale of the summed losses in the gradient */
  float tau;                 /* temperature of the KL term */
  size_t top_k;              /* 0: full distribution of the teacher; else its top_k logits only */
  const ef_teacher *teacher; /* NULL: no KL term */
  bool ofa;                  /* OFA-KD instead of KL, with this exponent; top_k does not count */
  float epsilon;
  uint8_t *row_hits;     /* (R) or NULL: filled with 1 for a counted row whose arg max is the target */
  const int32_t *labels; /* (R) targets of the CE where they differ: EF_IGNORE leaves it out; NULL: targets */
} ef_loss_spec;

typedef struct ef_loss_sums {
  double ce, kl;       /* sums over the counted rows, unscaled; kl holds OFA-KD where that is asked for */
  size_t tokens, hits; /* counted rows; those whose arg max is the target */
} ef_loss_sums;

/* Losses of the last forward of `pass`, R = B*T rows. With grads != NULL also the head's gradient (grads +=)
 * and dfinal (R,D), overwritten, for ef_backward. row_losses (R) or NULL: the CE of each row. Adds into
 * `sums`. Local. */
void ef_loss(ef_pass *pass, const ef_model *model, const ef_loss_spec *spec, float *grads, float *dfinal,
             float *row_losses, ef_loss_sums *sums);

/* Targets of next-token prediction from unshifted labels (B,T), as Hugging Face: targets[b,t] =
 * labels[b,t+1], EF_IGNORE in the last column. Local. */
void ef_shift_labels(size_t B, size_t T, const int32_t *labels, int32_t *targets);
