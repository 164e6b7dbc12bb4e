/* Router, load balancing, sorting of tokens by expert, and the sums over experts. */
#include "kernel_tests.h"

#include <criterion/criterion.h>
#include <math.h>

/* ---- router ---- */

typedef struct router_problem {
  size_t R, E, K;
  int normalise;
  double eps;
  const int32_t *experts; /* (R,K), held fixed */
  double *logits;         /* (R,E) */
  const float *aux;       /* (groups,E) or NULL: the objective gains sum(aux * probs) */
  size_t aux_rows;
} router_problem;

static void softmax(size_t n, const double *x, double *p) {
  double top = -INFINITY, sum = 0.0;
  for (size_t i = 0; i < n; i++) top = fmax(top, x[i]);
  for (size_t i = 0; i < n; i++) sum += exp(x[i] - top);
  for (size_t i = 0; i < n; i++) p[i] = exp(x[i] - top) / sum;
}

/* y holds the weights (R,K) and then, for each row, sum(aux * probs) (R). */
static void router_forward(const void *context, double *y) {
  const router_problem *x = context;
  for (size_t r = 0; r < x->R; r++) {
    double p[64], sum = x->eps;
    softmax(x->E, x->logits + r * x->E, p);
    for (size_t i = 0; i < x->K; i++) sum += p[x->experts[r * x->K + i]];
    for (size_t i = 0; i < x->K; i++)
      y[r * x->K + i] = p[x->experts[r * x->K + i]] / (x->normalise ? sum : 1.0);
    for (size_t e = 0; x->aux && e < x->E; e++)
      y[x->R * x->K + r] += x->aux[r / x->aux_rows * x->E + e] * p[e];
  }
}

/* The number of experts that come before e: those of greater probability, and equal ones of lower index. */
static size_t rank_of(size_t E, const float *p, size_t e) {
  size_t rank = 0;
  for (size_t i = 0; i < E; i++) rank += p[i] > p[e] || (i < e && p[i] >= p[e]);
  return rank;
}

typedef struct routed {
  float *probs, *weights; /* (R,E), (R,K) */
  int32_t *experts;       /* (R,K) */
} routed;

static routed route(const ef_kernels *k, const router_problem *x, const float *logits) {
  routed y = {kt_floats(x->R * x->E), kt_floats(x->R * x->K), kt_ints(x->R * x->K)};
  k->router(x->R, x->E, x->K, x->normalise, (float)x->eps, logits, y.probs, y.experts, y.weights);
  kt_freeze(y.probs);
  kt_freeze(y.weights);
  kt_freeze(y.experts);
  return y;
}

static void router_case(const ef_kernels *k, size_t R, size_t E, size_t K, int normalise, float eps) {
  const float *logits = kt_input(R * E, 3.0f);
  router_problem x = {
      .R = R, .E = E, .K = K, .normalise = normalise, .eps = eps, .logits = kt_widen(R * E, logits)};
  routed y = route(k, &x, logits);
  double *want = kt_doubles(R * E);
  for (size_t r = 0; r < R; r++) {
    softmax(E, x.logits + r * E, want + r * E);
    for (size_t i = 0; i < K; i++) {
      size_t e = (size_t)y.experts[r * K + i];
      cr_assert(e < E && rank_of(E, y.probs + r * E, e) == i, "slot %zu of row %zu holds expert %zu", i, r,
                e);
    }
  }
  kt_match("probs", R * E, y.probs, want);
  x.experts = y.experts;
  kt_problem p = {router_forward, &x, R * K, NULL};
  kt_forward("weights", &p, y.weights);
  kt_done();
}

/* Equal logits: the lower index first. */
static void router_ties(const ef_kernels *k) {
  const float logits[] = {0.0f, 1.0f, 1.0f, 0.0f, 1.0f, 2.0f, 2.0f, 2.0f, 2.0f, 2.0f};
  const int32_t want[] = {1, 2, 4, 0, 0, 1, 2, 3};
  float probs[10], weights[8];
  int32_t experts[8];
  k->router(2, 5, 4, 1, 0.0f, logits, probs, experts, weights);
  for (size_t i = 0; i < 8; i++) cr_assert_eq(experts[i], want[i], "slot %zu: %d", i, (int)experts[i]);
  for (size_t i = 4; i < 8; i++) cr_assert_float_eq(weights[i], 0.25, 1e-6);
}

