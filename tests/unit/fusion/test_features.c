/* The ablations of the loss on features: hints, the order of the teacher's stages, what the deck asks for. */
#include "base/memory.h"
#include "fusion/features.h"
#include "fusion/hints.h"
#include "support/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { J = 2, ROWS = 6, DS = 5, DT = 4, STAGE = DT * DS + DT, COUNT = J * STAGE };

typedef struct sample {
  ef_hints_shape shape;
  ef_hints *hints;
  float student[J][ROWS * DS], teacher[J][ROWS * DT], dtaps[J][ROWS * DS], grads[COUNT];
} sample;

static void make(sample *q, const char *backend, bool normed) {
  *q = (sample){.shape = {.student = DS, .teacher = DT, .J = J, .normed = normed}};
  cr_assert_eq(ef_hints_create(&q->shape, ef_kernels_find(backend), ROWS, &q->hints), EF_OK);
  test_fill(ef_hints_block(q->hints), COUNT, 0.7f, 1);
  for (unsigned j = 0; j < J; j++) {
    test_fill(q->student[j], ROWS * DS, 1.0f, 10 + j);
    test_fill(q->teacher[j], ROWS * DT, 1.5f, 20 + j);
  }
}

static double loss_of(sample *q, float scale, bool gradients) {
  const float *student[J] = {q->student[0], q->student[1]}, *teacher[J] = {q->teacher[0], q->teacher[1]};
  float *dtaps[J] = {q->dtaps[0], q->dtaps[1]};
  return ef_hints_loss(q->hints, student, teacher, scale, gradients ? q->grads : NULL, dtaps);
}

/* sum_j mean |F H^T + c - N(F^T)|^2 in double, from the header's formula. */
static double plain_loss(const sample *q) {
  double loss = 0.0;
  for (size_t n = 0; n < (size_t)J * ROWS; n++) {
    size_t j = n / ROWS, r = n % ROWS;
    const float *h = ef_hints_block(q->hints) + j * STAGE, *f = q->student[j] + r * DS,
                *t = q->teacher[j] + r * DT;
    double mean = 0.0, variance = 0.0;
    for (size_t o = 0; o < DT; o++) mean += (double)t[o] / DT;
    for (size_t o = 0; o < DT; o++) variance += ((double)t[o] - mean) * ((double)t[o] - mean) / DT;
    for (size_t o = 0; o < DT; o++) {
      double x = (double)h[DT * DS + o];
      for (size_t c = 0; c < DS; c++) x += (double)h[o * DS + c] * (double)f[c];
      x -= q->shape.normed ? ((double)t[o] - mean) / sqrt(variance + 1e-5) : (double)t[o];
      loss += x * x / (ROWS * DT);
    }
  }
  return loss;
}

/* Every single element against a central difference: the loss is quadratic in block and taps. */
static void check_gradient(sample *q, const char *what, float *p, const float *g, size_t n, float scale) {
  for (size_t i = 0; i < n; i++) {
    const float keep = p[i], step = 1.0f / 64;
    p[i] = keep + step;
    double up = plain_loss(q);
    p[i] = keep - step;
    double slope = (double)scale * (up - plain_loss(q)) * 32.0;
    p[i] = keep;
    cr_assert_float_eq((double)g[i], slope, 1e-5 + 1e-4 * fabs(slope), "%s %zu: %g, %g", what, i,
                       (double)g[i], slope);
  }
}

Test(hints, loss_and_gradients_equal_the_formula) {
  for (int c = 0; c < 4; c++) {
    sample q;
    float scale = c % 2 ? 0.25f : 1.0f;
    make(&q, c / 2 ? "blas" : "ref", c % 2);
    double got = loss_of(&q, scale, true), wanted = plain_loss(&q);
    cr_assert_float_eq(got, wanted, 2e-6 * wanted);
    check_gradient(&q, "block", ef_hints_block(q.hints), q.grads, COUNT, scale);
    for (size_t j = 0; j < J; j++)
      check_gradient(&q, "tap", q.student[j], q.dtaps[j], (size_t)ROWS * DS, scale);
    loss_of(&q, scale, true);
    for (size_t i = 0; i < COUNT; i++) q.grads[i] *= 0.5f;
    check_gradient(&q, "block, added", ef_hints_block(q.hints), q.grads, COUNT, scale);
    ef_hints_free(q.hints);
  }
}

/* What sets hints apart from attention: a teacher's stage reaches its own student stage alone. */
Test(hints, stages_do_not_meet) {
  sample q;
  float before[ROWS * DS];
  make(&q, "ref", true);
  loss_of(&q, 1.0f, true);
  memcpy(before, q.dtaps[0], sizeof before);
  test_fill(q.teacher[1], ROWS * DT, 3.0f, 99);
  test_fill(q.student[1], ROWS * DS, 3.0f, 98);
  loss_of(&q, 1.0f, true);
  cr_assert_eq(memcmp(before, q.dtaps[0], sizeof before), 0);
  ef_hints_free(q.hints);
}

