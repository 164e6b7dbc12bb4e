/* Losses and the optimiser. */
#include "kernel_tests.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static void log_softmax(size_t n, double tau, const double *x, double *y) {
  double top = -INFINITY, sum = 0.0;
  for (size_t i = 0; i < n; i++) top = fmax(top, x[i] / tau);
  for (size_t i = 0; i < n; i++) sum += exp(x[i] / tau - top);
  for (size_t i = 0; i < n; i++) y[i] = x[i] / tau - top - log(sum);
}

static float *constant(size_t n, float value) {
  float *x = kt_floats(n);
  for (size_t i = 0; i < n; i++) x[i] = value;
  return x;
}

/* Targets in [0,V), every third one ignored; all ignored where there is no vocabulary. */
static const int32_t *some_targets(size_t R, size_t V) {
  const int32_t *drawn = kt_indices(R, V ? V : 1);
  int32_t *targets = kt_ints(R);
  for (size_t r = 0; r < R; r++) targets[r] = V == 0 || r % 3 == 1 ? EF_IGNORE : drawn[r];
  kt_freeze(targets);
  return targets;
}

typedef struct loss_problem {
  size_t R, V, k;
  double tau;
  const int32_t *targets; /* (R) or NULL */
  const int32_t *index;   /* (R,k), or NULL: all of V */
  const float *teacher;   /* (R,k) */
  double *logits;         /* (R,V) */
} loss_problem;

/* ---- cross entropy ---- */

static void cross_entropy_forward(const void *context, double *losses) {
  const loss_problem *x = context;
  double y[256];
  for (size_t r = 0; r < x->R; r++) {
    if (x->targets[r] == EF_IGNORE) continue;
    log_softmax(x->V, 1.0, x->logits + r * x->V, y);
    losses[r] = -y[x->targets[r]];
  }
}

static void cross_entropy_case(const ef_kernels *k, size_t R, size_t V, float spread, float scale) {
  const float *logits = kt_input(R * V, spread);
  const int32_t *targets = some_targets(R, V);
  float *losses = kt_floats(R), *alone = kt_floats(R), *dlogits = kt_floats(R * V),
        *in_place = kt_copy(R * V, logits);
  uint8_t *hits = kt_bytes(R);
  loss_problem x = {.R = R, .V = V, .targets = targets, .logits = kt_widen(R * V, logits)};
  kt_problem p = {cross_entropy_forward, &x, R, constant(R, scale)};
  k->cross_entropy(R, V, logits, targets, scale, losses, hits, dlogits);
  kt_forward("losses", &p, losses);
  kt_gradient("dlogits", &p, R * V, x.logits, NULL, dlogits);
  for (size_t r = 0; r < R; r++) {
    size_t best = 0;
    for (size_t i = 1; i < V; i++) best = logits[r * V + i] > logits[r * V + best] ? i : best;
    cr_assert_eq(hits[r], targets[r] != EF_IGNORE && (size_t)targets[r] == best, "hit of row %zu", r);
    for (size_t i = r * V; targets[r] == EF_IGNORE && i < (r + 1) * V; i++) cr_assert_eq(dlogits[i], 0.0f);
  }
  k->cross_entropy(R, V, logits, targets, scale, alone, NULL, NULL);
  kt_match("losses without gradient", R, alone, kt_widen(R, losses));
  k->cross_entropy(R, V, in_place, targets, scale, alone, NULL, in_place);
  kt_match("gradient in place", R * V, in_place, kt_widen(R * V, dlogits));
  kt_done();
}

/* Hits of equal logits go to the lowest index; huge logits do not overflow. */
static void cross_entropy_corners(const ef_kernels *k) {
  const float logits[] = {1.0f, 2.0f, 2.0f, 1.0f, 2.0f, 2.0f, -3e4f, 3e4f, 0.0f, 3e4f, 3e4f, 3e4f};
  const int32_t targets[] = {1, 2, 0, 2};
  float losses[4], dlogits[12];
  uint8_t hits[4];
  k->cross_entropy(4, 3, logits, targets, 1.0f, losses, hits, dlogits);
  cr_assert(hits[0] == 1 && hits[1] == 0 && hits[2] == 0 && hits[3] == 0);
  cr_assert_float_eq(losses[0], log(2.0 + exp(-1.0)), 1e-6);
  cr_assert_float_eq(losses[2], 6e4, 1e-2);
  cr_assert_float_eq(losses[3], log(3.0), 4e-3); /* the spacing of floats at 3e4 */
  cr_assert_float_eq(dlogits[6], -1.0, 1e-6);
  cr_assert_float_eq(dlogits[7], 1.0, 1e-6);
}

