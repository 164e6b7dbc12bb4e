/* The attention of the blas backend against the reference: lengths around the edges of its blocks of 64
 * queries and 256 keys, a key-value cache, grouped heads, ALiBi, fused rows and saturated scores. */
#include "test_blas.h"

#include <criterion/criterion.h>

typedef struct attention_case {
  size_t B, Tq, Tk, H, G, h;
  int alibi;
  float spread; /* q and k are uniform in [-spread, spread] */
} attention_case;

static const float slopes[] = {0.5f, -0.25f, 0.125f, 0.0625f, 0.0f, 1.0f};

/* q, k and v as columns of fused rows if the lengths agree, else apart with gaps between rows. */
static ef_attention geometry(const attention_case *c, int fused) {
  const size_t q_row = fused ? (c->H + 2 * c->G) * c->h : c->H * c->h + 3,
               k_row = fused ? q_row : c->G * c->h + 5;
  return (ef_attention){.B = c->B,
                        .Tq = c->Tq,
                        .Tk = c->Tk,
                        .H = c->H,
                        .G = c->G,
                        .h = c->h,
                        .q_batch = c->Tq * q_row,
                        .q_row = q_row,
                        .q_head = c->h,
                        .k_batch = c->Tk * k_row,
                        .k_row = k_row,
                        .k_head = c->h,
                        .scale = 0.3f,
                        .slopes = c->alibi ? slopes : NULL};
}

typedef struct result {
  float *out, *lse, *dq, *dk, *dv;
} result;

/* Gaps between rows start at zero, so that whole buffers compare. */
static float *zeros(size_t n) {
  float *x = kt_floats(n);
  for (size_t i = 0; i < n; i++) x[i] = 0.0f;
  return x;
}

static result run(const ef_kernels *k, const ef_attention *a, const float *q, const float *key,
                  const float *v, const float *dout, int fused) {
  const size_t width = a->H * a->h, nq = a->B * a->q_batch, nk = a->B * a->k_batch;
  result r = {.out = kt_floats(a->B * a->Tq * width), .lse = kt_floats(a->B * a->H * a->Tq)};
  r.dq = zeros(nq);
  r.dk = fused ? r.dq + width : zeros(nk);
  r.dv = fused ? r.dk + a->G * a->h : zeros(nk);
  float *work = kt_floats(k->attention_workspace(a));
  k->attention(a, q, key, v, r.out, r.lse, work);
  k->attention_backward(a, q, key, v, r.out, r.lse, dout, r.dq, r.dk, r.dv, work);
  return r;
}

static void compare(const attention_case *c) {
  const int fused = c->Tq == c->Tk;
  const ef_attention a = geometry(c, fused);
  const size_t nq = a.B * a.q_batch, nk = a.B * a.k_batch, n = a.B * a.Tq * a.H * a.h;
  const float *q = kt_input(nq, c->spread), *dout = kt_input(n, 1.0f);
  const float *k = fused ? q + a.H * a.h : kt_input(nk, c->spread);
  const float *v = fused ? k + a.G * a.h : kt_input(nk, 1.0f);
  result got = run(blas(), &a, q, k, v, dout, fused), want = run(ref(), &a, q, k, v, dout, fused);
  blas_match("out", n, got.out, want.out);
  blas_match("lse", a.B * a.H * a.Tq, got.lse, want.lse);
  blas_match("dq", nq, got.dq, want.dq);
  if (!fused) {
    blas_match("dk", nk, got.dk, want.dk);
    blas_match("dv", nk, got.dv, want.dv);
  }
  kt_done();
}

Test(blas_against_ref_attention, lengths_around_block_edges) {
  static const size_t lengths[] = {0, 1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200, 255, 256, 257, 320};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
    compare(&(attention_case){1, lengths[i], lengths[i], 2, 1, 12, 0, 1.0f});
}

Test(blas_against_ref_attention, head_widths) {
  for (size_t h = 1; h <= 129; h += 16) compare(&(attention_case){2, 70, 70, 3, 3, h, 0, 1.0f});
  for (size_t h = 2; h <= 40; h++)
    compare(&(attention_case){1, 9, 9, 2, 1, h, 0, 1.0f}); /* every part of a vector */
  compare(&(attention_case){2, 100, 100, 4, 2, 32, 0, 1.0f});
  compare(&(attention_case){1, 100, 100, 2, 2, 64, 0, 1.0f});
}

Test(blas_against_ref_attention, grouped_heads_and_alibi) {
  compare(&(attention_case){2, 131, 131, 6, 2, 20, 0, 1.0f});
  compare(&(attention_case){2, 131, 131, 6, 1, 20, 1, 1.0f});
  compare(&(attention_case){1, 300, 300, 6, 3, 8, 1, 1.0f});
}

Test(blas_against_ref_attention, cache) {
  compare(&(attention_case){2, 1, 1, 4, 2, 16, 0, 1.0f});
  compare(&(attention_case){2, 1, 257, 4, 2, 16, 0, 1.0f});
  compare(&(attention_case){1, 5, 300, 4, 2, 16, 1, 1.0f});
  compare(&(attention_case){1, 70, 330, 2, 1, 16, 0, 1.0f});
  compare(&(attention_case){1, 190, 191, 2, 1, 16, 0, 1.0f});
}

/* Scores up to 80: a softmax that is one key or two; across two blocks of keys the running maximum must hold.
 */
Test(blas_against_ref_attention, saturated_scores) {
  compare(&(attention_case){1, 90, 90, 2, 2, 3, 0, 9.4f});
  compare(&(attention_case){1, 300, 300, 2, 1, 3, 0, 9.4f});
}

Test(blas_against_ref_attention, bits_do_not_depend_on_the_address) {
  const attention_case c = {1, 100, 100, 2, 2, 32, 0, 1.0f};
  const ef_attention a = geometry(&c, 1);
  const size_t n = a.q_batch, width = a.H * a.h;
  const float *x = kt_input(n, 1.0f), *dout = kt_input(a.Tq * width, 1.0f);
  float *shifted = kt_floats(n + 1), *dshifted = kt_floats(a.Tq * width + 1);
  for (size_t i = 0; i < n; i++) shifted[i + 1] = x[i];
  for (size_t i = 0; i < a.Tq * width; i++) dshifted[i + 1] = dout[i];
  const result one = run(blas(), &a, x, x + width, x + 2 * width, dout, 1), *p = &one;
  const float *y = shifted + 1;
  const result two = run(blas(), &a, y, y + width, y + 2 * width, dshifted + 1, 1);
  kt_equal("out", a.Tq * width, two.out, p->out);
  kt_equal("dqkv", n, two.dq, p->dq);
  kt_done();
}
