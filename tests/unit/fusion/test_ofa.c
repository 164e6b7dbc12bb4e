/* OFA-KD: the branches against plain loops in double, with finite differences. */
#include "base/memory.h"
#include "fusion/ofa.h"
#include "support/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { J = 2, D = 8, V = 13, B = 2, T = 5, R = B * T, BRANCH = D * D + 3 * D, COUNT = J * BRANCH };

typedef struct sample {
  ef_ofa_shape shape;
  ef_ofa *ofa;
  ef_model model;
  ef_pass *pass;
  size_t head; /* of the output matrix (V,D) in the model's block */
  int32_t targets[R];
  float stages[J][R * D], logits[R * V], dtaps[J][R * D], extra_grads[COUNT];
  float *grads; /* (table.floats) */
} sample;

static void teacher_logits(void *ctx, size_t row, size_t rows, const float *student, float *out) {
  (void)student;
  const sample *q = ctx;
  memcpy(out, q->logits + row * V, rows * V * sizeof *out);
}

static void make(sample *q, const char *backend, bool tied, float epsilon, float tau) {
  const ef_kernels *kernels = ef_kernels_find(backend);
  const ef_shape shape = {.V = V, .D = D, .L = 1, .H = 2, .max_positions = T};
  ef_dims dims;
  int32_t ids[R];
  *q = (sample){.shape = {.width = D, .J = J, .epsilon = epsilon, .tau = tau}};
  cr_assert_eq(ef_dims_make(tied ? EF_GPT2 : EF_LLAMA, &shape, &dims), EF_OK);
  cr_assert_eq(dims.tied, tied);
  cr_assert_eq(ef_model_create(&dims, &q->model), EF_OK);
  cr_assert_eq(ef_pass_create(&dims, kernels, EF_PASS_TRAIN, B, T, true, NULL, &q->pass), EF_OK);
  cr_assert_eq(ef_ofa_create(&q->shape, kernels, R, &q->ofa), EF_OK);
  q->head = ef_table_find(&q->model.table, tied ? EF_T_EMBED : EF_T_HEAD_W, -1, -1)->offset;
  q->grads = calloc(q->model.table.floats, sizeof *q->grads);
  test_fill(q->model.params, q->model.table.floats, 0.7f, 1);
  test_fill(ef_ofa_block(q->ofa), COUNT, 0.7f, 2);
  test_fill(q->logits, R * V, 3.0f, 3);
  for (unsigned j = 0; j < J; j++) test_fill(q->stages[j], R * D, 1.5f, 10 + j);
  for (int r = 0; r < R; r++) {
    ids[r] = r % V;
    q->targets[r] = r == 3 ? EF_IGNORE : r * 5 % V;
  }
  cr_assert_eq(ef_forward(q->pass, &q->model, ids, B, T), EF_OK);
}

static void release(sample *q) {
  ef_ofa_free(q->ofa);
  ef_pass_free(q->pass);
  ef_model_free(&q->model);
  free(q->grads);
}

static double loss_of(sample *q, float scale, bool gradients) {
  const float *stages[J] = {q->stages[0], q->stages[1]};
  float *dtaps[J] = {q->dtaps[0], q->dtaps[1]};
  const ef_teacher teacher = {q, teacher_logits};
  const ef_lesson lesson = {.pass = q->pass,
                            .model = &q->model,
                            .targets = q->targets,
                            .mean = 1.0f / (R - 1),
                            .grads = q->grads,
                            .extra_grads = gradients ? q->extra_grads : NULL};
  const ef_comparison c = {
      .student = stages, .logits = &teacher, .lesson = &lesson, .scale = scale, .dtaps = dtaps};
  return ef_ofa_loss(q->ofa, &c);
}

/* ---- the loss written down again ----------------------------------------------------------------------- */

static void probabilities(const double *z, double tau, double *p) {
  double sum = 0.0;
  for (int v = 0; v < V; v++) sum += exp(z[v] / tau);
  for (int v = 0; v < V; v++) p[v] = exp(z[v] / tau) / sum;
}

static void branch_logits(const sample *q, int j, int r, double *z) {
  const float *p = ef_ofa_block(q->ofa) + j * BRANCH, *w = p + 2 * D, *b = w + D * D;
  const float *x = q->stages[j] + r * D, *head = q->model.params + q->head;
  double mean = 0.0, variance = 0.0, normed[D], hidden[D];
  for (int c = 0; c < D; c++) mean += (double)x[c] / D;
  for (int c = 0; c < D; c++) variance += ((double)x[c] - mean) * ((double)x[c] - mean) / D;
  for (int c = 0; c < D; c++)
    normed[c] = ((double)x[c] - mean) / sqrt(variance + 1e-5) * (double)p[c] + (double)p[D + c];
  for (int o = 0; o < D; o++) {
    double u = (double)b[o];
    for (int c = 0; c < D; c++) u += (double)w[o * D + c] * normed[c];
    hidden[o] = 0.5 * u * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (u + 0.044715 * u * u * u)));
  }
  for (int v = 0; v < V; v++) {
    z[v] = 0.0;
    for (int c = 0; c < D; c++) z[v] += (double)head[v * D + c] * hidden[c];
  }
}

/* Sum over the branches of the mean over counted rows. */
static double plain_loss(const sample *q) {
  double tau = (double)q->shape.tau, loss = 0.0;
  for (int n = 0; n < J * R; n++) {
    int r = n % R;
    double z[V], taught[V], student[V], teacher[V];
    if (q->targets[r] == EF_IGNORE) continue;
    branch_logits(q, n / R, r, z);
    for (int v = 0; v < V; v++) taught[v] = (double)q->logits[r * V + v];
    probabilities(z, tau, student);
    probabilities(taught, tau, teacher);
    for (int v = 0; v < V; v++) {
      double y = v == q->targets[r];
      loss -= tau * tau * (pow(teacher[v] + y, (double)q->shape.epsilon) - y) * log(student[v]) / (R - 1);
    }
  }
  return loss;
}

