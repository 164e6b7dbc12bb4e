#include "base/file.h"
#include "base/memory.h"
#include "support/support.h"
#include "support/tiny_run.h"
#include "train/trainer_file.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PERIOD = 5, COUNT = 60, MOST_STEPS = 200 };

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

/* a b c d e a b c ...; and the same backwards, which a model that learns the first one foresees worse and
 * worse. */
static int32_t forward_ids[COUNT], backward_ids[COUNT];
static const ef_stream forward = {.ids = forward_ids, .count = COUNT},
                       backward = {.ids = backward_ids, .count = COUNT};

static tiny_run t;
static const ef_part_key key = {.kind = EF_UNIT_DEVICE, .index = 3, .sections = "text,federation"};

static void open_run(void) {
  for (int32_t i = 0; i < COUNT; i++) {
    forward_ids[i] = 3 + i % PERIOD;
    backward_ids[COUNT - 1 - i] = 3 + i % PERIOD;
  }
  tiny_run_open(&t, NULL, NULL);
}

static void close_run(void) { tiny_run_close(&t); }

TestSuite(trainer, .init = open_run, .fini = close_run);

static ef_model model_of(void) {
  ef_shape shape = {.V = TINY_V, .D = 16, .L = 2, .H = 2, .max_positions = 16};
  ef_dims dims;
  ef_model model;
  cr_ok(ef_dims_make(EF_LLAMA, &shape, &dims));
  cr_ok(ef_model_create(&dims, &model));
  ef_model_init(&model, 1, 0);
  return model;
}

static ef_recipe recipe_of(size_t steps, const ef_stream *holdout) {
  return (ef_recipe){.steps = steps,
                     .batch = 4,
                     .context = 8,
                     .lr = 1e-2,
                     .min_lr = 0.1,
                     .decay = 0.1,
                     .clip = 1.0,
                     .warmup = 3,
                     .holdout = holdout,
                     .look_every = 2,
                     .patience = 3};
}

static const ef_source source = {.general = &forward, .seed = 5, .unit = 7};

static void create(ef_model *model, const ef_recipe *recipe, ef_trainer *trainer) {
  cr_ok(ef_trainer_create(model, t.run.kernels, recipe, &source, NULL, trainer));
}

static void release(ef_trainer *trainer, ef_model *model) {
  ef_trainer_free(trainer);
  ef_model_free(model);
}

static bool same(const float *a, const float *b, size_t n) { return memcmp(a, b, n * sizeof *a) == 0; }

Test(trainer, learns_a_periodic_text_and_allocates_nothing_on_the_way) {
  ef_model model = model_of();
  ef_recipe recipe = recipe_of(MOST_STEPS, &forward);
  ef_trainer trainer;
  create(&model, &recipe, &trainer);
  size_t bytes = ef_memory_bytes();
  ef_memory_reset_peak();
  while (!trainer.ended) cr_ok(ef_trainer_step(&trainer));
  cr_assert_eq(ef_memory_peak(), bytes);
  cr_assert_float_eq((double)trainer.history.rows[0][EF_HISTORY_CE], log(TINY_V), 0.3);
  cr_assert_lt(trainer.history.rows[trainer.step - 1][EF_HISTORY_CE], 0.02f);
  cr_assert_lt(trainer.best_loss, 0.02);
  cr_assert_eq(ef_trainer_tokens(&trainer), trainer.step * 4 * 8);
  cr_assert(isnan(trainer.history.rows[0][EF_HISTORY_KL]) && isnan(trainer.history.rows[0][EF_HISTORY_FM]) &&
            isnan(trainer.history.rows[0][EF_HISTORY_HOLDOUT]));
  release(&trainer, &model);
}

/* Walks to the end with a snapshot after every step; returns the step whose look was the best by the history.
 */
static size_t walk(ef_trainer *trainer, float *snapshots) {
  size_t n = trainer->model->table.floats, best = 0;
  float least = INFINITY;
  while (!trainer->ended) {
    cr_ok(ef_trainer_step(trainer));
    memcpy(snapshots + trainer->step * n, trainer->model->params, n * sizeof(float));
  }
  for (size_t s = 1; s <= trainer->step; s++) {
    float loss = trainer->history.rows[s - 1][EF_HISTORY_HOLDOUT];
    bool looked = s % trainer->recipe.look_every == 0 || s == trainer->recipe.steps;
    cr_assert_eq(!isnan(loss), looked, "step %zu", s);
    if (loss < least) {
      least = loss;
      best = s;
    }
  }
  return best;
}