/* A diverged row must not send tokens to experts that do not exist. */
static void router_nan(const ef_kernels *k) {
  const float logits[] = {NAN, NAN, NAN, NAN, 0.0f, NAN, 1.0f, 2.0f};
  float probs[8], weights[6];
  int32_t experts[6];
  k->router(2, 4, 3, 1, 0.0f, logits, probs, experts, weights);
  for (size_t i = 0; i < 6; i++) {
    cr_assert(experts[i] >= 0 && experts[i] < 4, "slot %zu: %d", i, (int)experts[i]);
    for (size_t j = i / 3 * 3; j < i; j++) cr_assert_neq(experts[i], experts[j]);
  }
}

void check_router(const ef_kernels *k) {
  for (int normalise = 0; normalise < 2; normalise++) {
    router_case(k, 0, 4, 2, normalise, 0.0f);
    router_case(k, 1, 1, 1, normalise, 0.0f);
    router_case(k, 13, 7, 7, normalise, 1e-20f);
    router_case(k, 13, 60, 4, normalise, 0.0f);
    router_case(k, 5, 37, 6, normalise, 0.5f);
    router_case(k, 9, 5, 1, normalise, 1e-20f);
  }
  router_ties(k);
  router_nan(k);
}

static void router_backward_case(const ef_kernels *k, size_t R, size_t E, size_t K, int normalise, float eps,
                                 size_t aux_rows) {
  const float *logits = kt_input(R * E, 2.0f), *dweights = kt_input(R * K, 1.0f);
  const float *aux = aux_rows ? kt_input((R + aux_rows - 1) / aux_rows * E, 1.0f) : NULL;
  router_problem x = {R, E, K, normalise, eps, NULL, kt_widen(R * E, logits), aux, aux_rows};
  routed y = route(k, &x, logits);
  x.experts = y.experts;
  float *dy = kt_floats(R * K + R), *dlogits = kt_floats(R * E);
  for (size_t i = 0; i < R * K + R; i++) dy[i] = i < R * K ? dweights[i] : 1.0f;
  kt_problem p = {router_forward, &x, R * K + R, dy};
  k->router_backward(R, E, K, normalise, eps, y.probs, y.experts, y.weights, dweights, aux, aux_rows,
                     dlogits);
  kt_gradient("dlogits", &p, R * E, x.logits, NULL, dlogits);
  kt_done();
}

void check_router_backward(const ef_kernels *k) {
  for (int normalise = 0; normalise < 2; normalise++) {
    router_backward_case(k, 0, 4, 2, normalise, 0.0f, 0);
    router_backward_case(k, 1, 1, 1, normalise, 0.0f, 1);
    router_backward_case(k, 13, 7, 3, normalise, 0.0f, 0);
    router_backward_case(k, 12, 9, 2, normalise, 1e-20f, 4);
    router_backward_case(k, 10, 37, 6, normalise, 0.5f, 10);
    router_backward_case(k, 6, 5, 5, normalise, 1e-20f, 2);
  }
}

/* ---- load balancing ---- */

typedef struct balance_problem {
  size_t R, E, rows; /* rows of a group */
  double s;
  const double *count; /* (groups,E) */
  double *logits;      /* (R,E) */
} balance_problem;

static void balance_forward(const void *context, double *y) {
  const balance_problem *x = context;
  for (size_t r = 0; r < x->R; r++) {
    double p[64];
    softmax(x->E, x->logits + r * x->E, p);
    for (size_t e = 0; e < x->E; e++) y[0] += x->s * x->count[r / x->rows * x->E + e] * p[e];
  }
}

