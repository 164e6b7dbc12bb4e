#include "train/trainer_file.h"

#include "train/block_file.h"
#include "train/events.h"

static ef_status write_vector(ef_h5 *file, const char *path, size_t n, const float *x,
                              const char *description) {
  ef_h5_array array = {.path = path,
                       .type = EF_H5_F32,
                       .rank = 1,
                       .shape = {n},
                       .description = description,
                       .units = "1",
                       .dims = "n"};
  return n > 0 ? ef_h5_write(file, &array, x) : EF_OK;
}

static ef_status read_vector(ef_h5 *file, const char *path, size_t n, float *x) {
  ef_h5_array array = {.path = path, .type = EF_H5_F32, .rank = 1, .shape = {n}};
  return n > 0 ? ef_h5_read(file, &array, x) : EF_OK;
}

static ef_h5_array history_array(size_t rows) {
  return (ef_h5_array){.path = "/series/history",
                       .type = EF_H5_F32,
                       .rank = 2,
                       .shape = {rows, EF_HISTORY_COLUMNS},
                       .description =
                           "mean losses of each step: cross-entropy, KL, feature matching, holdout",
                       .units = "nat/token",
                       .dims = "step,loss"};
}

static ef_status write_history(ef_h5 *file, const ef_history *history) {
  if (history->count == 0) return EF_OK;
  ef_h5_array array = history_array(history->count);
  EF_TRY(ef_h5_write(file, &array, history->rows));
  return ef_h5_set_nxdata(file, "/series", "history", "step,loss", "training losses");
}

static ef_status write_progress(ef_h5 *file, const ef_trainer *t) {
  EF_TRY(ef_h5_set_int(file, "/", "step", (int64_t)t->step));
  EF_TRY(ef_h5_set_int(file, "/", "tokens", (int64_t)ef_trainer_tokens(t)));
  EF_TRY(ef_h5_set_int(file, "/", "best_step", (int64_t)t->best_step));
  EF_TRY(ef_h5_set_real(file, "/", "best_loss", t->best_loss));
  return ef_h5_set_int(file, "/", "stale", (int64_t)t->stale);
}

static ef_status write_state(ef_h5 *file, const ef_trainer *t) {
  const ef_table *table = &t->model->table;
  const ef_objective *o = &t->objective;
  EF_TRY(ef_block_write(file, "/model", table, t->model->params, EF_BLOCK_ALL, true, "parameter"));
  EF_TRY(ef_block_write(file, "/optimizer/m", table, t->m, EF_BLOCK_ALL, true, "first moment of AdamW"));
  EF_TRY(ef_block_write(file, "/optimizer/v", table, t->v, EF_BLOCK_ALL, true, "second moment of AdamW"));
  if (t->best_step > 0) {
    EF_TRY(
        ef_block_write(file, "/best", table, t->best, EF_BLOCK_ALL, true, "parameter with the least holdout loss so far"));
  }
  EF_TRY(write_vector(file, "/extra/params", o->extra_count, o->extra, "parameters beside the model"));
  EF_TRY(write_vector(file, "/extra/m", o->extra_count, t->extra_m, "first moment of AdamW"));
  EF_TRY(write_vector(file, "/extra/v", o->extra_count, t->extra_v, "second moment of AdamW"));
  EF_TRY(write_history(file, &t->history));
  return write_progress(file, t);
}

ef_status ef_trainer_save(const ef_run *run, const ef_part_key *key, const ef_trainer *trainer) {
  ef_h5 *file = NULL;
  EF_TRY(ef_part_create(run, key, true, &file));
  ef_status status = write_state(file, trainer);
  if (status == EF_OK) return ef_h5_commit(file);
  ef_h5_close(file);
  return status;
}

static ef_status read_progress(ef_h5 *file, ef_trainer *t) {
  int64_t step = 0, best_step = 0, stale = 0;
  EF_TRY(ef_h5_get_int(file, "/", "step", &step));
  EF_TRY(ef_h5_get_int(file, "/", "best_step", &best_step));
  EF_TRY(ef_h5_get_int(file, "/", "stale", &stale));
  EF_TRY(ef_h5_get_real(file, "/", "best_loss", &t->best_loss));
  EF_TRY(EF_CHECK(step >= 0 && (size_t)step <= t->recipe.steps, EF_CHECKPOINT, "step %lld of %zu",
                  (long long)step, t->recipe.steps));
  t->step = t->restored = t->history.count = (size_t)step;
  t->best_step = (size_t)best_step;
  t->stale = (size_t)stale;
  return EF_OK;
}

static ef_status read_state(ef_h5 *file, ef_trainer *t) {
  const ef_table *table = &t->model->table;
  const ef_objective *o = &t->objective;
  EF_TRY(read_progress(file, t));
  EF_TRY(ef_block_read(file, "/model", table, true, t->model->params));
  EF_TRY(ef_block_read(file, "/optimizer/m", table, true, t->m));
  EF_TRY(ef_block_read(file, "/optimizer/v", table, true, t->v));
  if (t->best_step > 0) EF_TRY(ef_block_read(file, "/best", table, true, t->best));
  EF_TRY(read_vector(file, "/extra/params", o->extra_count, o->extra));
  EF_TRY(read_vector(file, "/extra/m", o->extra_count, t->extra_m));
  EF_TRY(read_vector(file, "/extra/v", o->extra_count, t->extra_v));
  if (t->history.count == 0) return EF_OK;
  ef_h5_array array = history_array(t->history.count);
  return ef_h5_read(file, &array, t->history.rows);
}

ef_status ef_trainer_restore(const ef_run *run, const ef_part_key *key, ef_trainer *trainer) {
  if (!ef_part_usable(run, key, true)) return EF_OK;
  ef_h5 *file = NULL;
  EF_TRY(ef_part_open(run, key, true, &file));
  ef_status status = read_state(file, trainer);
  ef_h5_close(file);
  return status;
}

ef_status ef_trainer_walk(ef_run *run, const ef_part_key *key, ef_trainer *trainer) {
  EF_TRY(ef_trainer_restore(run, key, trainer));
  while (!trainer->ended) {
    EF_TRY(ef_trainer_step(trainer));
    ef_progress(run, ef_unit_name(key->kind), trainer->step, trainer->recipe.steps);
    bool stop = ef_run_told_to_stop(run);
    if (trainer->ended) break;
    if (stop || ef_run_checkpoint_due(run)) EF_TRY(ef_trainer_save(run, key, trainer));
    if (stop) return EF_STOPPED;
  }
  return EF_OK;
}

ef_status ef_trainer_finish(const ef_run *run, const ef_part_key *key, const ef_trainer *trainer,
                            ef_status (*extend)(void *ctx, ef_h5 *file), void *ctx) {
  ef_h5 *file = NULL;
  EF_TRY(ef_part_create(run, key, false, &file));
  ef_status status = EF_OK;
  EF_GO(ef_block_write(file, "/model", &trainer->model->table, trainer->model->params, EF_BLOCK_ALL, true, "parameter"));
  EF_GO(write_history(file, &trainer->history));
  EF_GO(write_progress(file, trainer));
  if (extend) EF_GO(extend(ctx, file));
done:
  if (status == EF_OK)
    status = ef_h5_commit(file);
  else
    ef_h5_close(file);
  if (status == EF_OK) ef_part_forget(run, key);
  return status;
}
