/* Causal attention, forward: blockwise with a running softmax (Milakov and Gimelshein 2018; Dao et al. 2022,
 * FlashAttention, algorithm 1). */
#include "attention_block.h"
#include "ops.h"
#include "softmax.h"

#include <math.h>

/* Scores, and for the backward their gradients; keys, and for the backward values, transposed. */
size_t ef_blas_attention_workspace(const ef_attention *a) {
  return 2 * ((size_t)EF_SCORES + ef_packed_size(a->Tk, a->h));
}

void ef_block_scores(const ef_block *s, const float *q, const float *packed, float *S) {
  const ef_attention *a = s->a;
  ef_packed_product(s->rows, s->width, a->h, a->scale, q + ef_query_offset(s), a->q_row,
                    ef_packed_at(s, packed), S, EF_KEY_BLOCK);
  if (!a->slopes) return;
  const float slope = a->slopes[s->head], first = (float)s->k0;
  for (size_t i = 0; i < s->rows; i++) {
    float *row = S + i * EF_KEY_BLOCK;
#pragma omp simd
    for (size_t j = 0; j < s->width; j++) row[j] = EF_FMA(slope, first + (float)(int32_t)j, row[j]);
  }
}

/* Turns scores of the block into exp(score - top), raising the rows' running maxima `top` and sums `sum`;
 * rows of out that earlier key blocks have filled are scaled to the new maximum. */
static void running_softmax(const ef_block *s, float *S, float *top, float *sum, float *out) {
  const size_t stride = s->a->H * s->a->h;
  for (size_t i = 0; i < s->rows; i++) {
    float *row = S + i * EF_KEY_BLOCK;
    const size_t n = ef_mask_row(ef_visible(s, i), s->width, row);
    if (n == 0) continue;
    float block_top = ef_max(n, row);
    if (s->k0 == 0) {
      top[i] = block_top;
      sum[i] = 0.0f;
    } else if (block_top > top[i]) {
      float shrink = ef_exp_softmax(top[i] - block_top);
      top[i] = block_top;
      sum[i] *= shrink;
      ef_blas_scale(s->a->h, shrink, out + i * stride);
    }
    ef_exp_row(n, row, top[i], 1.0f, row);
    sum[i] += ef_sum(n, row);
  }
}

/* One block of queries of one head, over all keys it sees; v points to the first value of the head. */
static void attend(ef_block s, const float *q, const float *packed, const float *v, float *out, float *lse,
                   float *S) {
  const size_t h = s.a->h, stride = s.a->H * h, seen = ef_keys_seen(&s);
  float top[EF_QUERY_BLOCK] = {0}, sum[EF_QUERY_BLOCK] = {0};
  out += ef_out_offset(&s);
  lse += ef_lse_offset(&s);
  for (s.k0 = 0; s.k0 < seen; s.k0 += EF_KEY_BLOCK) {
    s.width = ef_min_size(EF_KEY_BLOCK, seen - s.k0);
    ef_block_scores(&s, q, packed, S);
    running_softmax(&s, S, top, sum, out);
    ef_tile_product(s.rows, h, s.width, 1.0f, S, EF_KEY_BLOCK, 1, v + s.k0 * s.a->k_row, s.a->k_row, s.k0 > 0,
                    out, stride);
  }
  for (size_t i = 0; i < s.rows; i++) {
    ef_blas_scale(h, 1.0f / sum[i], out + i * stride);
    lse[i] = top[i] + logf(sum[i]);
  }
}

void ef_blas_attention(const ef_attention *a, const float *q, const float *k, const float *v, float *out,
                       float *lse, float *work) {
  float *packed = work + EF_SCORES;
  for (size_t b = 0; b < a->B; b++)
    for (size_t head = 0; head < a->H; head++) {
      const size_t group = a->H / a->G, key = ef_key_offset(a, b, head / group);
      if (head % group == 0) ef_pack_transpose(a->Tk, a->h, k + key, a->k_row, packed);
      for (size_t q0 = 0; q0 < a->Tq; q0 += EF_QUERY_BLOCK) {
        ef_block s = {
            .a = a, .b = b, .head = head, .q0 = q0, .rows = ef_min_size(EF_QUERY_BLOCK, a->Tq - q0)};
        attend(s, q, packed, v + key, out, lse, work);
      }
    }
}