Test(hints, sizes_are_those_that_are_taken) {
  ef_hints_shape shape = {.student = 40, .teacher = 30, .J = 3, .normed = true};
  size_t before = ef_memory_bytes();
  ef_hints *hints;
  cr_assert_eq(ef_hints_create(&shape, ef_kernels_find("ref"), 50, &hints), EF_OK);
  cr_assert_eq(ef_memory_bytes() - before, ef_hints_bytes(&shape, 50));
  cr_assert_eq(ef_hints_params(&shape), 3 * (40 * 30 + 30));
  ef_hints_init(hints, 1, 2);
  double squares = 0.0;
  for (size_t i = 0; i < 1200; i++) squares += (double)(ef_hints_block(hints)[i] * ef_hints_block(hints)[i]);
  cr_assert_float_eq(squares / 1200, 1.0 / 40, 0.1 / 40);
  for (size_t i = 1200; i < 1230; i++) cr_assert(ef_hints_block(hints)[i] == 0.0f);
  cr_assert_neq(ef_hints_block(hints)[0], ef_hints_block(hints)[1230]);
  ef_hints_free(hints);
  cr_assert_eq(ef_memory_bytes(), before);
  shape.J = 0;
  cr_assert_eq(ef_hints_create(&shape, ef_kernels_find("ref"), 50, &hints), EF_DECK);
}

Test(features, orders_of_the_teachers_stages) {
  size_t order[EF_MOST_STAGES], again[EF_MOST_STAGES], differ = 0;
  ef_features_order("ordered", 3, 4, order);
  for (size_t j = 0; j < 4; j++) cr_assert_eq(order[j], j);
  ef_features_order("reversed", 3, 4, order);
  for (size_t j = 0; j < 4; j++) cr_assert_eq(order[j], 3 - j);
  for (uint64_t seed = 0; seed < 50; seed++) {
    bool met[EF_MOST_STAGES] = {false};
    size_t stages = 2 + seed % 7;
    ef_features_order("shuffled", seed, stages, order);
    ef_features_order("shuffled", seed, stages, again);
    cr_assert_eq(memcmp(order, again, stages * sizeof *order), 0, "the seed alone decides");
    for (size_t j = 0; j < stages; j++) {
      cr_assert(order[j] < stages && !met[order[j]] && order[j] != j, "seed %zu stage %zu", (size_t)seed, j);
      met[order[j]] = true;
    }
    ef_features_order("shuffled", seed + 1000, stages, again);
    differ += memcmp(order, again, stages * sizeof *order) != 0;
  }
  cr_assert_gt(differ, 20);
  ef_features_order("shuffled", 1, 1, order);
  cr_assert_eq(order[0], 0);
}

static ef_features_spec spec_of(const char *setting) {
  const char *settings[] = {setting};
  ef_deck deck;
  cr_assert_eq(ef_deck_parse("d", "text: {files: [a.txt]}\n", settings, 1, &deck), EF_OK, "%s", ef_message());
  ef_features_spec spec = ef_features_of(&deck, 100, 60);
  ef_deck_free(&deck);
  return spec;
}

Test(features, the_deck_names_them) {
  ef_features_spec spec = spec_of("fusion.alpha=1");
  cr_assert(spec.kind == EF_FEATURES_VAA && !spec.shape.own_stage && !spec.shape.mlp && spec.shape.normed);
  cr_assert(spec.shape.student == 100 && spec.shape.teacher == 60 && spec.shape.d == 100);
  spec = spec_of("fusion.features=own_stage");
  cr_assert(spec.kind == EF_FEATURES_VAA && spec.shape.own_stage && !spec.shape.mlp);
  spec = spec_of("fusion.features=mlp");
  cr_assert(spec.kind == EF_FEATURES_VAA && !spec.shape.own_stage && spec.shape.mlp);
  cr_assert_eq(spec_of("fusion.features=hints").kind, EF_FEATURES_HINTS);
  spec = spec_of("fusion.features=ofa");
  cr_assert(spec.kind == EF_FEATURES_OFA && spec.ofa.width == 100 && spec.ofa.J == spec.shape.J);
  cr_assert(spec.ofa.epsilon == 1.0f && spec.ofa.tau == 1.0f && !ef_features_attend(&spec));
  cr_assert_eq(spec_of("fusion.features=none").kind, EF_FEATURES_NONE);
  cr_assert_eq(spec_of("fusion.alpha=0").kind, EF_FEATURES_NONE);
}

Test(features, what_is_created_is_what_is_planned) {
  static const char *const names[] = {"fusion.features=vaa", "fusion.features=mlp", "fusion.features=hints",
                                      "fusion.features=ofa", "fusion.features=none"};
  for (size_t i = 0; i < 5; i++) {
    ef_features_spec spec = spec_of(names[i]);
    ef_features features;
    size_t before = ef_memory_bytes(), bytes, params;
    cr_assert_eq(ef_features_create(&spec, ef_kernels_find("ref"), 2, 24, 1, 2, &features), EF_OK);
    ef_features_size(&spec, 2, 24, &bytes, &params);
    cr_assert_eq(ef_memory_bytes() - before, bytes, "%s", names[i]);
    cr_assert_eq(features.count, params);
    cr_assert_eq(features.mass != NULL, i == 0);
    cr_assert_eq(features.state == NULL, i == 4);
    ef_features_free(&features);
    cr_assert_eq(ef_memory_bytes(), before);
  }
}
