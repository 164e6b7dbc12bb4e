#include "model/ops.h"
#include <string.h>

static void add_tap(ef_pass *s, const ef_taps *taps, size_t layer) {
  if (taps && taps->at[layer]) s->k->add(s->B * s->T * s->dims.D, taps->at[layer], s->scratch.dx);
}

static void final_norm_backward(ef_pass *s, const ef_blocks *blocks, const float *dfinal) {
  memset(s->scratch.dx, 0, s->B * s->T * s->dims.D * sizeof(float));
  ef_norm_backward(s, ef_weight(&s->at, blocks->params, -1, EF_T_FINAL_NORM_W), dfinal,
                   s->layers[s->dims.L - 1].next, s->final_mean, s->final_rstd, s->scratch.dx,
                   ef_gradient(&s->at, blocks->grads, -1, EF_T_FINAL_NORM_W),
                   ef_gradient(&s->at, blocks->grads, -1, EF_T_FINAL_NORM_B));
}

ef_status ef_backward(ef_pass *s, const ef_model *model, float *dfinal, const ef_taps *taps, float aux_scale,
                      float *grads) {
  const ef_blocks blocks = {.params = model->params, .grads = grads};
  EF_TRY(EF_CHECK(s->kind == EF_PASS_TRAIN, EF_FAULT, "backward of a pass that is not for training"));
  s->local.model = model;
  s->local.grads = grads;
  final_norm_backward(s, &blocks, dfinal);
  add_tap(s, taps, s->dims.L);
  for (size_t l = s->dims.L; l-- > 0;) {
    if (ef_dims_is_moe(&s->dims, l)) {
      EF_TRY(ef_moe_backward(s, &blocks, l, aux_scale));
    } else {
      ef_ffn_backward(s, &blocks, l);
    }
    ef_attention_backward(s, &blocks, l);
    add_tap(s, taps, l);
  }
  ef_embed_backward(s, &blocks);
  return EF_OK;
}