static void check_selection(size_t patience, size_t steps) {
  ef_model model = model_of();
  ef_recipe recipe = recipe_of(steps, &backward);
  recipe.patience = patience;
  float *snapshots = ef_alloc((steps + 1) * model.table.floats, sizeof *snapshots);
  ef_trainer trainer;
  create(&model, &recipe, &trainer);
  size_t best = walk(&trainer, snapshots), n = model.table.floats;
  cr_assert_eq(trainer.best_step, best);
  cr_assert_lt(best, trainer.step, "the planted holdout gets worse");
  cr_assert_eq(trainer.step, patience ? best + patience * recipe.look_every : steps);
  cr_assert(same(model.params, snapshots + best * n, n), "the best look is kept");
  cr_assert(!same(snapshots + best * n, snapshots + (trainer.step - 1) * n, n));
  ef_free(snapshots);
  release(&trainer, &model);
}

Test(trainer, patience_ends_and_the_best_look_is_kept) { check_selection(3, 60); }
Test(trainer, without_patience_it_goes_on_and_keeps_the_best_all_the_same) { check_selection(0, 31); }

Test(trainer, without_holdout_the_last_step_is_kept) {
  ef_model model = model_of(), other = model_of();
  static const ef_stream too_short = {.ids = forward_ids, .count = 1};
  ef_recipe recipe = recipe_of(5, NULL), empty = recipe_of(5, &too_short);
  ef_trainer a, b;
  create(&model, &recipe, &a);
  create(&other, &empty, &b);
  while (!a.ended) cr_ok(ef_trainer_step(&a));
  while (!b.ended) cr_ok(ef_trainer_step(&b));
  cr_assert(a.best_step == 0 && b.best_step == 0 && a.step == 5 && b.step == 5);
  cr_assert(same(model.params, other.params, model.table.floats));
  release(&a, &model);
  release(&b, &other);
}

Test(trainer, no_steps_change_nothing) {
  ef_model model = model_of(), start = model_of();
  ef_recipe recipe = recipe_of(0, &backward);
  ef_trainer trainer;
  create(&model, &recipe, &trainer);
  cr_ok(ef_trainer_walk(&t.run, &key, &trainer));
  cr_assert(trainer.ended && same(model.params, start.params, model.table.floats));
  cr_ok(ef_trainer_finish(&t.run, &key, &trainer, NULL));
  cr_assert(ef_part_exists(&t.run, &key));
  release(&trainer, &model);
  ef_model_free(&start);
}

/* ---- saved and restored -------------------------------------------------------------------------------- */

static bool same_state(const ef_trainer *a, const ef_trainer *b) {
  size_t n = a->model->table.floats;
  return a->step == b->step && a->best_step == b->best_step && a->best_loss == b->best_loss &&
         a->stale == b->stale && a->ended == b->ended && a->history.count == b->history.count &&
         same(a->model->params, b->model->params, n) && same(a->m, b->m, n) && same(a->v, b->v, n) &&
         (a->best_step == 0 || same(a->best, b->best, n)) &&
         same(a->history.rows[0], b->history.rows[0], a->history.count * EF_HISTORY_COLUMNS);
}

Test(trainer, a_restored_training_goes_on_with_the_same_bits) {
  ef_recipe recipe = recipe_of(60, &backward);
  ef_model straight_model = model_of();
  ef_trainer straight;
  create(&straight_model, &recipe, &straight);
  while (!straight.ended) cr_ok(ef_trainer_step(&straight));
  for (size_t stop = 1; stop <= straight.step; stop += stop < 8 ? 1 : 3) {
    ef_model first = model_of(), second = model_of();
    ef_trainer before, after;
    create(&first, &recipe, &before);
    for (size_t s = 0; s < stop; s++) cr_ok(ef_trainer_step(&before));
    cr_ok(ef_trainer_save(&t.run, &key, &before));
    memset(second.params, 0, second.table.floats * sizeof(float));
    create(&second, &recipe, &after);
    cr_ok(ef_trainer_restore(&t.run, &key, &after));
    cr_assert(same_state(&before, &after), "saved after step %zu", stop);
    cr_assert_eq(after.restored, stop);
    while (!after.ended) cr_ok(ef_trainer_step(&after));
    cr_assert(same_state(&straight, &after), "saved after step %zu", stop);
    release(&before, &first);
    release(&after, &second);
  }
  release(&straight, &straight_model);
}

Test(trainer, a_state_of_the_last_step_is_an_end) {
  ef_model model = model_of(), other = model_of();
  ef_recipe recipe = recipe_of(4, NULL);
  ef_trainer a, b;
  create(&model, &recipe, &a);
  while (!a.ended) cr_ok(ef_trainer_step(&a));
  cr_ok(ef_trainer_save(&t.run, &key, &a));
  create(&other, &recipe, &b);
  cr_ok(ef_trainer_walk(&t.run, &key, &b));
  cr_assert(b.step == 4 && b.ended && same(model.params, other.params, model.table.floats));
  release(&a, &model);
  release(&b, &other);
}

