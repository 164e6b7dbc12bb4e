/* Causal grouped-query attention against the whole matrix of scores in double precision. */
#include "kernel_tests.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

typedef struct attention_problem {
  const ef_attention *a;
  double *q, *k, *v; /* laid out as the arrays of the kernel */
  double *lse;       /* (B,H,Tq), written by forward */
} attention_problem;

/* p (Tq,Tk): scores, masked softmax, log-sum-exp of head n of sequence b. */
static void probabilities(const attention_problem *x, size_t b, size_t n, double *p) {
  const ef_attention *a = x->a;
  for (size_t i = 0; i < a->Tq; i++) {
    double sum = 0.0, top = -INFINITY;
    for (size_t j = 0; j < a->Tk; j++) {
      double s = a->slopes ? a->slopes[n] * (double)j : 0.0;
      for (size_t c = 0; c < a->h; c++) {
        s += a->scale * x->q[b * a->q_batch + i * a->q_row + n * a->q_head + c] *
             x->k[b * a->k_batch + j * a->k_row + n * a->G / a->H * a->k_head + c];
      }
      p[i * a->Tk + j] = j <= i + a->Tk - a->Tq ? s : -INFINITY;
      top = fmax(top, p[i * a->Tk + j]);
    }
    for (size_t j = 0; j < a->Tk; j++) sum += exp(p[i * a->Tk + j] - top);
    for (size_t j = 0; j < a->Tk; j++) p[i * a->Tk + j] = exp(p[i * a->Tk + j] - top) / sum;
    x->lse[(b * a->H + n) * a->Tq + i] = top + log(sum);
  }
}

static void attention_forward(const void *context, double *out) {
  const attention_problem *x = context;
  const ef_attention *a = x->a;
  double p[140 * 140];
  for (size_t b = 0; b < a->B; b++) {
    for (size_t n = 0; n < a->H; n++) {
      probabilities(x, b, n, p);
      for (size_t i = 0; i < a->Tq; i++) {
        for (size_t c = 0; c < a->h; c++) {
          double sum = 0.0;
          for (size_t j = 0; j < a->Tk; j++) {
            sum += p[i * a->Tk + j] * x->v[b * a->k_batch + j * a->k_row + n * a->G / a->H * a->k_head + c];
          }
          out[((b * a->Tq + i) * a->H + n) * a->h + c] = sum;
        }
      }
    }
  }
}

/* Arrays of one case; q, k and v may be parts of one buffer. */
typedef struct arrays {
  size_t nq, nk; /* elements from the first of q (of k, v) to the end of the buffer */
  float *q, *k, *v;
  float *dq, *dk, *dv;
} arrays;

static void run_case(const ef_kernels *kernels, const ef_attention *a, const arrays *x) {
  size_t n = a->B * a->Tq * a->H * a->h, rows = a->B * a->Tq * a->H;
  const float *dout = kt_input(n, 1.0f);
  float *out = kt_floats(n), *lse = kt_floats(rows), *work = kt_floats(kernels->attention_workspace(a));
  attention_problem problem = {a, kt_widen(x->nq, x->q), kt_widen(x->nk, x->k), kt_widen(x->nk, x->v),
                               kt_doubles(rows)};
  kt_problem p = {attention_forward, &problem, n, dout};
  kernels->attention(a, x->q, x->k, x->v, out, lse, work);
  kt_forward("out", &p, out);
  kt_match("lse", rows, lse, problem.lse);
  kernels->attention_backward(a, x->q, x->k, x->v, out, lse, dout, x->dq, x->dk, x->dv, work);
  kt_gradient("dq", &p, x->nq, problem.q, NULL, x->dq);
  kt_gradient("dk", &p, x->nk, problem.k, NULL, x->dk);
  kt_gradient("dv", &p, x->nk, problem.v, NULL, x->dv);
}

/* (B,T,H,h) arrays without gaps. */
static ef_attention geometry(size_t B, size_t Tq, size_t Tk, size_t H, size_t G, size_t h) {
  ef_attention a = {.B = B, .Tq = Tq, .Tk = Tk, .H = H, .G = G, .h = h};
  a.q_batch = Tq * H * h;
  a.q_row = H * h;
  a.k_batch = Tk * G * h;
  a.k_row = G * h;
  a.q_head = a.k_head = h;
  a.scale = (float)(1.0 / sqrt((double)h));
  return a;
}

static void plain_case(const ef_kernels *kernels, ef_attention a, float scale, int alibi) {
  size_t nq = a.B * a.Tq * a.H * a.h, nk = a.B * a.Tk * a.G * a.h;
  arrays x = {
      .nq = nq, .nk = nk, .q = kt_random(nq, scale), .k = kt_random(nk, scale), .v = kt_random(nk, 1.0f)};
  x.dq = kt_floats(nq);
  x.dk = kt_floats(nk);
  x.dv = kt_floats(nk);
  kt_freeze(x.q);
  kt_freeze(x.k);
  kt_freeze(x.v);
  if (alibi) a.slopes = kt_input(a.H, 0.5f);
  run_case(kernels, &a, &x);
  kt_done();
}