/* The loss of random logits and its gradient through router_backward. */
static void balance_case(const ef_kernels *k, size_t groups, size_t rows, size_t E, size_t K) {
  size_t R = groups * rows;
  const float *logits = kt_input(R * E, 2.0f);
  router_problem shape = {.R = R, .E = E, .K = K};
  routed y = route(k, &shape, logits);
  double *count = kt_doubles(groups * E), *prob_sum = kt_doubles(groups * E),
         *want_count = kt_doubles(groups * E);
  for (size_t g = 0; g < groups; g++) {
    k->router_stats(rows, E, K, y.probs + g * rows * E, y.experts + g * rows * K, count + g * E,
                    prob_sum + g * E);
  }
  for (size_t i = 0; i < R * K; i++) want_count[i / (rows * K) * E + (size_t)y.experts[i]] += 1.0;
  for (size_t i = 0; i < groups * E; i++) cr_assert_eq(count[i], want_count[i]);
  balance_problem balance = {R, E, rows, 0.37, count, kt_widen(R * E, logits)};
  float one = 1.0f, *coef = kt_floats(groups * E), *dlogits = kt_floats(R * E), *dweights = kt_floats(R * K);
  for (size_t i = 0; i < R * K; i++) dweights[i] = 0.0f;
  kt_problem p = {balance_forward, &balance, 1, &one};
  float loss = (float)k->aux_loss(groups, E, 0.37, count, prob_sum, coef);
  kt_forward("loss", &p, &loss);
  k->router_backward(R, E, K, 0, 0.0f, y.probs, y.experts, y.weights, dweights, coef, rows, dlogits);
  kt_gradient("dlogits", &p, R * E, balance.logits, NULL, dlogits);
  kt_done();
}

/* Uniform probabilities and equal counts: the value is known for each of the three forms of the loss. */
static void balanced_values(const ef_kernels *k) {
  enum { B = 3, T = 10, E = 5, K = 2, N = B * T };
  const double alpha = 0.001;
  double count[B * E], prob_sum[B * E], whole_count[E], whole_sum[E];
  float coef[B * E];
  for (size_t i = 0; i < B * E; i++) {
    count[i] = (double)(T * K) / E;
    prob_sum[i] = (double)T / E;
    whole_count[i % E] = (double)(N * K) / E;
    whole_sum[i % E] = (double)N / E;
  }
  double qwen = k->aux_loss(1, E, (double)E / (N * N), whole_count, whole_sum, coef);
  cr_assert_float_eq(qwen, (double)K, 1e-12, "Qwen: %g", qwen);
  double flat = k->aux_loss(1, E, alpha * E / (K * N * N), whole_count, whole_sum, coef);
  cr_assert_float_eq(flat, alpha, 1e-15, "DeepSeek over all tokens: %g", flat);
  double sequences = k->aux_loss(B, E, alpha * E / (K * T * T * B), count, prob_sum, coef);
  cr_assert_float_eq(sequences, alpha, 1e-15, "DeepSeek per sequence: %g", sequences);
  for (size_t i = 0; i < B * E; i++) cr_assert_float_eq(coef[i], alpha / (T * B), 1e-10);
}

void check_aux_loss(const ef_kernels *k) {
  balanced_values(k);
  balance_case(k, 1, 1, 1, 1);
  balance_case(k, 1, 13, 7, 3);
  balance_case(k, 3, 5, 19, 4);
  cr_assert_eq(k->aux_loss(0, 4, 1.0, NULL, NULL, NULL), 0.0);
}

/* ---- tokens to experts and back ---- */

typedef struct sorted {
  size_t *count;              /* (E) */
  int32_t *source, *position; /* (R*K) */
} sorted;

static sorted sort(const ef_kernels *k, size_t R, size_t E, size_t K, const int32_t *experts) {
  sorted s = {kt_bytes(E * sizeof(size_t)), kt_ints(R * K), kt_ints(R * K)};
  k->moe_sort(R, E, K, experts, s.count, s.source, s.position);
  kt_freeze(s.source);
  kt_freeze(s.position);
  return s;
}

static void sort_case(const ef_kernels *k, size_t R, size_t E, size_t K) {
  const int32_t *experts = kt_indices(R * K, E);
  sorted s = sort(k, R, E, K, experts);
  size_t total = 0;
  for (size_t e = 0; e < E; e++) {
    size_t count = 0;
    for (size_t i = 0; i < R * K; i++) count += (size_t)experts[i] == e;
    cr_assert_eq(s.count[e], count, "expert %zu has %zu tokens, not %zu", e, count, s.count[e]);
    total += count;
  }
  cr_assert_eq(total, R * K);
  for (size_t i = 0; i < R * K; i++) { /* the pairs before i: of lower experts, or earlier with the same */
    size_t before = 0;
    for (size_t j = 0; j < R * K; j++)
      before += experts[j] < experts[i] || (experts[j] == experts[i] && j < i);
    cr_assert_eq((size_t)s.position[i], before, "pair %zu at %d, not %zu", i, (int)s.position[i], before);
    cr_assert_eq((size_t)s.source[before], i);
  }
  kt_done();
}

