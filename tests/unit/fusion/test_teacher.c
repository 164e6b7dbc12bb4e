/* Phase II as a whole: L = CE + alpha * FM + beta * KL through student, attention and frozen teacher; with
 * OFA-KD its loss in the place of KL, and its branches, of which FM is the mean, in that of the attention. */
#include "base/memory.h"
#include "fusion/teacher.h"
#include "support/support.h"
#include "support/tiny_run.h"
#include "train/trainer_file.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { B = TINY_B, T = TINY_T, R = B * T, UNIT = 5, PROBES = 3 };

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

static ef_dims dims_of(ef_family family, size_t D, size_t L) {
  ef_shape shape = {.V = TINY_V, .D = D, .L = L, .H = 2, .max_positions = T};
  ef_dims dims;
  cr_ok(ef_dims_make(family, &shape, &dims));
  return dims;
}

static ef_model model_of(ef_family family, size_t D, size_t L, float scale) {
  ef_dims dims = dims_of(family, D, L);
  ef_model model;
  cr_ok(ef_model_create(&dims, &model));
  for (size_t i = 0; i < model.table.count; i++) {
    const ef_tensor *tensor = &model.table.tensors[i];
    test_fill(model.params + tensor->offset, tensor->count, scale, (unsigned)(100 * D + i));
  }
  return model;
}

/* Teacher and student of different family, width and depth. */
typedef struct lesson {
  tiny_run t;
  ef_model proxy, student;
  ef_distiller distiller;
  ef_trainer trainer;
  ef_pass *of_student, *of_teacher; /* of the loss written down again */
} lesson;

static void open_lesson(lesson *s, const char *const *overrides, size_t steps) {
  tiny_run_open(&s->t, NULL, overrides);
  s->proxy = model_of(EF_GPT2, 12, 3, 0.5f);
  s->student = model_of(EF_QWEN2, 8, 2, 0.5f);
  ef_recipe recipe = {.steps = steps,
                      .batch = B,
                      .context = T,
                      .lr = 1e-3,
                      .min_lr = 0.1,
                      .decay = 0.1,
                      .clip = 1.0,
                      .warmup = 2};
  ef_source source = {.general = &s->t.run.public_text, .seed = 1, .unit = UNIT};
  cr_ok(ef_distiller_create(&s->t.run, &s->proxy, &s->student.dims, UNIT, &s->distiller));
  ef_objective objective = ef_distiller_objective(&s->distiller);
  cr_ok(ef_trainer_create(&s->student, s->t.run.kernels, &recipe, &source, &objective, &s->trainer));
  cr_ok(ef_pass_create(&s->student.dims, s->t.run.kernels, EF_PASS_EVAL, B, T, true, NULL, &s->of_student));
  cr_ok(ef_pass_create(&s->proxy.dims, s->t.run.kernels, EF_PASS_EVAL, B, T, true, NULL, &s->of_teacher));
}

static void close_lesson(lesson *s) {
  ef_pass_free(s->of_student);
  ef_pass_free(s->of_teacher);
  ef_trainer_free(&s->trainer);
  ef_distiller_free(&s->distiller);
  ef_model_free(&s->proxy);
  ef_model_free(&s->student);
  tiny_run_close(&s->t);
}

/* ---- the loss written down again ----------------------------------------------------------------------- */

static void log_probabilities(const float *logits, double tau, double *p) {
  double sum = 0.0;
  for (size_t v = 0; v < TINY_V; v++) sum += exp((double)logits[v] / tau);
  for (size_t v = 0; v < TINY_V; v++) p[v] = (double)logits[v] / tau - log(sum);
}

typedef struct losses {
  double ce, kl, fm, all;
} losses;

static void logits_of_teacher(void *ctx, size_t row, size_t rows, const float *student, float *out) {
  (void)student;
  const lesson *s = ctx;
  ef_logits(s->of_teacher, &s->proxy, row, rows, out);
}

static double value_of_features(lesson *s, const float *const *student, const float *const *teacher,
                                const int32_t *targets, size_t counted) {
  const ef_teacher logits = {s, logits_of_teacher};
  const ef_lesson batch = {
      .pass = s->of_student, .model = &s->student, .targets = targets, .mean = 1.0f / (float)counted};
  const ef_comparison c = {
      .student = student, .teacher = teacher, .logits = &logits, .lesson = &batch, .scale = 1.0f};
  return s->distiller.features.loss(s->distiller.features.state, &c);
}

