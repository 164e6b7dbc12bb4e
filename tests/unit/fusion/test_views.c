/* Linear CKA against its formula and invariances; the matrices of a base, and that training does not notice.
 */
#include "fusion/cka.h"
#include "fusion/views.h"
#include "support/support.h"
#include "support/tiny_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

enum { ROWS = 20, DX = 5, DY = 7, MOST = ROWS * DY };

/* ---- CKA ----------------------------------------------------------------------------------------------- */

/* HSIC(K,L) = tr(K H L H) of the Gram matrices over tokens: the form of Kornblith et al., Eq. 3. */
static double hsic(const float *x, size_t dx, const float *y, size_t dy) {
  double K[ROWS][ROWS], L[ROWS][ROWS], sum = 0.0;
  for (size_t n = 0; n < (size_t)ROWS * ROWS; n++) {
    size_t a = n / ROWS, b = n % ROWS;
    K[a][b] = L[a][b] = 0.0;
    for (size_t c = 0; c < dx; c++) K[a][b] += (double)x[a * dx + c] * (double)x[b * dx + c];
    for (size_t c = 0; c < dy; c++) L[a][b] += (double)y[a * dy + c] * (double)y[b * dy + c];
  }
  for (size_t n = 0; n < (size_t)ROWS * ROWS; n++) { /* tr(K H L H) = sum K * (H L H) */
    size_t a = n / ROWS, b = n % ROWS;
    double row = 0.0, column = 0.0, all = 0.0;
    for (size_t i = 0; i < ROWS; i++) {
      row += L[a][i] / ROWS;
      column += L[i][b] / ROWS;
      for (size_t j = 0; j < ROWS; j++) all += L[i][j] / (ROWS * ROWS);
    }
    sum += K[a][b] * (L[a][b] - row - column + all);
  }
  return sum;
}

static double cka_of(const char *backend, const float *x, size_t dx, const float *y, size_t dy) {
  const float *of_x[] = {x}, *of_y[] = {y};
  ef_cka_side sx = {of_x, 1, dx}, sy = {of_y, 1, dy};
  double cka;
  cr_ok(ef_cka(ef_kernels_find(backend), ROWS, &sx, &sy, &cka));
  return cka;
}

Test(cka, equals_the_kernel_form) {
  float x[2][MOST], y[3][MOST];
  const float *of_x[] = {x[0], x[1]}, *of_y[] = {y[0], y[1], y[2]};
  ef_cka_side sx = {of_x, 2, DX}, sy = {of_y, 3, DY};
  static const char *const backends[] = {"ref", "blas", "guard"};
  for (unsigned i = 0; i < 2; i++) test_fill(x[i], MOST, 2.0f, i);
  for (unsigned j = 0; j < 3; j++) test_fill(y[j], MOST, 0.3f, 10 + j);
  for (size_t i = 0; i < MOST; i++) x[1][i] += 3.0f; /* means do not count */
  for (size_t c = 0; c < 3; c++) {
    double cka[6];
    cr_ok(ef_cka(ef_kernels_find(backends[c]), ROWS, &sx, &sy, cka));
    for (size_t n = 0; n < 6; n++) {
      const float *a = x[n / 3], *b = y[n % 3];
      double wanted = hsic(a, DX, b, DY) / sqrt(hsic(a, DX, a, DX) * hsic(b, DY, b, DY));
      cr_assert_float_eq(cka[n], wanted, 1e-5, "%s cell %zu: %g, %g", backends[c], n, cka[n], wanted);
      cr_assert(wanted > 0.01 && wanted < 0.99);
    }
  }
}

/* Rotation by a Householder reflection I - 2 v v^T / |v|^2, scale and shift leave the alignment 1; a linear
 * map that is no rotation does not. */
