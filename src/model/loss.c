#include "model/loss.h"

#include "model/head.h"
#include "model/pass_internal.h"

void ef_logits(ef_pass *s, const ef_model *model, size_t row, size_t rows, float *logits) {
  ef_head_logits(s, model, s->final + row * s->dims.D, rows, logits);
}

void ef_loss(ef_pass *s, const ef_model *model, const ef_loss_spec *spec, float *grads, float *dfinal,
             float *row_losses, ef_loss_sums *sums) {
  ef_head_loss(s, model, spec, s->final, grads, dfinal, row_losses, sums);
}

void ef_shift_labels(size_t B, size_t T, const int32_t *labels, int32_t *targets) {
  for (size_t b = 0; b < B; b++) {
    for (size_t t = 0; t < T; t++) {
      targets[b * T + t] = t + 1 < T ? labels[b * T + t + 1] : EF_IGNORE;
    }
  }
}
