#include "base/memory.h"
#include "fusion/vaa_internal.h"
#include "support/support.h"
#include "vaa_plain.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_J = 4 };

/* A view-aligned attention with random parameters and random taps. */
typedef struct sample {
  ef_vaa *vaa;
  float *student[MAX_J], *teacher[MAX_J], *dtaps[MAX_J], *grads;
  size_t student_floats, teacher_floats;
} sample;

static sample make(const ef_vaa_shape *shape, const char *backend, size_t B, size_t T) {
  sample q = {.student_floats = B * T * shape->student, .teacher_floats = B * T * shape->teacher};
  cr_assert_eq(ef_vaa_create(shape, ef_kernels_find(backend), B, T, &q.vaa), EF_OK);
  test_fill(ef_vaa_block(q.vaa), ef_vaa_params(q.vaa), 0.6f, 1);
  for (unsigned j = 0; j < shape->J; j++) {
    q.student[j] = calloc(q.student_floats, sizeof(float));
    q.teacher[j] = calloc(q.teacher_floats, sizeof(float));
    q.dtaps[j] = calloc(q.student_floats, sizeof(float));
    test_fill(q.student[j], q.student_floats, 1.0f, 10 + j);
    test_fill(q.teacher[j], q.teacher_floats, 1.5f, 20 + j);
  }
  q.grads = calloc(ef_vaa_params(q.vaa), sizeof(float));
  return q;
}

static void drop(sample *q) {
  for (size_t j = 0; j < q->vaa->shape.J; j++) {
    free(q->student[j]);
    free(q->teacher[j]);
    free(q->dtaps[j]);
  }
  free(q->grads);
  ef_vaa_free(q->vaa);
}

static double loss_of(sample *q, float scale, bool gradients) {
  return ef_vaa_loss(q->vaa, (const float *const *)q->student, (const float *const *)q->teacher, scale,
                     gradients ? q->grads : NULL, gradients ? q->dtaps : NULL);
}

static double plain_loss(const sample *q) {
  return vaa_plain_loss(&q->vaa->shape, q->vaa->B, q->vaa->T, q->vaa->block, q->student, q->teacher);
}

