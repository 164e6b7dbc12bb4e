#include "train/trainer_file.h"

#include "base/memory.h"
#include "train/block_file.h"
#include "train/events.h"
#include "train/model_file.h"

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

static ef_status write_progress(ef_h5 *file, const ef_trainer *t) {
  EF_TRY(ef_h5_set_int(file, "/", "step", (int64_t)t->step));
  EF_TRY(ef_h5_set_int(file, "/", "tokens", (int64_t)ef_trainer_tokens(t)));
  EF_TRY(ef_h5_set_int(file, "/", "best_step", (int64_t)t->best_step));
  EF_TRY(ef_h5_set_real(file, "/", "best_loss", t->best_loss));
  return ef_h5_set_int(file, "/", "stale", (int64_t)t->stale);
}

/* What the files of a trainer are made from. */
typedef struct content {
  const ef_trainer *trainer;
  size_t unit;
  const ef_records *records; /* of a finished part, or NULL */
} content;

static ef_status write_state(void *ctx, ef_h5 *file) {
  const ef_trainer *t = ((const content *)ctx)->trainer;
  const ef_table *table = &t->model->table;
  const ef_objective *o = &t->objective;
  EF_TRY(ef_block_write(file, "/model", table, t->model->params, EF_BLOCK_ALL, true, "parameter"));
  EF_TRY(ef_block_write(file, "/optimizer/m", table, t->m, EF_BLOCK_ALL, true, "first moment of AdamW"));
  EF_TRY(ef_block_write(file, "/optimizer/v", table, t->v, EF_BLOCK_ALL, true, "second moment of AdamW"));
  if (t->best_step > 0) {
    EF_TRY(ef_block_write(file, "/best", table, t->best, EF_BLOCK_ALL, true,
                          "parameter with the least holdout loss so far"));
  }
  EF_TRY(write_vector(file, "/extra/params", o->extra_count, o->extra, "parameters beside the model"));
  EF_TRY(write_vector(file, "/extra/m", o->extra_count, t->extra_m, "first moment of AdamW"));
  EF_TRY(write_vector(file, "/extra/v", o->extra_count, t->extra_v, "second moment of AdamW"));
  EF_TRY(ef_history_write(file, &t->history, true, "training losses"));
  return write_progress(file, t);
}

ef_status ef_trainer_save(const ef_run *run, const ef_part_key *key, const ef_trainer *trainer) {
  content state = {trainer, key->index, NULL};
  return ef_part_write(run, key, true, &(ef_part_content){&state, write_state});
}

static ef_status read_progress(ef_h5 *file, ef_trainer *t) {
  int64_t step = 0, best_step = 0, stale = 0;
  EF_TRY(ef_h5_get_int(file, "/", "step", &step));
  EF_TRY(ef_h5_get_int(file, "/", "best_step", &best_step));
  EF_TRY(ef_h5_get_int(file, "/", "stale", &stale));
  EF_TRY(ef_h5_get_real(file, "/", "best_loss", &t->best_loss));
  EF_TRY(EF_CHECK(step >= 0 && (size_t)step <= t->recipe.steps, EF_CHECKPOINT, "step %lld of %zu",
                  (long long)step, t->recipe.steps));
  EF_TRY(EF_CHECK(best_step >= 0 && best_step <= (t->recipe.holdout ? step : 0) && stale >= 0, EF_CHECKPOINT,
                  "best step %lld of %lld", (long long)best_step, (long long)step));
  t->step = t->restored = t->history.count = (size_t)step;
  t->best_step = (size_t)best_step;
  t->stale = (size_t)stale;
  t->ended = t->step == t->recipe.steps || (t->recipe.patience > 0 && t->stale >= t->recipe.patience);
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
  return ef_history_read(file, &t->history);
}

ef_status ef_trainer_restore(const ef_run *run, const ef_part_key *key, ef_trainer *trainer) {
  if (!ef_part_usable(run, key, true)) return EF_OK;
  ef_h5 *file = NULL;
  EF_TRY(ef_part_open(run, key, true, &file));
  ef_status status = read_state(file, trainer);
  ef_h5_close(file);
  return status;
}

/* Buffers of files are no memory of the training: its peak is the same however often it was stopped. */
static ef_status restore_uncounted(const ef_run *run, const ef_part_key *key, ef_trainer *trainer) {
  size_t peak = ef_memory_peak();
  ef_status status = ef_trainer_restore(run, key, trainer);
  ef_memory_return_to_peak(peak);
  return status;
}

static ef_status save_uncounted(const ef_run *run, const ef_part_key *key, const ef_trainer *trainer) {
  size_t peak = ef_memory_peak();
  ef_status status = ef_trainer_save(run, key, trainer);
  ef_memory_return_to_peak(peak);
  return status;
}

ef_status ef_trainer_walk(ef_run *run, const ef_part_key *key, ef_trainer *trainer) {
  EF_TRY(restore_uncounted(run, key, trainer));
  while (!trainer->ended) {
    EF_TRY(ef_trainer_step(trainer));
    ef_progress_step(run, ef_unit_name(key->kind), trainer->step, trainer->recipe.steps,
                     (double)trainer->history.rows[trainer->step - 1][EF_HISTORY_CE]);
    ef_stop_reached(&run->stop, ef_unit_name(key->kind), trainer->step, trainer->recipe.steps);
    bool stop = ef_run_told_to_stop(run);
    if (trainer->ended) break;
    if (stop || ef_run_checkpoint_due(run)) EF_TRY(save_uncounted(run, key, trainer));
    if (stop) return EF_STOPPED;
  }
  return EF_OK;
}

static ef_status write_result(void *ctx, ef_h5 *file) {
  const content *c = ctx;
  const ef_model *model = c->trainer->model;
  EF_TRY(ef_model_file_write_made(file, model));
  EF_TRY(ef_history_write(file, &c->trainer->history, true, "training losses"));
  EF_TRY(write_progress(file, c->trainer));
  return c->records ? ef_record_write(c->records, c->unit, file) : EF_OK;
}

ef_status ef_trainer_finish(const ef_run *run, const ef_part_key *key, const ef_trainer *trainer,
                            const ef_records *records) {
  content result = {trainer, key->index, records};
  return ef_part_write(run, key, false, &(ef_part_content){&result, write_result});
}