/* q, k and v as thirds of the rows of one buffer, gradients likewise: what lies between must stay. */
static void fused_case(const ef_kernels *kernels, size_t B, size_t T, size_t H, size_t G, size_t h) {
  size_t row = (H + 2 * G) * h + 3, n = B * T * row;
  ef_attention a = geometry(B, T, T, H, G, h);
  a.q_batch = a.k_batch = T * row;
  a.q_row = a.k_row = row;
  float *qkv = kt_random(n, 1.0f), *dqkv = kt_floats(n), *out = kt_floats(B * T * H * h),
        *lse = kt_floats(B * T * H);
  const float *dout = kt_input(B * T * H * h, 1.0f);
  memset(dqkv, 0, n * sizeof *dqkv);
  kt_freeze(qkv);
  attention_problem problem = {.a = &a, .q = kt_widen(n, qkv), .lse = kt_doubles(B * T * H)};
  problem.k = problem.q + H * h;
  problem.v = problem.k + G * h;
  kt_problem p = {attention_forward, &problem, B * T * H * h, dout};
  const float *k = qkv + H * h, *v = k + G * h;
  float *dk = dqkv + H * h, *dv = dk + G * h, *work = kt_floats(kernels->attention_workspace(&a));
  kernels->attention(&a, qkv, k, v, out, lse, work);
  kt_forward("out", &p, out);
  kernels->attention_backward(&a, qkv, k, v, out, lse, dout, dqkv, dk, dv, work);
  kt_gradient("dqkv", &p, n, problem.q, NULL, dqkv); /* zero in the gaps */
  kt_done();
}

/* With equal keys every query takes the mean of the values so far. */
static void mean_case(const ef_kernels *kernels) {
  enum { T = 9 };
  ef_attention a = geometry(1, T, T, 1, 1, 1);
  float q[T], k[T], v[T], out[T], lse[T], *work = kt_floats(kernels->attention_workspace(&a));
  for (size_t t = 0; t < T; t++) {
    q[t] = (float)t;
    k[t] = 0.0f;
    v[t] = (float)t;
  }
  kernels->attention(&a, q, k, v, out, lse, work);
  for (size_t t = 0; t < T; t++) {
    cr_assert_float_eq(out[t], 0.5 * (double)t, 1e-5);
    cr_assert_float_eq(lse[t], log((double)t + 1.0), 1e-6);
  }
  kt_done();
}

void check_attention(const ef_kernels *k) {
  mean_case(k);
  plain_case(k, geometry(0, 3, 3, 2, 1, 4), 1.0f, 0);
  plain_case(k, geometry(2, 0, 0, 2, 1, 4), 1.0f, 0);
  plain_case(k, geometry(1, 1, 1, 1, 1, 1), 1.0f, 0);
  plain_case(k, geometry(2, 13, 13, 6, 3, 10), 1.0f, 0);
  plain_case(k, geometry(1, 7, 7, 5, 5, 3), 1.0f, 1);
  plain_case(k, geometry(1, 9, 9, 4, 1, 8), 1.0f, 1);
  plain_case(k, geometry(1, 11, 11, 2, 2, 6), 6.0f, 0); /* a peaked softmax, scores near 50 */
  fused_case(k, 2, 7, 4, 2, 5);
}

/* The last Tq queries of a sequence give what they give in the whole sequence. */
static void cache_case(const ef_kernels *kernels, size_t Tq, size_t Tk, int alibi) {
  const size_t B = 2, H = 6, G = 3, h = 10;
  ef_attention whole = geometry(B, Tk, Tk, H, G, h), tail = geometry(B, Tq, Tk, H, G, h);
  if (alibi) whole.slopes = tail.slopes = kt_input(H, 0.5f);
  tail.q_batch = whole.q_batch; /* the tail lies inside the arrays of the whole sequence */
  const float *q = kt_input(B * Tk * H * h, 1.0f), *k = kt_input(B * Tk * G * h, 1.0f);
  const float *v = kt_input(B * Tk * G * h, 1.0f);
  float *all = kt_floats(B * Tk * H * h), *part = kt_floats(B * Tq * H * h), *lse = kt_floats(B * H * Tk);
  kernels->attention(&whole, q, k, v, all, lse, kt_floats(kernels->attention_workspace(&whole)));
  kernels->attention(&tail, q + (Tk - Tq) * H * h, k, v, part, lse,
                     kt_floats(kernels->attention_workspace(&tail)));
  for (size_t b = 0; b < B; b++) {
    const float *want = all + (b * Tk + Tk - Tq) * H * h;
    kt_match("tail", Tq * H * h, part + b * Tq * H * h, kt_widen(Tq * H * h, want));
  }
  kt_done();
}

void check_attention_cache(const ef_kernels *k) {
  cache_case(k, 1, 13, 0);
  cache_case(k, 1, 13, 1);
  cache_case(k, 5, 13, 0);
  cache_case(k, 0, 4, 0);
  plain_case(k, geometry(2, 5, 13, 6, 3, 4), 1.0f, 1); /* against the formula, with gradients */
  plain_case(k, geometry(1, 0, 4, 2, 1, 3), 1.0f, 0);  /* dk and dv are zero */
}

/* Long enough for several blocks of keys, and no multiple of a block. */
void check_attention_long(const ef_kernels *k) {
  plain_case(k, geometry(1, 131, 131, 2, 1, 3), 2.0f, 0);
  plain_case(k, geometry(1, 67, 133, 1, 1, 2), 2.0f, 1);
}