static void write_stop_file(void) {
  snprintf(t.run.stop.file, sizeof t.run.stop.file, "%s/stop", t.folder);
  cr_ok(ef_file_write(t.run.stop.file, "", 0));
}

Test(trainer, a_walk_that_is_stopped_saves_and_is_resumed) {
  ef_recipe recipe = recipe_of(20, &forward);
  ef_model straight_model = model_of(), model = model_of();
  ef_trainer straight, trainer;
  create(&straight_model, &recipe, &straight);
  cr_ok(ef_trainer_walk(&t.run, &key, &straight));
  cr_assert(!ef_part_usable(&t.run, &key, true), "nothing was due to be saved");
  create(&model, &recipe, &trainer);
  for (size_t s = 0; s < 6; s++) cr_ok(ef_trainer_step(&trainer));
  write_stop_file();
  cr_assert_eq(ef_trainer_walk(&t.run, &key, &trainer), EF_STOPPED);
  cr_assert(ef_part_usable(&t.run, &key, true));
  release(&trainer, &model);
  unlink(t.run.stop.file);
  t.run.stopping = false;
  cr_ok(ef_stop_setup(&t.run.stop, NULL, 0.0));
  model = model_of();
  create(&model, &recipe, &trainer);
  cr_ok(ef_trainer_walk(&t.run, &key, &trainer));
  cr_assert_eq(trainer.restored, 7);
  cr_assert(same_state(&straight, &trainer));
  cr_ok(ef_trainer_finish(&t.run, &key, &trainer, NULL));
  cr_assert(ef_part_exists(&t.run, &key));
  cr_assert(!ef_part_usable(&t.run, &key, true), "a finished part needs no partial state");
  size_t steps = 2;
  cr_ok(ef_part_steps(&t.run, &key, &steps));
  cr_assert_eq(steps, 22);
  release(&trainer, &model);
  release(&straight, &straight_model);
}

/* ---- failures ------------------------------------------------------------------------------------------ */

Test(trainer, numbers_that_are_not_finite_end_it_and_the_step_is_named) {
  ef_model model = model_of();
  ef_recipe recipe = recipe_of(10, NULL);
  ef_trainer trainer;
  create(&model, &recipe, &trainer);
  for (size_t s = 0; s < 3; s++) cr_ok(ef_trainer_step(&trainer));
  size_t in_use = (size_t)(ef_model_tensor(&model, EF_T_GATE_W, 1, -1) - model.params);
  model.params[in_use] = NAN;
  cr_assert_eq(ef_trainer_step(&trainer), EF_NUMBERS);
  cr_assert(strstr(ef_message(), "step 4:") != NULL, "%s", ef_message());
  cr_assert(trainer.step == 3 && trainer.history.count == 3);
  cr_assert(isfinite(model.params[in_use - 1]), "the parameters are not touched");
  release(&trainer, &model);
}

static ef_status refuse(void *ctx, const int32_t *ids, size_t B, size_t T, ef_loss_spec *spec) {
  (void)ctx;
  (void)ids;
  (void)B;
  (void)T;
  (void)spec;
  return ef_fail(EF_INPUT, __FILE__, __LINE__, "no teacher");
}

Test(trainer, failures_of_text_and_objective_come_through) {
  ef_model model = model_of();
  ef_recipe recipe = recipe_of(10, NULL);
  ef_objective objective = {.begin = refuse};
  ef_trainer trainer;
  cr_ok(ef_trainer_create(&model, t.run.kernels, &recipe, &source, &objective, &trainer));
  cr_assert_eq(ef_trainer_step(&trainer), EF_INPUT);
  cr_assert_eq(trainer.step, 0);
  ef_trainer_free(&trainer);
  ef_source none = {.general = &(ef_stream){.count = 1, .ids = forward_ids}};
  cr_ok(ef_trainer_create(&model, t.run.kernels, &recipe, &none, NULL, &trainer));
  cr_assert_eq(ef_trainer_step(&trainer), EF_INPUT);
  release(&trainer, &model);
}

Test(trainer, a_plan_knows_its_bytes) {
  ef_model model = model_of();
  for (int held = 0; held < 2; held++) {
    ef_recipe recipe = recipe_of(50, held ? &forward : NULL);
    ef_trainer trainer;
    size_t before = ef_memory_bytes(), plan = ef_trainer_bytes(&model, &recipe, 0);
    cr_ok(ef_trainer_create(&model, ef_kernels_find("blas"), &recipe, &source, NULL, &trainer));
    double taken = (double)(ef_memory_bytes() - before);
    cr_assert_float_eq((double)plan, taken, 0.01 * taken + 2048.0, "%zu planned, %.0f taken", plan, taken);
    ef_trainer_free(&trainer);
  }
  ef_model_free(&model);
}