Test(cka, rotation_scale_and_shift_do_not_matter) {
  float x[ROWS * DX], y[ROWS * DX], v[DX];
  double square = 0.0;
  test_fill(x, ROWS * DX, 1.0f, 1);
  test_fill(v, DX, 1.0f, 2);
  for (size_t c = 0; c < DX; c++) square += (double)(v[c] * v[c]);
  for (size_t r = 0; r < ROWS; r++) {
    double dot = 0.0;
    for (size_t c = 0; c < DX; c++) dot += (double)(x[r * DX + c] * v[c]);
    for (size_t c = 0; c < DX; c++)
      y[r * DX + c] = 100.0f * (x[r * DX + c] - (float)(2.0 * dot / square) * v[c]) + (float)c;
  }
  cr_assert_float_eq(cka_of("ref", x, DX, x, DX), 1.0, 1e-6);
  cr_assert_float_eq(cka_of("blas", x, DX, y, DX), 1.0, 1e-5);
  for (size_t r = 0; r < ROWS; r++) y[r * DX] *= 10.0f;
  cr_assert_lt(cka_of("blas", x, DX, y, DX), 0.95);
}

Test(cka, what_varies_apart_is_not_alike) {
  float x[ROWS], y[ROWS], flat[ROWS];
  for (size_t r = 0; r < ROWS; r++) {
    x[r] = r % 2 ? 1.0f : -1.0f;
    y[r] = r / 2 % 2 ? 1.0f : -1.0f;
    flat[r] = 0.5f;
  }
  cr_assert_float_eq(cka_of("ref", x, 1, y, 1), 0.0, 1e-12);
  cr_assert_float_eq(cka_of("ref", x, 1, flat, 1), 0.0, 0.0);
}

/* ---- the matrices of a base ---------------------------------------------------------------------------- */

typedef struct lesson {
  tiny_run t;
  ef_model proxy, student;
  ef_distiller distiller;
  ef_trainer trainer;
  double views[EF_VIEW_COUNT * 4];
} lesson;

static ef_model model_of(ef_family family, size_t D, size_t L) {
  ef_shape shape = {.V = TINY_V, .D = D, .L = L, .H = 2, .max_positions = TINY_T};
  ef_dims dims;
  ef_model model;
  cr_ok(ef_dims_make(family, &shape, &dims));
  cr_ok(ef_model_create(&dims, &model));
  for (size_t i = 0; i < model.table.count; i++) {
    const ef_tensor *tensor = &model.table.tensors[i];
    test_fill(model.params + tensor->offset, tensor->count, 0.5f, (unsigned)(100 * D + i));
  }
  return model;
}

static void open_lesson(lesson *s, const char *setting) {
  const char *overrides[] = {setting, NULL};
  tiny_run_open(&s->t, NULL, overrides);
  s->proxy = model_of(EF_GPT2, 12, 3);
  s->student = model_of(EF_QWEN2, 8, 2);
  ef_recipe recipe = {.steps = 4, .batch = TINY_B, .context = TINY_T, .lr = 1e-2, .min_lr = 0.1, .clip = 1.0};
  ef_source source = {.general = &s->t.run.public_text, .seed = 1, .unit = 5};
  cr_ok(ef_distiller_create(&s->t.run, &s->proxy, &s->student.dims, 5, &s->distiller));
  ef_objective objective = ef_distiller_objective(&s->distiller);
  cr_ok(ef_trainer_create(&s->student, s->t.run.kernels, &recipe, &source, &objective, &s->trainer));
  memset(s->views, 0, sizeof s->views);
}

static void close_lesson(lesson *s) {
  ef_trainer_free(&s->trainer);
  ef_distiller_free(&s->distiller);
  ef_model_free(&s->proxy);
  ef_model_free(&s->student);
  tiny_run_close(&s->t);
}

static void measure(lesson *s, bool before) {
  cr_ok(ef_views_measure(&s->t.run, &s->distiller, &s->student, s->trainer.pass, before, s->views));
}

