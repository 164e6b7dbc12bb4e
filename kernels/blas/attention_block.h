/* What the two directions of attention share: the size of a block, and where its parts lie. Private to
 * kernels/blas.
 *
 * A block of queries of one head meets a block of keys; their scores fill a small array that stays in cache,
 * never a (T,T) array. The mask is a staircase, so keys beyond the last query of a block are never touched.
 * Keys (and values, in the backward) are transposed once per key-value head, into panels that the products
 * read in order.
 */
#pragma once

#include "kernels/kernels.h"
#include "tile.h"

enum { EF_QUERY_BLOCK = 32, EF_KEY_BLOCK = 256, EF_SCORES = EF_QUERY_BLOCK * EF_KEY_BLOCK };

/* One head, and in it a block of `rows` queries from `q0` on against `width` keys from `k0` on. */
typedef struct ef_block {
  const ef_attention *a;
  size_t b, head, q0, rows, k0, width;
} ef_block;

static inline size_t ef_min_size(size_t a, size_t b) { return a < b ? a : b; }

/* Offset of the block's first query in q; of its first row in out (B,Tq,H*h); of its first entry in lse
 * (B,H,Tq). */
static inline size_t ef_query_offset(const ef_block *s) {
  return s->b * s->a->q_batch + s->q0 * s->a->q_row + s->head * s->a->q_head;
}
static inline size_t ef_out_offset(const ef_block *s) {
  return ((s->b * s->a->Tq + s->q0) * s->a->H + s->head) * s->a->h;
}
static inline size_t ef_lse_offset(const ef_block *s) {
  return (s->b * s->a->H + s->head) * s->a->Tq + s->q0;
}

/* Offset of key-value head g of sequence b in k and v. */
static inline size_t ef_key_offset(const ef_attention *a, size_t b, size_t g) {
  return b * a->k_batch + g * a->k_head;
}

/* Keys that the block's last query sees, counted from the first key of the sequence. */
static inline size_t ef_keys_seen(const ef_block *s) { return s->a->Tk - s->a->Tq + s->q0 + s->rows; }

/* Keys of this block that query q0 + i sees. */
static inline size_t ef_visible(const ef_block *s, size_t i) {
  size_t seen = s->a->Tk - s->a->Tq + s->q0 + i + 1;
  return seen <= s->k0 ? 0 : ef_min_size(seen - s->k0, s->width);
}

/* Makes entries [n, width) of a row of scores vanish in the softmax: -inf up to a whole vector, so that
 * exponentials have no remainder, and zeros after it. Returns the length of the part before the zeros. A row
 * of scores has room. */
static inline size_t ef_mask_row(size_t n, size_t width, float *row) {
  const size_t end = (n + EF_LANES - 1) / EF_LANES * EF_LANES;
  for (size_t j = n; j < end; j++) row[j] = -__builtin_inff();
  for (size_t j = end; j < width; j++) row[j] = 0.0f;
  return end;
}

/* Start of the panels of key k0 in a packed transpose. */
static inline const float *ef_packed_at(const ef_block *s, const float *packed) {
  return packed + s->k0 * s->a->h;
}

/* S (rows,width; EF_KEY_BLOCK) = scale * q k^T, plus the ALiBi terms; `packed` is k transposed. Masked
 * entries are computed and must not be used. */
void ef_block_scores(const ef_block *s, const float *q, const float *packed, float *S);