void check_moe_sort(const ef_kernels *k) {
  sort_case(k, 0, 4, 2);
  sort_case(k, 3, 4, 0);
  sort_case(k, 1, 1, 1);
  sort_case(k, 13, 7, 3);
  sort_case(k, 5, 60, 4); /* most experts have no token */
  sort_case(k, 40, 2, 1);
}

typedef struct moe_problem {
  size_t R, K, D;
  const int32_t *position;
  double *weights, *ys; /* (R,K), (R*K,D) */
  const float *y0;      /* (R,D), what the sum is added to */
} moe_problem;

static void combine_forward(const void *context, double *y) {
  const moe_problem *x = context;
  for (size_t i = 0; i < x->R * x->D; i++) y[i] = x->y0[i];
  for (size_t i = 0; i < x->R * x->K; i++) {
    for (size_t d = 0; d < x->D; d++) {
      y[i / x->K * x->D + d] += x->weights[i] * x->ys[(size_t)x->position[i] * x->D + d];
    }
  }
}

static void combine_case(const ef_kernels *k, size_t R, size_t E, size_t K, size_t D) {
  sorted s = sort(k, R, E, K, kt_indices(R * K, E));
  const float *weights = kt_input(R * K, 1.0f), *ys = kt_input(R * K * D, 1.0f), *dy = kt_input(R * D, 1.0f);
  float *y = kt_random(R * D, 1.0f), *dys = kt_floats(R * K * D), *dweights = kt_floats(R * K);
  moe_problem x = {R, K, D, s.position, kt_widen(R * K, weights), kt_widen(R * K * D, ys), kt_copy(R * D, y)};
  kt_problem p = {combine_forward, &x, R * D, dy};
  k->moe_combine(R, K, D, s.position, weights, ys, y);
  kt_forward("y", &p, y);
  k->moe_combine_backward(R, K, D, s.position, weights, ys, dy, dys, dweights);
  kt_gradient("dys", &p, R * K * D, x.ys, NULL, dys);
  kt_gradient("dweights", &p, R * K, x.weights, NULL, dweights);
  kt_done();
}

void check_moe_combine(const ef_kernels *k) {
  combine_case(k, 0, 4, 2, 5);
  combine_case(k, 3, 4, 2, 0);
  combine_case(k, 1, 1, 1, 1);
  combine_case(k, 13, 7, 3, 19);
  combine_case(k, 5, 60, 4, 9);
}

/* gather copies each row K times; combining the copies with weight 1, and gather_backward, sum K rows. */
static void gather_case(const ef_kernels *k, size_t R, size_t E, size_t K, size_t D) {
  sorted s = sort(k, R, E, K, kt_indices(R * K, E));
  const float *x = kt_input(R * D, 1.0f);
  float *xs = kt_floats(R * K * D), *y = kt_random(R * D, 1.0f), *dx = kt_copy(R * D, y),
        *ones = kt_floats(R * K);
  double *want = kt_widen(R * D, y), *want_dx = kt_widen(R * D, dx);
  k->moe_gather(R, K, D, s.source, x, xs);
  for (size_t i = 0; i < R * K; i++) {
    ones[i] = 1.0f;
    kt_equal("xs", D, xs + (size_t)s.position[i] * D, x + i / K * D);
  }
  k->moe_combine(R, K, D, s.position, ones, xs, y);
  for (size_t i = 0; i < R * D; i++) want[i] += (double)K * x[i];
  kt_match("combined", R * D, y, want);
  const float *dxs = kt_input(R * K * D, 1.0f);
  k->moe_gather_backward(R, K, D, s.position, dxs, dx);
  for (size_t i = 0; i < R * K * D; i++) want_dx[(size_t)s.source[i / D] / K * D + i % D] += dxs[i];
  kt_match("dx", R * D, dx, want_dx);
  kt_done();
}

void check_moe_gather(const ef_kernels *k) {
  gather_case(k, 0, 4, 2, 5);
  gather_case(k, 3, 4, 2, 0);
  gather_case(k, 1, 1, 1, 1);
  gather_case(k, 13, 7, 3, 19);
}
