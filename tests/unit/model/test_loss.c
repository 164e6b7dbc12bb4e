/* The losses in blocks of rows: cross-entropy and distillation against sums over the whole logits. */
#include "cases.h"
#include "model/loss.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { B = 4, T = 75, R = B * T, V = 37 }; /* more rows than one block of the head */

typedef struct bench {
  ef_model model;
  ef_pass *pass;
  int32_t ids[R], targets[R];
  float *logits, *teacher; /* (R,V) */
} bench;

static void teacher_logits(void *ctx, size_t row, size_t rows, const float *student, float *out) {
  (void)student;
  const bench *b = ctx;
  memcpy(out, b->teacher + row * V, rows * V * sizeof *out);
}

static bench *open_bench(ef_pass_kind kind) {
  bench *b = calloc(1, sizeof *b);
  const ef_shape shape = {.V = V, .D = 24, .L = 1, .H = 4, .max_positions = 80};
  ef_dims dims;
  cr_assert_eq(ef_dims_make(EF_LLAMA, &shape, &dims), EF_OK);
  cr_assert_eq(ef_model_create(&dims, &b->model), EF_OK);
  case_fill(&b->model, 7);
  for (int i = 0; i < R; i++) b->ids[i] = (i * 11 + i / 5) % V;
  ef_shift_labels(B, T, b->ids, b->targets);
  b->targets[1] = b->targets[280] = EF_IGNORE;
  cr_assert_eq(ef_pass_create(&dims, ef_kernels_find("ref"), kind, B, T, false, NULL, &b->pass), EF_OK);
  cr_assert_eq(ef_forward(b->pass, &b->model, b->ids, B, T), EF_OK);
  b->logits = malloc(R * V * sizeof(float));
  b->teacher = malloc(R * V * sizeof(float));
  ef_logits(b->pass, &b->model, 0, R, b->logits);
  test_fill(b->teacher, R * V, 3.0f, 5);
  return b;
}

static void close_bench(bench *b) {
  ef_pass_free(b->pass);
  ef_model_free(&b->model);
  free(b->logits);
  free(b->teacher);
  free(b);
}

static double log_sum(const float *z, double tau) {
  double sum = 0.0;
  for (int v = 0; v < V; v++) sum += exp((double)z[v] / tau);
  return log(sum);
}

/* Rank of entry v among the teacher's logits. */
static size_t rank_of(const float *z, int v) {
  size_t rank = 0;
  for (int u = 0; u < V; u++) rank += z[u] > z[v] || (z[u] == z[v] && u < v);
  return rank;
}

/* tau^2 KL of one row and its gradient with respect to the student's logits, on the teacher's k largest. */
static double kl_row(const float *teacher, const float *student, size_t k, double tau, double *gradient) {
  double mass = 0.0, kl = 0.0;
  for (int v = 0; v < V; v++) mass += rank_of(teacher, v) < k ? exp((double)teacher[v] / tau) : 0.0;
  for (int v = 0; v < V; v++) {
    double p = rank_of(teacher, v) < k ? exp((double)teacher[v] / tau) / mass : 0.0;
    double log_q = (double)student[v] / tau - log_sum(student, tau);
    if (p > 0.0) kl += tau * tau * p * (log(p) - log_q);
    gradient[v] = tau * (exp(log_q) - p);
  }
  return kl;
}

/* OFA-KD of one row at temperature 2 and its gradient with respect to the student's logits. */
static double ofa_row(const float *teacher, const float *student, int32_t target, double epsilon,
                      double *gradient) {
  double tau = 2.0, loss = 0.0, mass = 0.0;
  for (int v = 0; v < V; v++) {
    double y = v == target, p = exp((double)teacher[v] / tau - log_sum(teacher, tau));
    double q = pow(p + y, epsilon) - y;
    mass += q;
    loss -= tau * tau * q * ((double)student[v] / tau - log_sum(student, tau));
    gradient[v] = -tau * q;
  }
  for (int v = 0; v < V; v++)
    gradient[v] += tau * mass * exp((double)student[v] / tau - log_sum(student, tau));
  return loss;
}

Test(loss, cross_entropy_over_blocks) {
  bench *b = open_bench(EF_PASS_EVAL);
  uint8_t row_hits[R];
  ef_loss_spec spec = {.targets = b->targets, .row_hits = row_hits};
  ef_loss_sums sums = {.ce = 1.0, .tokens = 10};
  float rows[R];
  double ce = 1.0;
  size_t tokens = 10, hits = 0;
  ef_loss(b->pass, &b->model, &spec, NULL, NULL, rows, &sums);
  for (int r = 0; r < R; r++) {
    const float *z = b->logits + r * V;
    bool counted = b->targets[r] != EF_IGNORE;
    double row = counted ? log_sum(z, 1.0) - (double)z[b->targets[r]] : 0.0;
    cr_assert_float_eq(rows[r], row, 1e-5);
    ce += row;
    tokens += counted;
    bool hit = counted && rank_of(z, b->targets[r]) == 0;
    cr_assert_eq(row_hits[r], hit);
    hits += hit;
  }
  cr_expect_float_eq(sums.ce, ce, 1e-4);
  cr_expect_eq(sums.tokens, tokens);
  cr_expect_eq(sums.tokens, 10 + R - B - 2);
  cr_expect_eq(sums.hits, hits);
  close_bench(b);
}