void check_cross_entropy(const ef_kernels *k) {
  cross_entropy_case(k, 0, 5, 1.0f, 1.0f);
  cross_entropy_case(k, 3, 0, 1.0f, 1.0f);
  cross_entropy_case(k, 2, 1, 1.0f, 1.0f);
  cross_entropy_case(k, 26, 37, 4.0f, 0.25f);
  cross_entropy_case(k, 7, 201, 9.0f, -1.5f);
  cross_entropy_corners(k);
}

/* ---- distillation ---- */

static void kl_forward(const void *context, double *losses) {
  const loss_problem *x = context;
  double student[256], teacher[256], wide[256];
  for (size_t r = 0; r < x->R; r++) {
    if (x->targets && x->targets[r] == EF_IGNORE) continue;
    for (size_t i = 0; i < x->k; i++) wide[i] = x->teacher[r * x->k + i];
    log_softmax(x->k, x->tau, wide, teacher);
    log_softmax(x->V, x->tau, x->logits + r * x->V, student);
    for (size_t i = 0; i < x->k; i++) {
      size_t at = x->index ? (size_t)x->index[r * x->k + i] : i;
      losses[r] += x->tau * x->tau * exp(teacher[i]) * (teacher[i] - student[at]);
    }
  }
}

static void run_kl(const ef_kernels *k, const loss_problem *x, const float *student, float scale,
                   float *losses, float *dlogits) {
  float tau = (float)x->tau;
  if (x->index) {
    k->kl_topk(x->R, x->V, x->k, tau, x->index, x->teacher, student, x->targets, scale, losses, dlogits);
  } else {
    k->kl(x->R, x->V, tau, x->teacher, student, x->targets, scale, losses, dlogits);
  }
}

static void distil_case(const ef_kernels *k, loss_problem x, float scale) {
  const float *student = kt_input(x.R * x.V, 3.0f);
  float *losses = kt_floats(x.R), *alone = kt_floats(x.R), *dlogits = kt_random(x.R * x.V, 0.1f);
  const float *start = kt_copy(x.R * x.V, dlogits);
  x.teacher = kt_input(x.R * x.k, 3.0f);
  x.logits = kt_widen(x.R * x.V, student);
  kt_problem p = {kl_forward, &x, x.R, constant(x.R, scale)};
  run_kl(k, &x, student, scale, losses, dlogits);
  kt_forward("losses", &p, losses);
  kt_gradient("dlogits", &p, x.R * x.V, x.logits, start, dlogits);
  for (size_t r = 0; x.targets && r < x.R; r++) {
    if (x.targets[r] == EF_IGNORE) kt_equal("ignored row", x.V, dlogits + r * x.V, start + r * x.V);
  }
  run_kl(k, &x, student, scale, alone, NULL);
  kt_match("losses without gradient", x.R, alone, kt_widen(x.R, losses));
  kt_done();
}

void check_kl(const ef_kernels *k) {
  for (double tau = 1.0; tau <= 2.0; tau += 1.0) {
    distil_case(k, (loss_problem){.R = 0, .V = 5, .k = 5, .tau = tau}, 1.0f);
    distil_case(k, (loss_problem){.R = 2, .V = 1, .k = 1, .tau = tau}, 1.0f);
    distil_case(k, (loss_problem){.R = 13, .V = 37, .k = 37, .tau = tau}, 0.7f);
    distil_case(k, (loss_problem){.R = 13, .V = 37, .k = 37, .tau = tau, .targets = some_targets(13, 37)},
                0.7f);
  }
  distil_case(k, (loss_problem){.R = 3, .V = 201, .k = 201, .tau = 4.0}, 1.0f);
  const float teacher[] = {0.0f, 0.0f}, student[] = {0.0f, 1.0986123f}; /* log 3: a student of (1/4, 3/4) */
  float loss, gradient[] = {0.0f, 0.0f};
  k->kl(1, 2, 1.0f, teacher, student, NULL, 1.0f, &loss, gradient);
  cr_assert_float_eq(loss, 0.5 * log(4.0 / 3.0), 1e-6);
  cr_assert_float_eq(gradient[0], -0.25, 1e-6);
  k->kl(1, 2, 2.0f, student, student, NULL, 1.0f, &loss, NULL);
  cr_assert_float_eq(loss, 0.0, 1e-6);
}

/* The first k of a permutation of V, another in each row. */
static const int32_t *distinct_indices(size_t R, size_t V, size_t k) {
  int32_t *index = kt_ints(R * k);
  for (size_t i = 0; i < R * k; i++)
    index[i] = (int32_t)((i / k * 5 + i % k * 7 + 3) % V); /* V prime, not 7 */
  kt_freeze(index);
  return index;
}