/* Every mask and target, T a multiple of s and not, J = 1, 2, 4. */
static const ef_vaa_shape shapes[] = {
    {.student = 5, .teacher = 7, .J = 2, .s = 3, .d = 6, .heads = 2},
    {.student = 5, .teacher = 3, .J = 1, .s = 2, .d = 4, .heads = 1, .normed = true},
    {.student = 4, .teacher = 6, .J = 4, .s = 4, .d = 8, .heads = 4, .causal = true, .normed = true},
    {.student = 3, .teacher = 5, .J = 2, .s = 4, .d = 6, .heads = 3, .own_stage = true, .normed = true},
    {.student = 6, .teacher = 4, .J = 4, .s = 1, .d = 9, .heads = 3, .causal = true, .own_stage = true},
    {.student = 6, .teacher = 4, .J = 2, .s = 16, .d = 4, .heads = 2, .causal = true},
    {.student = 5, .teacher = 7, .J = 2, .s = 3, .d = 6, .heads = 2, .mlp = true, .normed = true},
    {.student = 4, .teacher = 3, .J = 3, .s = 2, .d = 5, .heads = 1, .mlp = true},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

Test(vaa, forward_equals_the_formulas_in_plain_double) {
  static const char *const backends[] = {"ref", "blas", "guard"};
  static const size_t lengths[] = {1, 8, 11, 12};
  for (size_t i = 0; i < SHAPES; i++) {
    for (size_t c = 0; c < 12; c++) {
      sample q = make(&shapes[i], backends[c % 3], 2, lengths[c / 3]);
      double wanted = plain_loss(&q), got = loss_of(&q, 1.0f, false);
      cr_assert_float_eq(got, wanted, 2e-6 * wanted, "shape %zu case %zu: %.9g and %.9g", i, c, got, wanted);
      cr_assert_float_eq(loss_of(&q, 1.0f, true), got, 0.0, "the same with gradients");
      drop(&q);
    }
  }
}

/* Central difference of the plain double loss along `direction` of the n floats at p. */
static double difference(sample *q, float *p, const float *direction, size_t n) {
  float *saved = malloc(n * sizeof *saved);
  double step = 1.0 / 512, side[2];
  memcpy(saved, p, n * sizeof *p);
  for (int k = 0; k < 2; k++) {
    for (size_t i = 0; i < n; i++) p[i] = saved[i] + (k ? -1.0f : 1.0f) * (float)step * direction[i];
    side[k] = plain_loss(q);
  }
  memcpy(p, saved, n * sizeof *p);
  free(saved);
  return (side[0] - side[1]) / (2.0 * step);
}

/* Compares the gradient g of the n floats at p with differences: some single elements and two random signs.
 */
static void check_gradient(sample *q, const char *what, float *p, const float *g, size_t n) {
  float *direction = malloc(n * sizeof *direction);
  for (unsigned c = 0; c < 6; c++) {
    bool single = c < 4;
    test_fill(direction, n, 1.0f, 50 + c);
    for (size_t i = 0; i < n; i++)
      direction[i] = single ? (float)(i == (c * 7 + 1) * n / 29) : direction[i] > 0 ? 1.0f : -1.0f;
    double got = 0.0, size = 0.0;
    for (size_t i = 0; i < n; i++) {
      got += (double)(g[i] * direction[i]);
      size += fabs((double)(g[i] * direction[i]));
    }
    double wanted = difference(q, p, direction, n);
    cr_assert_float_eq(got, wanted, 2e-4 * (size + fabs(wanted)) + 2e-5,
                       "%s, direction %u: %g, differences %g", what, c, got, wanted);
  }
  free(direction);
}

static void check_all_gradients(const ef_vaa_shape *shape, const char *backend, size_t T) {
  sample q = make(shape, backend, 2, T);
  loss_of(&q, 1.0f, true);
  for (int role = 0; role < EF_VAA_ROLE_COUNT; role++) {
    for (size_t j = 0; j < (role < (int)EF_VAA_STAGE_ROLES ? shape->J : 1); j++) {
      char what[64];
      size_t at = ef_vaa_at(q.vaa, (ef_vaa_role)role, j);
      snprintf(what, sizeof what, "role %d stage %zu J %zu T %zu", role, j, shape->J, T);
      check_gradient(&q, what, q.vaa->block + at, q.grads + at, ef_vaa_count(q.vaa, (ef_vaa_role)role));
    }
  }
  for (size_t j = 0; j < shape->J; j++) check_gradient(&q, "tap", q.student[j], q.dtaps[j], q.student_floats);
  drop(&q);
}

Test(vaa, gradients_equal_finite_differences) {
  for (size_t i = 0; i < SHAPES; i++) {
    check_all_gradients(&shapes[i], "ref", 12);
    check_all_gradients(&shapes[i], "blas", 9);
  }
}

Test(vaa, gradients_are_scaled_and_added_and_taps_overwritten) {
  sample a = make(&shapes[2], "blas", 3, 11), b = make(&shapes[2], "blas", 3, 11);
  loss_of(&a, 1.0f, true);
  memset(b.dtaps[1], 0xff, b.student_floats * sizeof(float));
  loss_of(&b, 0.25f, true);
  loss_of(&b, 0.25f, true);
  for (size_t i = 0; i < ef_vaa_params(a.vaa); i++) a.grads[i] *= 0.5f;
  for (size_t i = 0; i < a.student_floats; i++) a.dtaps[1][i] *= 0.25f;
  cr_assert_lt(test_rel_frobenius(b.grads, a.grads, ef_vaa_params(a.vaa)), 1e-5);
  cr_assert_lt(test_rel_frobenius(b.dtaps[1], a.dtaps[1], a.student_floats), 1e-5);
  drop(&a);
  drop(&b);
}

/* With W_q = W_k = 0 every visible patch has the same weight: y is the mean of their values. */
Test(vaa, without_queries_and_keys_attention_is_the_uniform_mean) {
  for (size_t i = 0; i < SHAPES; i++) {
    if (shapes[i].mlp) continue;
    sample q = make(&shapes[i], "ref", 2, 12);
    const ef_vaa *v = q.vaa;
    size_t d = v->shape.d, P = v->P;
    memset(v->block + ef_vaa_at(v, EF_VAA_MIX_W, 0), 0, 2 * d * d * sizeof(float));
    loss_of(&q, 1.0f, false);
    for (size_t row = 0; row < v->Q; row++) {
      for (size_t c = 0; c < d; c++) {
        double sum = 0.0, seen = 0.0;
        for (size_t other = 0; other < v->Q; other++) {
          bool visible =
              !(v->shape.causal && other % P > row % P) && !(v->shape.own_stage && other / P != row / P);
          sum += visible ? (double)v->qkv[other * 3 * d + 2 * d + c] : 0.0;
          seen += visible;
        }
        cr_assert_float_eq((double)v->y[row * d + c], sum / seen, 1e-5);
      }
    }
    drop(&q);
  }
}

/* Norm of dL/dF_j when only stage `kept` of the teacher is missed: the other stages' R and c give no
 * gradient. */
static double reach(bool own_stage, size_t kept, size_t j) {
  ef_vaa_shape shape = {
      .student = 5, .teacher = 4, .J = 3, .s = 2, .d = 4, .heads = 2, .own_stage = own_stage};
  sample q = make(&shape, "ref", 2, 8);
  for (size_t other = 0; other < shape.J; other++) {
    if (other == kept) continue; /* prediction 0 of a zero target */
    memset(q.teacher[other], 0, q.teacher_floats * sizeof(float));
    memset(q.vaa->block + ef_vaa_at(q.vaa, EF_VAA_OUT_W, other), 0,
           (ef_vaa_count(q.vaa, EF_VAA_OUT_W) + ef_vaa_count(q.vaa, EF_VAA_OUT_B)) * sizeof(float));
  }
  loss_of(&q, 1.0f, true);
  double squares = 0.0;
  for (size_t i = 0; i < q.student_floats; i++) squares += (double)(q.dtaps[j][i] * q.dtaps[j][i]);
  drop(&q);
  return sqrt(squares);
}

Test(vaa, every_teacher_stage_reaches_every_student_stage_unless_masked) {
  for (size_t kept = 0; kept < 3; kept++) {
    for (size_t j = 0; j < 3; j++) {
      cr_assert_gt(reach(false, kept, j), 1e-4, "teacher stage %zu, student stage %zu", kept, j);
      cr_assert((reach(true, kept, j) > 1e-4) == (kept == j), "own stage: %zu, %zu", kept, j);
    }
  }
}

/* Gradient of the loss of the first three patches' targets by the last patch's tokens: read off the mixed
 * patches. */
Test(vaa, causal_predictions_do_not_see_later_patches) {
  for (int causal = 0; causal < 2; causal++) {
    ef_vaa_shape shape = {
        .student = 5, .teacher = 4, .J = 2, .s = 3, .d = 6, .heads = 2, .causal = causal == 1};
    sample q = make(&shape, "blas", 2, 12);
    size_t d = shape.d, P = q.vaa->P, changed = 0;
    loss_of(&q, 1.0f, false);
    float *before = malloc(2 * q.vaa->Q * d * sizeof *before);
    memcpy(before, q.vaa->y, 2 * q.vaa->Q * d * sizeof *before);
    for (size_t j = 0; j < shape.J; j++) {
      for (size_t b = 0; b < 2; b++)
        for (size_t t = 9; t < 12; t++) q.student[j][(b * 12 + t) * 5] += 1.0f;
    }
    loss_of(&q, 1.0f, false);
    for (size_t row = 0; row < 2 * q.vaa->Q; row++) {
      bool same = memcmp(before + row * d, q.vaa->y + row * d, d * sizeof *before) == 0;
      if (row % P < P - 1) changed += !same;
      cr_assert(row % P < P - 1 || !same, "the last patch sees itself");
    }
    cr_assert((changed == 0) == (causal == 1), "%zu rows changed", changed);
    free(before);
    drop(&q);
  }
}

Test(vaa, taps_divide_the_blocks_from_below) {
  static const size_t wanted[][4] = {{1, 2, 3, 4}, {2, 3, 5, 6}, {1, 2, 3, 3}, {6, 11, 17, 22}};
  static const size_t layers[] = {4, 6, 3, 22};
  for (size_t c = 0; c < 4; c++)
    for (size_t j = 1; j <= 4; j++) cr_assert_eq(ef_vaa_tap(layers[c], 4, j), wanted[c][j - 1]);
  cr_assert_eq(ef_vaa_tap(5, 1, 1), 5);
  cr_assert_eq(ef_vaa_tap(3, 2, 1), 2);
}

Test(vaa, parameters_follow_the_formula_and_bytes_are_what_is_taken) {
  ef_vaa_shape shape = {.student = 128, .teacher = 96, .J = 2, .s = 8, .d = 64, .heads = 4};
  size_t before = ef_memory_bytes();
  ef_vaa *vaa;
  cr_assert_eq(ef_vaa_create(&shape, ef_kernels_find("ref"), 4, 125, &vaa), EF_OK);
  cr_assert_eq(ef_vaa_params(vaa),
               2 * (8 * 128 * 64 + 64 + 8 * 64 * 96 + 8 * 96) + 16 * 64 + 2 * 64 + 2 * 64 + 3 * 64 * 64);
  size_t params;
  cr_assert_eq(ef_memory_bytes() - before, ef_vaa_bytes(&shape, 4, 125, &params));
  cr_assert_eq(params, ef_vaa_params(vaa));
  ef_vaa_free(vaa);
  cr_assert_eq(ef_memory_bytes(), before);
  shape.heads = 5;
  cr_assert_eq(ef_vaa_create(&shape, ef_kernels_find("ref"), 4, 125, &vaa), EF_DECK);
  shape.heads = 0;
  cr_assert_eq(ef_vaa_create(&shape, ef_kernels_find("ref"), 4, 125, &vaa), EF_DECK);
  cr_assert_null(vaa);
  ef_vaa_free(NULL);
}

/* The MLP is a control of capacity: it has as many parameters as the attention that it replaces. */
Test(vaa, an_mlp_has_as_many_parameters_as_the_attention) {
  static const size_t widths[] = {8, 63, 64, 128, 511};
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
    ef_vaa_shape shape = {.student = 96, .teacher = 64, .J = 2, .s = 8, .d = widths[i], .heads = 1};
    size_t attention, mlp;
    ef_vaa_bytes(&shape, 2, 64, &attention);
    shape.mlp = true;
    ef_vaa_bytes(&shape, 2, 64, &mlp);
    cr_assert(mlp <= attention && (double)(attention - mlp) <= 0.01 * (double)attention, "d %zu: %zu, %zu",
              widths[i], attention, mlp);
    cr_assert(widths[i] % 2 == 1 || mlp == attention);
  }
}

