/* Early exits in the optimiser step, and the column of their loss in a history. */
#include "base/memory.h"
#include "step/step.h"
#include "support/support.h"
#include "train/history.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { B = 2, T = 10, V = 23, STEPS = 80 };

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

/* Two sequences that an embedding and one layer can foresee: the next token follows from the last. */
static ef_status batch(void *ctx, size_t micro, int32_t *ids, int32_t *targets) {
  (void)ctx;
  for (int32_t i = 0; i < B * T; i++) ids[i] = (5 * (i % T) + 3 * (int32_t)micro + i / T) % V;
  for (int32_t i = 0; i < B * T; i++) targets[i] = (ids[i] + 5) % V;
  return EF_OK;
}

typedef struct trained {
  ef_model model;
  ef_step *step;
  ef_step_result last;
  double first_exit, last_exit;
} trained;

static void train(trained *t, const ef_dims *dims, const float *exit_weights, uint32_t steps) {
  static ef_par alone;
  alone = ef_par_alone();
  *t = (trained){0};
  ef_step_shape shape = {.B = B, .T = T, .M = 3, .train_experts = true};
  cr_ok(ef_model_create(dims, &t->model));
  ef_model_init(&t->model, 4, 0);
  cr_ok(ef_step_create(&alone, ef_kernels_find("ref"), &t->model, &shape, &t->step));
  for (uint32_t n = 1; n <= steps; n++) {
    ef_step_spec spec = {.ce_scale = 1.0f / (3 * B * T),
                         .exit_weights = exit_weights,
                         .adamw = {.lr = 1e-2f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .step = n},
                         .clip = 1.0};
    cr_ok(ef_step_run(t->step, &(ef_batches){NULL, batch}, &spec, &t->last));
    t->last_exit = t->last.exit_ce ? t->last.exit_ce[0] / (double)t->last.loss.tokens : NAN;
    if (n == 1) t->first_exit = t->last_exit;
  }
}

static void release(trained *t) {
  ef_step_free(t->step);
  ef_model_free(&t->model);
}

static ef_dims moe_dims(void) {
  const ef_shape shape = {
      .V = V, .D = 16, .L = 3, .H = 2, .max_positions = 16, .E = 4, .K = 2, .Fe = 8, .Fs = 8};
  ef_dims d;
  cr_ok(ef_dims_make(EF_QWEN2_MOE, &shape, &d));
  cr_ok(ef_dims_add_exit(&d, 1));
  return d;
}

Test(step_exits, the_loss_of_an_exit_falls) {
  ef_dims d = moe_dims();
  const float weights[] = {0.3f};
  trained t;
  train(&t, &d, weights, STEPS);
  cr_expect_float_eq(t.first_exit, log(V), 0.3); /* knows nothing at first */
  cr_expect_lt(t.last_exit, 0.3, "%g", t.last_exit);
  release(&t);
  cr_expect_eq(ef_memory_blocks(), 0);
}

/* Weights of zero add nothing; exits that are not trained keep their norms. */
Test(step_exits, without_weight_all_parameters_are_those_without_exits) {
  ef_dims d = moe_dims();
  const float weights[] = {0.0f};
  trained zero, none;
  train(&zero, &d, weights, 5);
  train(&none, &d, NULL, 5);
  cr_expect_null(none.last.exit_ce);
  cr_expect_eq(zero.last.loss.ce, none.last.loss.ce);
  for (size_t i = 0; i < zero.model.table.floats; i++) {
    cr_assert_eq(zero.model.params[i], none.model.params[i], "float %zu", i);
  }
  const float *norm = ef_model_tensor(&none.model, EF_T_EXIT_NORM_W, 0, -1);
  for (size_t i = 0; i < d.D; i++) cr_expect_eq(norm[i], 1.0f);
  release(&zero);
  release(&none);
}

/* ---- history ------------------------------------------------------------------------------------------ */

static void write_history(const char *path, const ef_history *history, size_t *columns) {
  ef_h5_header header = {.kind = "part", .deck = "", .seed = 1, .ranks = 1};
  ef_h5_array array;
  ef_h5 *file = NULL;
  cr_ok(ef_h5_create(path, MPI_COMM_NULL, &header, &file));
  cr_ok(ef_history_write(file, history, true, "losses"));
  cr_ok(ef_h5_commit(file));
  cr_ok(ef_h5_open(path, NULL, &file));
  cr_ok(ef_h5_describe(file, "/series/history", &array));
  *columns = array.shape[1];
  ef_h5_close(file);
}

/* Files of models without exits have the four columns that they always had, and read back. */
static void check_history(bool exits) {
  char folder[1024], path[1100];
  ef_history written, read;
  size_t columns;
  ef_h5 *file = NULL;
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/history.h5", folder);
  cr_ok(ef_history_create(3, &written));
  cr_ok(ef_history_create(3, &read));
  written.count = read.count = 2;
  written.rows[0][EF_HISTORY_CE] = 2.5f;
  written.rows[1][EF_HISTORY_HOLDOUT] = 3.5f;
  if (exits) written.rows[1][EF_HISTORY_EXITS] = 4.5f;
  write_history(path, &written, &columns);
  cr_expect_eq(columns, exits ? 5 : 4);
  cr_ok(ef_h5_open(path, NULL, &file));
  cr_ok(ef_history_read(file, &read));
  ef_h5_close(file);
  for (size_t s = 0; s < 2; s++) {
    for (size_t c = 0; c < EF_HISTORY_COLUMNS; c++) {
      float a = written.rows[s][c], b = read.rows[s][c];
      cr_expect(a == b || (isnan(a) && isnan(b)), "row %zu, %s", s, ef_history_name(c));
    }
  }
  ef_history_free(&written);
  ef_history_free(&read);
  test_remove_folder(folder);
}

Test(step_exits, history_with_exits) { check_history(true); }
Test(step_exits, history_without_exits) { check_history(false); }
