#include "model/ops.h"
#include <string.h>

void ef_carry(const ef_pass *s, const float *x, float *y) {
  if (x != y) memcpy(y, x, s->B * s->T * s->dims.D * sizeof *y);
}

static ef_status begin(ef_pass *s, const int32_t *ids, size_t B, size_t T) {
  EF_TRY(EF_CHECK(B > 0 && T > 0 && B <= s->max_B && T <= s->max_T - s->cached, EF_FAULT,
                  "a batch of (%zu,%zu) behind %zu cached tokens in a pass for (%zu,%zu)", B, T, s->cached,
                  s->max_B, s->max_T));
  s->B = B;
  s->T = T;
  s->last_moe = SIZE_MAX;
  memcpy(s->ids, ids, B * T * sizeof *ids);
  for (size_t r = 0; r < B * T; r++) s->positions[r] = (int32_t)(s->cached + r % T);
  ef_aux_begin(s);
  return EF_OK;
}

ef_status ef_forward(ef_pass *s, const ef_model *model, const int32_t *ids, size_t B, size_t T) {
  const float *params = model->params;
  EF_TRY(begin(s, ids, B, T));
  s->local.model = model;
  ef_embed_forward(s, params);
  for (size_t l = 0; l < s->dims.L; l++) {
    ef_attention_forward(s, params, l);
    if (ef_dims_is_moe(&s->dims, l)) {
      EF_TRY(ef_moe_forward(s, params, l));
    } else {
      ef_ffn_forward(s, params, l);
    }
  }
  ef_norm_forward(s, ef_weight(&s->at, params, -1, EF_T_FINAL_NORM_W),
                  ef_weight(&s->at, params, -1, EF_T_FINAL_NORM_B), s->layers[s->dims.L - 1].next, s->final,
                  s->final_mean, s->final_rstd);
  ef_aux_finish(s);
  if (s->kind == EF_PASS_CACHE) s->cached += T;
  return EF_OK;
}