/* Every patch stands alone: another stage's student or another patch changes nothing. */
Test(vaa, an_mlp_does_not_mix_patches) {
  ef_vaa_shape shape = {.student = 5, .teacher = 4, .J = 2, .s = 3, .d = 6, .heads = 2, .mlp = true};
  sample q = make(&shape, "blas", 2, 12);
  float before[2 * 2 * 4 * 6];
  loss_of(&q, 1.0f, false);
  memcpy(before, q.vaa->y, sizeof before);
  q.student[1][(1 * 12 + 7) * 5] += 1.0f; /* sequence 1, stage 1, patch 2 */
  loss_of(&q, 1.0f, false);
  for (size_t row = 0; row < 16; row++) {
    bool same = memcmp(before + row * 6, q.vaa->y + row * 6, 6 * sizeof *before) == 0;
    cr_assert_eq(same, row != 8 + 4 + 2, "row %zu", row);
  }
  drop(&q);
}

/* Mass from the weights written down again: softmax of q k^T / sqrt(d/h) over what a patch sees. */
Test(vaa, attention_mass_is_the_mean_weight_by_stage) {
  for (size_t i = 0; i < SHAPES; i++) {
    if (shapes[i].mlp) continue;
    sample q = make(&shapes[i], "blas", 2, 11);
    const ef_vaa *v = q.vaa;
    size_t J = v->shape.J, P = v->P, Q = v->Q, d = v->shape.d, heads = v->shape.heads, width = d / heads;
    double mass[MAX_J * MAX_J], wanted[MAX_J * MAX_J] = {0};
    ef_vaa_mass(q.vaa, (const float *const *)q.student, mass);
    for (size_t n = 0; n < 2 * heads * Q; n++) {
      size_t b = n / heads / Q, h = n / Q % heads, row = n % Q;
      const float *of_row = v->qkv + (b * Q + row) * 3 * d + h * width;
      double weights[64] = {0}, sum = 0.0;
      for (size_t k = 0; k < Q; k++) {
        if ((v->shape.causal && k % P > row % P) || (v->shape.own_stage && k / P != row / P)) continue;
        const float *key = v->qkv + (b * Q + k) * 3 * d + d + h * width;
        double score = 0.0;
        for (size_t c = 0; c < width; c++) score += (double)of_row[c] * (double)key[c];
        sum += weights[k] = exp(score / sqrt((double)width));
      }
      for (size_t k = 0; k < Q; k++)
        wanted[row / P * J + k / P] += weights[k] / sum / (double)(2 * heads * P);
    }
    for (size_t c = 0; c < J * J; c++) {
      cr_assert_float_eq(mass[c], wanted[c], 1e-5, "shape %zu cell %zu: %g, %g", i, c, mass[c], wanted[c]);
      cr_assert(!v->shape.own_stage || fabs(mass[c] - (c / J == c % J)) < 1e-5);
    }
    drop(&q);
  }
}