/* With k = V, in any order, kl_topk is kl. */
static void topk_of_all(const ef_kernels *k, size_t R, size_t V, float tau) {
  const float *teacher = kt_input(R * V, 3.0f), *student = kt_input(R * V, 3.0f);
  const int32_t *index = distinct_indices(R, V, V);
  float *shuffled = kt_floats(R * V), *losses = kt_floats(R), *want = kt_floats(R);
  float *dlogits = constant(R * V, 0.0f), *dwant = constant(R * V, 0.0f);
  for (size_t i = 0; i < R * V; i++) shuffled[i] = teacher[i / V * V + (size_t)index[i]];
  k->kl_topk(R, V, V, tau, index, shuffled, student, NULL, 0.5f, losses, dlogits);
  k->kl(R, V, tau, teacher, student, NULL, 0.5f, want, dwant);
  kt_match("losses", R, losses, kt_widen(R, want));
  kt_match("dlogits", R * V, dlogits, kt_widen(R * V, dwant));
  kt_done();
}

static void topk_case(const ef_kernels *kernels, size_t R, size_t V, size_t k, double tau, int ignore) {
  loss_problem x = {.R = R, .V = V, .k = k, .tau = tau, .index = distinct_indices(R, V, k)};
  if (ignore) x.targets = some_targets(R, V);
  distil_case(kernels, x, 0.7f);
}

void check_kl_topk(const ef_kernels *k) {
  for (double tau = 1.0; tau <= 2.0; tau += 1.0) {
    topk_case(k, 0, 5, 2, tau, 0);
    topk_case(k, 13, 37, 1, tau, 0);
    topk_case(k, 13, 37, 8, tau, 0);
    topk_case(k, 13, 37, 8, tau, 1);
    topk_case(k, 5, 199, 64, tau, 0);
    topk_of_all(k, 6, 37, (float)tau);
  }
}

/* ---- OFA-KD ---- */

typedef struct ofa_problem {
  loss_problem loss;
  double epsilon;
} ofa_problem;

static void ofa_forward(const void *context, double *losses) {
  const ofa_problem *o = context;
  const loss_problem *x = &o->loss;
  double student[256], teacher[256], wide[256];
  for (size_t r = 0; r < x->R; r++) {
    if (x->targets[r] == EF_IGNORE) continue;
    for (size_t i = 0; i < x->V; i++) wide[i] = x->teacher[r * x->V + i];
    log_softmax(x->V, x->tau, wide, teacher);
    log_softmax(x->V, x->tau, x->logits + r * x->V, student);
    for (size_t i = 0; i < x->V; i++) {
      double y = i == (size_t)x->targets[r];
      losses[r] -= x->tau * x->tau * (pow(exp(teacher[i]) + y, o->epsilon) - y) * student[i];
    }
  }
}

static void ofa_case(const ef_kernels *k, size_t R, size_t V, double tau, double epsilon) {
  const float *student = kt_input(R * V, 3.0f), *teacher = kt_input(R * V, 3.0f), scale = 0.7f;
  float *losses = kt_floats(R), *alone = kt_floats(R), *dlogits = kt_random(R * V, 0.1f);
  const float *start = kt_copy(R * V, dlogits);
  ofa_problem x = {{.R = R, .V = V, .tau = tau, .targets = some_targets(R, V), .teacher = teacher}, epsilon};
  x.loss.logits = kt_widen(R * V, student);
  kt_problem p = {ofa_forward, &x, R, constant(R, scale)};
  k->ofa(R, V, (float)tau, (float)epsilon, teacher, student, x.loss.targets, scale, losses, dlogits);
  kt_forward("losses", &p, losses);
  kt_gradient("dlogits", &p, R * V, x.loss.logits, start, dlogits);
  for (size_t r = 0; r < R; r++) {
    if (x.loss.targets[r] == EF_IGNORE) kt_equal("ignored row", V, dlogits + r * V, start + r * V);
  }
  k->ofa(R, V, (float)tau, (float)epsilon, teacher, student, x.loss.targets, scale, alone, NULL);
  kt_match("losses without gradient", R, alone, kt_widen(R, losses));
  kt_done();
}

/* With epsilon 1 the target is the teacher's distribution: the gradient of kl, whatever the label. */
static void ofa_of_one(const ef_kernels *k, size_t R, size_t V, float tau) {
  const float *teacher = kt_input(R * V, 3.0f), *student = kt_input(R * V, 3.0f);
  const int32_t *targets = some_targets(R, V);
  float *losses = kt_floats(R), *got = constant(R * V, 0.0f), *want = constant(R * V, 0.0f);
  k->ofa(R, V, tau, 1.0f, teacher, student, targets, 0.5f, losses, got);
  k->kl(R, V, tau, teacher, student, targets, 0.5f, losses, want);
  kt_match("dlogits", R * V, got, kt_widen(R * V, want));
  kt_done();
}