/* The loss on the final logits of a row: KL, or OFA's with its exponent. */
static double row_loss(const ef_deck *deck, const double *ps, const double *pt, int32_t target) {
  bool ofa = strcmp(deck->fusion.features, "ofa") == 0;
  double tau = deck->fusion.tau, loss = 0.0;
  for (int32_t v = 0; v < TINY_V; v++) {
    double y = v == target;
    loss += ofa ? -(pow(exp(pt[v]) + y, deck->fusion.ofa_epsilon) - y) * ps[v] : exp(pt[v]) * (pt[v] - ps[v]);
  }
  return tau * tau * loss;
}

/* Means over the scored tokens, in double from the logits of both networks; the value of the attention's loss
 * is taken from fusion/features.h: its kinds have their own tests. */
static losses losses_of(lesson *s) {
  const ef_deck *deck = &s->t.deck;
  int32_t ids[R], targets[R];
  ef_pass *student = s->of_student, *teacher = s->of_teacher;
  losses l = {0};
  size_t counted = 0, J = (size_t)deck->fusion.stages;
  cr_ok(ef_source_sample(&s->trainer.source, 0, 0, B, T, ids, targets));
  cr_ok(ef_forward(student, &s->student, ids, B, T));
  cr_ok(ef_forward(teacher, &s->proxy, ids, B, T));
  for (size_t r = 0; r < R; r++) {
    float zs[TINY_V], zt[TINY_V];
    double q[TINY_V], ps[TINY_V], pt[TINY_V], tau = deck->fusion.tau;
    if (targets[r] == EF_TOKEN_IGNORE) continue;
    ef_logits(student, &s->student, r, 1, zs);
    ef_logits(teacher, &s->proxy, r, 1, zt);
    log_probabilities(zs, 1.0, q);
    log_probabilities(zs, tau, ps);
    log_probabilities(zt, tau, pt);
    l.ce -= q[targets[r]];
    l.kl += row_loss(deck, ps, pt, targets[r]);
    counted++;
  }
  l.ce /= (double)counted;
  l.kl /= (double)counted;
  if (s->distiller.features.state) {
    const float *of_student[8], *of_teacher[8];
    size_t order[] = {1, 2}; /* of the teacher's stages, from 1 */
    if (strcmp(deck->fusion.teacher_stages, "ordered") != 0) order[0] = 2, order[1] = 1;
    for (size_t j = 1; j <= J; j++) { /* residual after block ceil(j*L/J) */
      of_student[j - 1] = ef_pass_residual(student, (j * s->student.dims.L + J - 1) / J);
      of_teacher[j - 1] = ef_pass_residual(teacher, (order[j - 1] * s->proxy.dims.L + J - 1) / J);
    }
    l.fm = value_of_features(s, of_student, of_teacher, targets, counted);
  }
  double stages = strcmp(deck->fusion.features, "ofa") == 0 ? (double)J : 1.0;
  l.all = l.ce + deck->fusion.alpha * stages * l.fm + deck->fusion.beta * l.kl;
  return l;
}

/* ---- gradients ----------------------------------------------------------------------------------------- */

/* Central difference with one step of Richardson's extrapolation; the loss is a double sum of float
 * activations. */
static double difference(lesson *s, float *x) {
  const float h = 1.0f / 128.0f, keep = *x;
  double d[2];
  for (int i = 0; i < 2; i++) {
    float step = h / (float)(1 << i);
    *x = keep + step;
    double up = losses_of(s).all;
    *x = keep - step;
    double down = losses_of(s).all;
    d[i] = (up - down) / (2.0 * (double)step);
  }
  *x = keep;
  return (4.0 * d[1] - d[0]) / 3.0;
}

static void expect_slope(lesson *s, const char *name, float *x, float gradient) {
  double slope = difference(s, x), error = fabs((double)gradient - slope), most = 1e-3 * fabs(slope) + 1e-4;
  cr_expect_leq(error, most, "%s: gradient %.6g, slope %.6g", name, (double)gradient, slope);
}