static double spread(const float *x, size_t n) {
  double squares = 0.0;
  for (size_t i = 0; i < n; i++) squares += (double)(x[i] * x[i]);
  return sqrt(squares / (double)n);
}

Test(vaa, first_values_have_the_documented_spread) {
  ef_vaa_shape shape = {.student = 40, .teacher = 30, .J = 2, .s = 4, .d = 64, .heads = 4};
  sample q = make(&shape, "ref", 1, 64);
  const float *p = ef_vaa_block(q.vaa);
  ef_vaa_init(q.vaa, 5, 6);
  cr_assert_float_eq(spread(p + ef_vaa_at(q.vaa, EF_VAA_PATCH_W, 1), 64 * 160), 1 / sqrt(160.0),
                     0.02 / sqrt(160.0));
  cr_assert_float_eq(spread(p + ef_vaa_at(q.vaa, EF_VAA_OUT_W, 0), 120 * 64), 0.125, 0.125 * 0.03);
  cr_assert_float_eq(spread(p + ef_vaa_at(q.vaa, EF_VAA_MIX_W, 0), 3 * 64 * 64), 0.125, 0.125 * 0.03);
  cr_assert_float_eq(spread(p + ef_vaa_at(q.vaa, EF_VAA_POSITION, 0), 16 * 64), 0.02, 0.002);
  for (size_t i = 0; i < 64; i++) {
    cr_assert(p[ef_vaa_at(q.vaa, EF_VAA_NORM_W, 0) + i] == 1.0f &&
              p[ef_vaa_at(q.vaa, EF_VAA_NORM_B, 0) + i] == 0.0f);
    cr_assert(p[ef_vaa_at(q.vaa, EF_VAA_PATCH_B, 1) + i] == 0.0f &&
              p[ef_vaa_at(q.vaa, EF_VAA_OUT_B, 1) + i] == 0.0f);
  }
  cr_assert_neq(p[ef_vaa_at(q.vaa, EF_VAA_PATCH_W, 0)], p[ef_vaa_at(q.vaa, EF_VAA_PATCH_W, 1)]);
  drop(&q);
}