/* dfinal and the head's gradient from the gradient of the logits, written out. epsilon 0: KL. */
static void check_distillation(size_t top_k, double epsilon) {
  bench *b = open_bench(EF_PASS_TRAIN);
  size_t D = b->model.dims.D;
  const ef_teacher teacher = {b, teacher_logits};
  ef_loss_spec spec = {.targets = b->targets,
                       .ce_scale = 0.01f,
                       .kl_scale = 0.03f,
                       .tau = 2.0f,
                       .top_k = top_k,
                       .teacher = &teacher,
                       .ofa = epsilon > 0.0,
                       .epsilon = (float)epsilon};
  ef_loss_sums sums = {0};
  float *grads = calloc(b->model.table.floats, sizeof *grads), *dfinal = malloc(R * D * sizeof *dfinal);
  double *dhead = calloc(V * D, sizeof *dhead), kl = 0.0, g[V], worst = 0.0;
  const ef_tensor *head = ef_table_find(&b->model.table, EF_T_HEAD_W, -1, -1);
  const float *w = b->model.params + head->offset, *x = ef_pass_final(b->pass);
  ef_loss(b->pass, &b->model, &spec, grads, dfinal, NULL, &sums);
  for (size_t r = 0; r < R; r++) {
    bool counted = b->targets[r] != EF_IGNORE;
    const float *taught = b->teacher + r * V, *z = b->logits + r * V;
    double row = epsilon > 0.0 ? ofa_row(taught, z, b->targets[r], epsilon, g)
                               : kl_row(taught, z, top_k ? top_k : V, 2.0, g);
    kl += counted ? row : 0.0;
    for (int v = 0; v < V; v++) {
      double p = exp((double)z[v] - log_sum(z, 1.0));
      g[v] = counted ? 0.03 * g[v] + 0.01 * (p - (b->targets[r] == v)) : 0.0;
    }
    for (size_t i = 0; i < D; i++) {
      double sum = 0.0;
      for (size_t v = 0; v < V; v++) {
        sum += g[v] * (double)w[v * D + i];
        dhead[v * D + i] += g[v] * (double)x[r * D + i];
      }
      worst = fmax(worst, fabs(sum - (double)dfinal[r * D + i]));
    }
  }
  cr_expect_float_eq(sums.kl, kl, 1e-5 * kl);
  cr_expect_lt(worst, 1e-6);
  for (size_t i = 0; i < V * D; i++) cr_assert_float_eq(grads[head->offset + i], dhead[i], 1e-5);
  free(grads), free(dfinal), free(dhead);
  close_bench(b);
}

Test(loss, distillation_from_the_full_distribution) { check_distillation(0, 0.0); }
Test(loss, distillation_from_the_largest_logits) { check_distillation(5, 0.0); }
Test(loss, ofa_from_the_full_distribution) {
  check_distillation(0, 1.0);
  check_distillation(5, 1.5);
}

Test(loss, labels_are_shifted_within_each_sequence) {
  const int32_t labels[6] = {1, 2, EF_IGNORE, 4, 5, 6};
  int32_t targets[6];
  ef_shift_labels(2, 3, labels, targets);
  const int32_t expected[6] = {2, EF_IGNORE, EF_IGNORE, 5, 6, EF_IGNORE};
  cr_expect_arr_eq(targets, expected, sizeof expected);
}

/* With labels of its own the cross-entropy leaves rows out that the distillation keeps: loss and gradient are
 * the sums of those of the two alone. */
Test(loss, labels_change_the_cross_entropy_alone) {
  bench *b = open_bench(EF_PASS_TRAIN);
  const ef_teacher teacher = {b, teacher_logits};
  int32_t labels[R];
  for (int r = 0; r < R; r++) labels[r] = r / T % 2 ? EF_IGNORE : b->targets[r];
  const ef_loss_spec specs[3] = {{.targets = b->targets,
                                  .labels = labels,
                                  .ce_scale = 0.7f,
                                  .kl_scale = 0.4f,
                                  .tau = 1.5f,
                                  .teacher = &teacher},
                                 {.targets = labels, .ce_scale = 0.7f},
                                 {.targets = b->targets, .kl_scale = 0.4f, .tau = 1.5f, .teacher = &teacher}};
  size_t n = b->model.table.floats, D = b->model.dims.D;
  float *grads[3], *dfinal[3];
  ef_loss_sums sums[3] = {{0}};
  for (int i = 0; i < 3; i++) {
    grads[i] = calloc(n, sizeof(float));
    dfinal[i] = calloc(R * D, sizeof(float));
    ef_loss(b->pass, &b->model, &specs[i], grads[i], dfinal[i], NULL, &sums[i]);
  }
  cr_assert_float_eq(sums[0].ce, sums[1].ce, 1e-4);
  cr_assert_float_eq(sums[0].kl, sums[2].kl, 1e-4);
  cr_assert_eq(sums[0].tokens, sums[2].tokens, "all rows with a target are counted");
  for (size_t i = 0; i < n; i++) cr_assert_float_eq(grads[0][i], grads[1][i] + grads[2][i], 2e-4);
  for (size_t i = 0; i < R * D; i++) cr_assert_float_eq(dfinal[0][i], dfinal[1][i] + dfinal[2][i], 1e-5);
  for (int i = 0; i < 3; i++) {
    free(grads[i]);
    free(dfinal[i]);
  }
  close_bench(b);
}