/* Central difference with one step of Richardson's extrapolation, of every element. */
static void check_gradient(sample *q, const char *what, float *p, const float *g, size_t n, float scale) {
  for (size_t i = 0; i < n; i++) {
    const float keep = p[i];
    double d[2];
    for (int s = 0; s < 2; s++) {
      float step = 1.0f / (float)(128 << s), up = keep + step, down = keep - step;
      p[i] = up;
      double above = plain_loss(q);
      p[i] = down;
      d[s] = (above - plain_loss(q)) / ((double)up - (double)down);
    }
    p[i] = keep;
    double slope = (double)scale * (4.0 * d[1] - d[0]) / 3.0;
    cr_assert_float_eq((double)g[i], slope, 2e-5 + 1e-4 * fabs(slope), "%s %zu: %g, %g", what, i,
                       (double)g[i], slope);
  }
}

static void check_sample(const char *backend, bool tied, float epsilon, float tau, float scale) {
  sample q;
  make(&q, backend, tied, epsilon, tau);
  double got = loss_of(&q, scale, true), wanted = plain_loss(&q) / J;
  cr_assert_float_eq(got, wanted, 3e-6 * wanted, "%s: %.9g, %.9g", backend, got, wanted);
  cr_assert_float_eq(loss_of(&q, scale, false), got, 0.0, "the value alone");
  check_gradient(&q, "branches", ef_ofa_block(q.ofa), q.extra_grads, COUNT, scale);
  check_gradient(&q, "output matrix", q.model.params + q.head, q.grads + q.head, (size_t)V * D, scale);
  for (size_t j = 0; j < J; j++) check_gradient(&q, "tap", q.stages[j], q.dtaps[j], (size_t)R * D, scale);
  for (size_t i = 0; i < q.model.table.floats; i++) {
    bool of_head = i >= q.head && i < q.head + (size_t)V * D;
    cr_assert(of_head || q.grads[i] == 0.0f, "the model's other parameters get nothing from the branches");
  }
  loss_of(&q, scale, true);
  for (size_t i = 0; i < COUNT; i++) q.extra_grads[i] *= 0.5f;
  for (size_t i = 0; i < V * D; i++) q.grads[q.head + i] *= 0.5f;
  check_gradient(&q, "branches, added", ef_ofa_block(q.ofa), q.extra_grads, COUNT, scale);
  check_gradient(&q, "output matrix, added", q.model.params + q.head, q.grads + q.head, (size_t)V * D, scale);
  release(&q);
}

Test(ofa, loss_and_gradients_equal_the_formula) {
  static const char *const backends[] = {"ref", "blas", "guard"};
  for (size_t i = 0; i < 3; i++) {
    check_sample(backends[i], true, 1.0f, 1.0f, 1.0f);
    check_sample(backends[i], false, 1.5f, 1.0f, 0.25f);
    check_sample(backends[i], true, 1.5f, 2.0f, 0.5f);
  }
}

/* With epsilon 1 and one branch the loss is the cross-entropy against soft labels: KL and the teacher's
 * entropy, whatever the labels are. */
Test(ofa, epsilon_one_does_not_see_the_labels) {
  sample q;
  make(&q, "blas", true, 1.0f, 1.0f);
  double before = loss_of(&q, 1.0f, false);
  for (int r = 0; r < R; r++) q.targets[r] = q.targets[r] == EF_IGNORE ? EF_IGNORE : (q.targets[r] + 1) % V;
  cr_assert_float_eq(loss_of(&q, 1.0f, false), before, 1e-6);
  release(&q);
  make(&q, "blas", true, 1.5f, 1.0f);
  before = loss_of(&q, 1.0f, false);
  for (int r = 0; r < R; r++) q.targets[r] = q.targets[r] == EF_IGNORE ? EF_IGNORE : (q.targets[r] + 1) % V;
  cr_assert_gt(fabs(loss_of(&q, 1.0f, false) - before), 1e-3);
  release(&q);
}

Test(ofa, sizes_are_those_that_are_taken) {
  ef_ofa_shape shape = {.width = 40, .J = 3, .epsilon = 1.0f, .tau = 1.0f};
  size_t before = ef_memory_bytes(), branch = 40 * 40 + 3 * 40;
  ef_ofa *ofa;
  cr_assert_eq(ef_ofa_create(&shape, ef_kernels_find("ref"), 50, &ofa), EF_OK);
  cr_assert_eq(ef_memory_bytes() - before, ef_ofa_bytes(&shape, 50));
  cr_assert_eq(ef_ofa_params(&shape), 3 * branch);
  ef_ofa_init(ofa, 1, 2);
  const float *p = ef_ofa_block(ofa);
  double squares = 0.0;
  for (size_t i = 0; i < 40; i++) cr_assert(p[i] == 1.0f && p[40 + i] == 0.0f && p[80 + 1600 + i] == 0.0f);
  for (size_t i = 80; i < 1680; i++) squares += (double)(p[i] * p[i]);
  cr_assert_float_eq(squares / 1600, 1.0 / 40, 0.1 / 40);
  cr_assert_neq(p[80], p[80 + branch]);
  ef_ofa_free(ofa);
  cr_assert_eq(ef_memory_bytes(), before);
  shape.J = 0;
  cr_assert_eq(ef_ofa_create(&shape, ef_kernels_find("ref"), 50, &ofa), EF_DECK);
}
