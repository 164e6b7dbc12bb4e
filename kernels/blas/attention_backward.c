/* Causal attention, backward (Dao et al. 2022, FlashAttention, algorithm 4): probabilities are computed anew
 * from the scores and their log-sum-exp. Query heads of a group, and blocks of queries, add into dk and dv in
 * order. */
#include "attention_block.h"
#include "ops.h"
#include "softmax.h"

#include <string.h>

static void zero_rows(size_t rows, size_t width, float *x, size_t stride) {
  for (size_t i = 0; i < rows; i++) memset(x + i * stride, 0, width * sizeof *x);
}

/* S: scores in, probabilities out. dP: gradients of the probabilities in, of the scores out. */
static void softmax_backward(const ef_block *s, const float *lse, const float *delta, float *S, float *dP) {
  for (size_t i = 0; i < s->rows; i++) {
    float *p = S + i * EF_KEY_BLOCK, *d = dP + i * EF_KEY_BLOCK;
    const size_t n = ef_mask_row(ef_visible(s, i), s->width, p);
    const float l = lse[i], mean = delta[i];
#pragma omp simd
    for (size_t j = 0; j < n; j++) {
      float e = ef_exp_softmax(p[j] - l);
      p[j] = e;
      d[j] = e * (d[j] - mean);
    }
    for (size_t j = n; j < s->width; j++) d[j] = 0.0f;
  }
}

/* k, dk and dv point to the first key of the head; keys and values are transposed too. */
typedef struct arrays {
  const float *q, *k, *packed_k, *packed_v, *out, *lse, *dout;
  float *dq, *dk, *dv, *S, *dP;
} arrays;

/* One block of queries of one head, over all keys it sees. */
static void attend_backward(ef_block s, const arrays *x) {
  const ef_attention *a = s.a;
  const size_t h = a->h, stride = a->H * h, seen = ef_keys_seen(&s), at = ef_out_offset(&s);
  const size_t query = ef_query_offset(&s);
  const float *dout = x->dout + at;
  float delta[EF_QUERY_BLOCK];
  for (size_t i = 0; i < s.rows; i++) delta[i] = ef_dot(h, dout + i * stride, x->out + at + i * stride);
  for (s.k0 = 0; s.k0 < seen; s.k0 += EF_KEY_BLOCK) {
    s.width = ef_min_size(EF_KEY_BLOCK, seen - s.k0);
    const size_t key = s.k0 * a->k_row;
    ef_block_scores(&s, x->q, x->packed_k, x->S);
    ef_packed_product(s.rows, s.width, h, 1.0f, dout, stride, ef_packed_at(&s, x->packed_v), x->dP,
                      EF_KEY_BLOCK);
    softmax_backward(&s, x->lse + ef_lse_offset(&s), delta, x->S, x->dP);
    ef_tile_product(s.width, h, s.rows, 1.0f, x->S, 1, EF_KEY_BLOCK, dout, stride, 1, x->dv + key, a->k_row);
    ef_tile_product(s.rows, h, s.width, a->scale, x->dP, EF_KEY_BLOCK, 1, x->k + key, a->k_row, s.k0 > 0,
                    x->dq + query, a->q_row);
    ef_tile_product(s.width, h, s.rows, a->scale, x->dP, 1, EF_KEY_BLOCK, x->q + query, a->q_row, 1,
                    x->dk + key, a->k_row);
  }
}

void ef_blas_attention_backward(const ef_attention *a, const float *q, const float *k, const float *v,
                                const float *out, const float *lse, const float *dout, float *dq, float *dk,
                                float *dv, float *work) {
  float *S = work, *dP = S + EF_SCORES, *packed_k = dP + EF_SCORES;
  float *packed_v = packed_k + ef_packed_size(a->Tk, a->h);
  for (size_t b = 0; b < a->B; b++)
    for (size_t head = 0; head < a->H; head++) {
      const size_t group = a->H / a->G, key = ef_key_offset(a, b, head / group);
      if (head % group == 0) {
        ef_pack_transpose(a->Tk, a->h, k + key, a->k_row, packed_k);
        ef_pack_transpose(a->Tk, a->h, v + key, a->k_row, packed_v);
        zero_rows(a->Tk, a->h, dk + key, a->k_row);
        zero_rows(a->Tk, a->h, dv + key, a->k_row);
      }
      const arrays x = {q, k + key, packed_k, packed_v, out, lse, dout, dq, dk + key, dv + key, S, dP};
      for (size_t q0 = 0; q0 < a->Tq; q0 += EF_QUERY_BLOCK) {
        ef_block s = {
            .a = a, .b = b, .head = head, .q0 = q0, .rows = ef_min_size(EF_QUERY_BLOCK, a->Tq - q0)};
        attend_backward(s, &x);
      }
    }
}