/* The first step leaves its gradients behind; the parameters are put back before they are probed. */
static void check_gradients(const char *const *overrides) {
  lesson s;
  open_lesson(&s, overrides, 10);
  size_t n = s.student.table.floats, extra = s.trainer.objective.extra_count;
  float *params = ef_alloc(n, sizeof *params), *block = ef_alloc(extra, sizeof *block);
  memcpy(params, s.student.params, n * sizeof *params);
  if (extra) memcpy(block, s.trainer.objective.extra, extra * sizeof *block);
  losses before = losses_of(&s);
  cr_ok(ef_trainer_step(&s.trainer));
  cr_assert_neq(memcmp(params, s.student.params, n * sizeof *params), 0);
  memcpy(s.student.params, params, n * sizeof *params);
  if (extra) memcpy(s.trainer.objective.extra, block, extra * sizeof *block);
  const float *row = s.trainer.history.rows[0];
  cr_assert_float_eq((double)row[EF_HISTORY_CE], before.ce, 1e-5 * before.ce);
  cr_assert(s.t.deck.fusion.beta == 0.0 ? isnan(row[EF_HISTORY_KL])
                                        : fabs((double)row[EF_HISTORY_KL] - before.kl) <= 1e-4 * before.kl);
  cr_assert(extra == 0 ? isnan(row[EF_HISTORY_FM])
                       : fabs((double)row[EF_HISTORY_FM] - before.fm) <= 1e-5 * before.fm);
  for (size_t i = 0; i < s.student.table.count; i++) {
    const ef_tensor *tensor = &s.student.table.tensors[i];
    for (size_t p = 0; p < PROBES; p++) {
      size_t at = tensor->offset + (p * 7919 + 3) % tensor->count;
      expect_slope(&s, tensor->name, &s.student.params[at], s.trainer.grads[at]);
    }
  }
  for (size_t at = 0; at < extra; at += extra / 40 + 1) {
    expect_slope(&s, "loss on features", &s.trainer.objective.extra[at], s.trainer.extra_grads[at]);
  }
  ef_free(params);
  ef_free(block);
  close_lesson(&s);
}

Test(teacher, gradients_of_the_whole_loss) {
  const char *overrides[] = {"fusion.alpha=0.7", "fusion.beta=0.9", "fusion.tau=2", NULL};
  check_gradients(overrides);
}

Test(teacher, gradients_with_a_causal_mask_and_the_plain_target) {
  const char *overrides[] = {"fusion.vaa_mask=causal", "fusion.vaa_target=plain", "fusion.stages=1", NULL};
  check_gradients(overrides);
}

Test(teacher, gradients_with_each_ablation) {
  static const char *const features[] = {"fusion.features=hints", "fusion.features=own_stage",
                                         "fusion.features=mlp", "fusion.teacher_stages=reversed",
                                         "fusion.teacher_stages=shuffled"};
  for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
    const char *overrides[] = {features[i], NULL};
    check_gradients(overrides);
  }
}

Test(teacher, gradients_with_ofa) {
  static const char *const more[] = {"fusion.ofa_epsilon=1.5", "fusion.alpha=0", "fusion.beta=0",
                                     "fusion.kl_top_k=3"};
  for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
    const char *overrides[] = {"fusion.features=ofa", "fusion.tau=1.5", more[i], NULL};
    check_gradients(overrides);
  }
}

/* With epsilon 1 and without branches OFA-KD differs from KL by the teacher's entropy, which has no gradient.
 */
Test(teacher, ofa_without_branches_and_exponent_is_kl) {
  const char *ofa[] = {"fusion.features=ofa", "fusion.alpha=0", NULL}, *kl[] = {"fusion.alpha=0", NULL};
  lesson a, b;
  open_lesson(&a, ofa, 1);
  open_lesson(&b, kl, 1);
  cr_ok(ef_trainer_step(&a.trainer));
  cr_ok(ef_trainer_step(&b.trainer));
  cr_assert_lt(test_rel_frobenius(a.trainer.grads, b.trainer.grads, a.student.table.floats), 1e-5);
  cr_assert_gt(a.trainer.history.rows[0][EF_HISTORY_KL], b.trainer.history.rows[0][EF_HISTORY_KL]);
  close_lesson(&a);
  close_lesson(&b);
}