void check_ofa(const ef_kernels *k) {
  static const double epsilons[] = {1.0, 1.5, 2.0, 0.75};
  for (size_t i = 0; i < 4; i++) {
    ofa_case(k, 0, 5, 1.0, epsilons[i]);
    ofa_case(k, 2, 1, 2.0, epsilons[i]);
    ofa_case(k, 13, 37, 1.0, epsilons[i]);
    ofa_case(k, 13, 37, 2.0, epsilons[i]);
    ofa_case(k, 4, 201, 4.0, epsilons[i]);
  }
  ofa_of_one(k, 13, 37, 2.0f);
  /* pT = pS = (1/2, 1/2) and epsilon 2: q = ((3/2)^2 - 1, 1/4) = (5/4, 1/4), loss 3/2 log 2. */
  const float zero[] = {0.0f, 0.0f};
  const int32_t target = 0;
  float loss, gradient[] = {0.0f, 0.0f};
  k->ofa(1, 2, 1.0f, 2.0f, zero, zero, &target, 1.0f, &loss, gradient);
  cr_assert_float_eq(loss, 1.5 * log(2.0), 1e-6);
  cr_assert_float_eq(gradient[0], -0.5, 1e-6);
  cr_assert_float_eq(gradient[1], 0.5, 1e-6);
}

/* ---- log softmax ---- */

static void mix_softmax_case(const ef_kernels *k, size_t R, size_t V, float weight) {
  const float *x = kt_input(R * V, 5.0f), *before = kt_input(R * V, 1.0f);
  float *y = kt_copy(R * V, before);
  double *want = kt_widen(R * V, x), *sum = kt_widen(R * V, before);
  for (size_t r = 0; r < R; r++) log_softmax(V, 1.0, want + r * V, want + r * V);
  for (size_t i = 0; i < R * V; i++) sum[i] += (double)weight * exp(want[i]);
  k->mix_softmax(R, V, weight, kt_copy(R * V, x), y);
  kt_match("y", R * V, y, sum);
  kt_done();
}

void check_mix_softmax(const ef_kernels *k) {
  mix_softmax_case(k, 0, 3, 1.0f);
  mix_softmax_case(k, 3, 0, 1.0f);
  mix_softmax_case(k, 3, 1, 1.0f);
  mix_softmax_case(k, 13, 37, 0.0f);
  mix_softmax_case(k, 13, 37, 0.25f);
  mix_softmax_case(k, 4, 201, 2.5f);
}

/* ---- AdamW ---- */

/* Five steps of every parameter on its own, as torch.optim.AdamW does them. */
static void adamw_case(const ef_kernels *k, size_t n, float lr, float decay, float grad_scale) {
  ef_adamw o = {
      .lr = lr, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .decay = decay, .grad_scale = grad_scale};
  float *p = kt_random(n, 1.0f), *m = constant(n, 0.0f), *v = constant(n, 0.0f);
  double *want_p = kt_widen(n, p), *want_m = kt_doubles(n), *want_v = kt_doubles(n);
  double beta1 = o.beta1, beta2 = o.beta2, power1 = 1.0, power2 = 1.0;
  for (o.step = 1; o.step <= 5; o.step++) {
    const float *g = kt_input(n, 1.0f);
    power1 *= beta1;
    power2 *= beta2;
    for (size_t i = 0; i < n; i++) {
      double gradient = (double)grad_scale * g[i];
      want_p[i] -= (double)lr * decay * want_p[i];
      want_m[i] += (1.0 - beta1) * (gradient - want_m[i]);
      want_v[i] += (1.0 - beta2) * (gradient * gradient - want_v[i]);
      want_p[i] -= lr * (want_m[i] / (1.0 - power1)) / (sqrt(want_v[i] / (1.0 - power2)) + o.eps);
    }
    k->adamw(&o, n, p, g, m, v);
    kt_match("p", n, p, want_p);
    kt_match("m", n, m, want_m);
    kt_match("v", n, v, want_v);
  }
  kt_done();
}

void check_adamw(const ef_kernels *k) {
  adamw_case(k, 0, 1e-2f, 0.1f, 1.0f);
  adamw_case(k, 1, 1e-2f, 0.1f, 1.0f);
  adamw_case(k, 37, 1e-2f, 0.0f, 1.0f);
  adamw_case(k, 1021, 1e-1f, 0.1f, 0.3f);
  /* The first step moves by lr against the sign of the gradient, whatever its size; a zero gradient only
   * decays. */
  ef_adamw o = {.lr = 0.5f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-12f, .decay = 0.2f, .grad_scale = 1.0f};
  float p[] = {1.0f, 1.0f, 1.0f}, g[] = {3.0f, -1e-3f, 0.0f}, m[3] = {0}, v[3] = {0};
  o.step = 1;
  k->adamw(&o, 3, p, g, m, v);
  cr_assert_float_eq(p[0], 0.4, 1e-5);
  cr_assert_float_eq(p[1], 1.4, 1e-5);
  cr_assert_float_eq(p[2], 0.9, 1e-6);
}
