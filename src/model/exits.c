#include "model/exits.h"

#include "model/head.h"
#include "model/ops.h"

/* The layer in front of the exit: its tensors belong to that layer. */
static int layer_of(const ef_pass *s, size_t exit) { return (int)ef_dims_exit_after(&s->dims, exit) - 1; }

void ef_exit_hidden(ef_pass *s, const ef_model *model, size_t exit) {
  int layer = layer_of(s, exit);
  const float *x = ef_pass_residual(s, (size_t)layer + 1);
  EF_ASSERT(x && exit < ef_dims_exit_count(&s->dims));
  ef_norm_forward(s, ef_weight(&s->at, model->params, layer, EF_T_EXIT_NORM_W),
                  ef_weight(&s->at, model->params, layer, EF_T_EXIT_NORM_B), x, s->exit.hidden, s->exit.mean,
                  s->exit.rstd);
}

const float *ef_exit_final(const ef_pass *s) { return s->exit.hidden; }

void ef_exit_logits(ef_pass *s, const ef_model *model, size_t row, size_t rows, float *logits) {
  ef_head_logits(s, model, s->exit.hidden + row * s->dims.D, rows, logits);
}

void ef_exit_loss(ef_pass *s, const ef_model *model, size_t exit, const ef_loss_spec *spec, float *grads,
                  float *tap, float *row_losses, ef_loss_sums *sums) {
  int layer = layer_of(s, exit);
  ef_exit_hidden(s, model, exit);
  ef_head_loss(s, model, spec, s->exit.hidden, grads, s->exit.dhidden, row_losses, sums);
  if (!grads) return;
  ef_norm_backward(s, ef_weight(&s->at, model->params, layer, EF_T_EXIT_NORM_W), s->exit.dhidden,
                   ef_pass_residual(s, (size_t)layer + 1), s->exit.mean, s->exit.rstd, tap,
                   ef_gradient(&s->at, grads, layer, EF_T_EXIT_NORM_W),
                   ef_gradient(&s->at, grads, layer, EF_T_EXIT_NORM_B));
}