/* teacher_j = F_j M with a fixed matrix: a relation that the attention can learn on fixed batches. */
static void relate(sample *q, const ef_vaa_shape *shape, unsigned batch) {
  float matrix[16 * 12];
  for (unsigned j = 0; j < shape->J; j++) {
    test_fill(matrix, sizeof matrix / sizeof *matrix, 0.5f, 70 + j);
    test_fill(q->student[j], q->student_floats, 1.0f, 100 + 10 * batch + j);
    ef_kernels_find("ref")->matmul(0, 0, q->teacher_floats / 12, 12, 16, q->student[j], 16, matrix, 12, 0.0f,
                                   q->teacher[j], 12);
  }
}

Test(vaa, training_drives_the_loss_down) {
  ef_vaa_shape shape = {.student = 16, .teacher = 12, .J = 2, .s = 2, .d = 32, .heads = 4, .normed = true};
  sample q = make(&shape, "blas", 4, 16);
  const ef_kernels *k = ef_kernels_find("blas");
  size_t n = ef_vaa_params(q.vaa);
  float *m = calloc(n, sizeof *m), *v = calloc(n, sizeof *v);
  ef_vaa_init(q.vaa, 1, 1);
  relate(&q, &shape, 0);
  double first = loss_of(&q, 1.0f, false);
  ef_adamw o = {.lr = 3e-3f, .beta1 = 0.9f, .beta2 = 0.99f, .eps = 1e-8f, .grad_scale = 1.0f};
  for (o.step = 1; o.step <= 400; o.step++) {
    relate(&q, &shape, (unsigned)(o.step % 4));
    memset(q.grads, 0, n * sizeof *q.grads);
    loss_of(&q, 1.0f, true);
    k->adamw(&o, n, q.vaa->block, q.grads, m, v);
  }
  relate(&q, &shape, 0);
  double last = loss_of(&q, 1.0f, false);
  cr_log_info("loss %.4f -> %.4f, factor %.2f", first, last, first / last);
  cr_assert_lt(last, first / 10.0, "loss %g -> %g", first, last);
  free(m);
  free(v);
  drop(&q);
}