/* Cell (i,j) of the CKA from the residual streams that the measuring left in both passes. */
Test(views, cka_is_of_the_residual_streams_behind_the_stages) {
  lesson s;
  open_lesson(&s, "fusion.alpha=1");
  measure(&s, true);
  static const size_t of_student[] = {1, 2}, of_teacher[] = {2, 3}; /* ceil(jL/2) of 2 and of 3 layers */
  for (size_t n = 0; n < 4; n++) {
    const float *x[] = {ef_pass_residual(s.trainer.pass, of_student[n / 2])};
    const float *y[] = {ef_pass_residual(s.distiller.pass, of_teacher[n % 2])};
    ef_cka_side sx = {x, 1, 8}, sy = {y, 1, 12};
    double wanted;
    cr_ok(ef_cka(s.t.run.kernels, TINY_B * TINY_T, &sx, &sy, &wanted));
    cr_assert_float_eq(s.views[EF_VIEW_CKA_BEFORE * 4 + n], wanted, 1e-12);
    cr_assert(wanted > 0.0 && wanted < 1.0);
    cr_assert_float_eq(s.views[EF_VIEW_CKA_AFTER * 4 + n], 0.0, 0.0, "only one half is filled");
  }
  close_lesson(&s);
}

static void mass_of(const char *setting, double *mass) {
  lesson s;
  open_lesson(&s, setting);
  measure(&s, false);
  memcpy(mass, s.views + EF_VIEW_MASS_AFTER * 4, 4 * sizeof *mass);
  close_lesson(&s);
}

Test(views, attention_mass_by_teacher_stage) {
  double mass[4], reversed[4], own[4], none[4];
  mass_of("fusion.features=vaa", mass);
  for (size_t j = 0; j < 2; j++) cr_assert_float_eq(mass[2 * j] + mass[2 * j + 1], 1.0, 1e-6);
  cr_assert(mass[1] > 0.05 && mass[2] > 0.05);
  mass_of("fusion.teacher_stages=reversed", reversed);
  for (size_t n = 0; n < 4; n++) cr_assert_float_eq(reversed[n], mass[(1 - n / 2) * 2 + n % 2], 0.0);
  mass_of("fusion.features=own_stage", own);
  for (size_t n = 0; n < 4; n++) cr_assert_float_eq(own[n], n / 2 == n % 2, 1e-6);
  mass_of("fusion.features=mlp", none);
  for (size_t n = 0; n < 4; n++) cr_assert_float_eq(none[n], 0.0, 0.0);
  mass_of("fusion.features=ofa", none);
  for (size_t n = 0; n < 4; n++) cr_assert_float_eq(none[n], 0.0, 0.0);
}

Test(views, training_does_not_notice) {
  static const char *const settings[] = {"fusion.features=vaa", "fusion.features=hints",
                                         "fusion.features=none", "fusion.features=ofa"};
  for (size_t i = 0; i < 4; i++) {
    lesson plain, watched;
    open_lesson(&plain, settings[i]);
    open_lesson(&watched, settings[i]);
    while (!plain.trainer.ended) cr_ok(ef_trainer_step(&plain.trainer));
    while (!watched.trainer.ended) {
      measure(&watched, watched.trainer.step == 0);
      cr_ok(ef_trainer_step(&watched.trainer));
    }
    measure(&watched, false);
    size_t n = plain.student.table.floats, extra = plain.trainer.objective.extra_count;
    cr_assert_eq(memcmp(plain.student.params, watched.student.params, n * sizeof(float)), 0);
    cr_assert_eq(memcmp(plain.trainer.history.rows, watched.trainer.history.rows,
                        4 * sizeof *plain.trainer.history.rows),
                 0);
    if (extra)
      cr_assert_eq(
          memcmp(plain.trainer.objective.extra, watched.trainer.objective.extra, extra * sizeof(float)), 0);
    cr_assert_neq(memcmp(watched.views, watched.views + 4, 4 * sizeof(double)), 0, "the base has moved");
    close_lesson(&plain);
    close_lesson(&watched);
  }
}