Test(teacher, features_none_is_alpha_zero) {
  const char *none[] = {"fusion.features=none", NULL}, *zero[] = {"fusion.alpha=0", NULL};
  lesson a, b;
  open_lesson(&a, none, 3);
  open_lesson(&b, zero, 3);
  while (!a.trainer.ended) cr_ok(ef_trainer_step(&a.trainer));
  while (!b.trainer.ended) cr_ok(ef_trainer_step(&b.trainer));
  cr_assert_eq(a.trainer.objective.extra_count, 0);
  cr_assert_eq(memcmp(a.student.params, b.student.params, a.student.table.floats * sizeof(float)), 0);
  close_lesson(&a);
  close_lesson(&b);
}

Test(teacher, gradients_without_features) {
  const char *overrides[] = {"fusion.alpha=0", "fusion.beta=1.5", NULL};
  check_gradients(overrides);
}

Test(teacher, gradients_without_logits) {
  const char *overrides[] = {"fusion.alpha=2", "fusion.beta=0", NULL};
  check_gradients(overrides);
}

/* ---- the walk ------------------------------------------------------------------------------------------ */

Test(teacher, the_teacher_stays_frozen_and_the_attention_learns) {
  lesson s;
  open_lesson(&s, NULL, 60);
  size_t n = s.proxy.table.floats;
  float *before = ef_alloc(n, sizeof *before);
  memcpy(before, s.proxy.params, n * sizeof *before);
  while (!s.trainer.ended) cr_ok(ef_trainer_step(&s.trainer));
  cr_assert_eq(memcmp(before, s.proxy.params, n * sizeof *before), 0);
  cr_assert_lt(s.trainer.history.rows[59][EF_HISTORY_FM], 0.95f * s.trainer.history.rows[0][EF_HISTORY_FM]);
  ef_free(before);
  close_lesson(&s);
}

Test(teacher, a_restored_distillation_goes_on_with_the_same_bits) {
  const ef_part_key key = {.kind = EF_UNIT_BASE, .index = 1, .sections = "fusion"};
  lesson straight, before, after;
  open_lesson(&straight, NULL, 9);
  while (!straight.trainer.ended) cr_ok(ef_trainer_step(&straight.trainer));
  open_lesson(&before, NULL, 9);
  for (size_t i = 0; i < 4; i++) cr_ok(ef_trainer_step(&before.trainer));
  cr_ok(ef_trainer_save(&before.t.run, &key, &before.trainer));
  open_lesson(&after, NULL, 9);
  cr_ok(ef_trainer_restore(&before.t.run, &key, &after.trainer));
  cr_assert_eq(after.trainer.step, 4);
  while (!after.trainer.ended) cr_ok(ef_trainer_step(&after.trainer));
  size_t n = straight.student.table.floats, extra = straight.trainer.objective.extra_count;
  cr_assert_gt(extra, 0);
  cr_assert_eq(memcmp(straight.student.params, after.student.params, n * sizeof(float)), 0);
  cr_assert_eq(memcmp(straight.trainer.objective.extra, after.trainer.objective.extra, extra * sizeof(float)),
               0);
  cr_assert_eq(memcmp(straight.trainer.extra_v, after.trainer.extra_v, extra * sizeof(float)), 0);
  cr_assert_eq(memcmp(straight.trainer.history.rows, after.trainer.history.rows,
                      9 * sizeof *after.trainer.history.rows),
               0);
  close_lesson(&straight);
  close_lesson(&before);
  close_lesson(&after);
}

Test(teacher, more_stages_than_layers_are_refused) {
  tiny_run t;
  tiny_run_open(&t, NULL, NULL);
  t.deck.fusion.stages = 3;
  ef_model proxy = model_of(EF_GPT2, 12, 3, 0.5f);
  ef_dims student = dims_of(EF_QWEN2, 8, 2);
  ef_distiller d;
  size_t blocks = ef_memory_blocks();
  cr_assert_eq(ef_distiller_create(&t.run, &proxy, &student, UNIT, &d), EF_DECK);
  cr_assert_eq(ef_memory_blocks(), blocks);
  ef_model_free(&proxy);
  tiny_run_close(&t);
}
