#include "train/part.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/block_file.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static const char *const kind_names[EF_UNIT_KIND_COUNT] = {
    "",      "family", "base_start", "device", "proxy", "base", "tune", "public_only",
};

const char *ef_unit_name(ef_unit_kind kind) { return kind_names[kind]; }

void ef_part_path(const ef_run *run, const ef_part_key *key, bool partial, char *path, size_t size) {
  ef_run_path(run, path, size, "parts/%s_%05zu%s.h5", kind_names[key->kind], key->index, partial ? ".partial" : "");
}

ef_status ef_part_create(const ef_run *run, const ef_part_key *key, bool partial, ef_h5 **file) {
  char path[PATH_BYTES], identity[33];
  EF_TRY(ef_run_identity(run, key->sections, identity));
  ef_part_path(run, key, partial, path, sizeof path);
  ef_h5_header header = {.kind = "part",
                         .deck = run->deck->yaml,
                         .seed = (uint64_t)run->deck->run.seed,
                         .ranks = run->par->size};
  EF_TRY(ef_h5_create(path, MPI_COMM_NULL, &header, file));
  ef_status status = EF_OK;
  EF_GO(ef_h5_set_text(*file, "/", "unit", kind_names[key->kind]));
  EF_GO(ef_h5_set_int(*file, "/", "index", (int64_t)key->index));
  EF_GO(ef_h5_set_text(*file, "/", "identity", identity));
done:
  if (status != EF_OK) {
    ef_h5_close(*file);
    *file = NULL;
  }
  return status;
}

static ef_status check_identity(const ef_run *run, const ef_part_key *key, const char *path, ef_h5 *file) {
  char identity[33], *found = NULL;
  EF_TRY(ef_run_identity(run, key->sections, identity));
  EF_TRY(ef_h5_get_text(file, "/", "identity", &found));
  bool same = strcmp(found, identity) == 0;
  ef_free(found);
  return EF_CHECK(same, EF_CHECKPOINT, "%s: made from another text, seed or deck (sections %s)", path, key->sections);
}

ef_status ef_part_open(const ef_run *run, const ef_part_key *key, bool partial, ef_h5 **file) {
  char path[PATH_BYTES];
  ef_part_path(run, key, partial, path, sizeof path);
  EF_TRY(ef_h5_open(path, "part", file));
  ef_status status = check_identity(run, key, path, *file);
  if (status != EF_OK) {
    ef_h5_close(*file);
    *file = NULL;
  }
  return status;
}

/* True if the file can be used; otherwise it says why not and is passed over. */
static bool usable(const ef_run *run, const ef_part_key *key, bool partial) {
  char path[PATH_BYTES];
  ef_part_path(run, key, partial, path, sizeof path);
  if (!ef_file_exists(path)) return false;
  ef_h5 *file = NULL;
  ef_status status = ef_part_open(run, key, partial, &file);
  if (status == EF_OK) status = ef_h5_verify(file);
  ef_h5_close(file);
  if (status != EF_OK) ef_warn("%s; it is computed anew", ef_message());
  return status == EF_OK;
}

bool ef_part_exists(const ef_run *run, const ef_part_key *key) { return usable(run, key, false); }

void ef_part_forget(const ef_run *run, const ef_part_key *key) {
  char path[PATH_BYTES];
  ef_part_path(run, key, true, path, sizeof path);
  unlink(path);
}

ef_status ef_part_load(const ef_run *run, const ef_part_key *key, const ef_dims *dims, ef_model *model) {
  ef_h5 *file = NULL;
  EF_TRY(ef_part_open(run, key, false, &file));
  ef_status status = EF_OK;
  EF_GO(ef_model_create(dims, model));
  EF_GO(ef_block_read(file, "/model", &model->table, model->params));
done:
  ef_h5_close(file);
  if (status != EF_OK) ef_model_free(model);
  return status;
}

/* ---- the state of a trainer ---------------------------------------------------------------------------- */

static ef_status write_vector(ef_h5 *file, const char *path, size_t n, const float *x, const char *description) {
  ef_h5_array array = {
      .path = path, .type = EF_H5_F32, .rank = 1, .shape = {n}, .description = description, .units = "1", .dims = "n"};
  return n > 0 ? ef_h5_write(file, &array, x) : EF_OK;
}

static ef_status read_vector(ef_h5 *file, const char *path, size_t n, float *x) {
  ef_h5_array array = {.path = path, .type = EF_H5_F32, .rank = 1, .shape = {n}};
  return n > 0 ? ef_h5_read(file, &array, x) : EF_OK;
}

static ef_h5_array history_array(const ef_history *history, size_t rows) {
  (void)history;
  return (ef_h5_array){.path = "/series/history",
                       .type = EF_H5_F32,
                       .rank = 2,
                       .shape = {rows, EF_HISTORY_COLUMNS},
                       .description = "mean losses of each step: cross-entropy, KL, feature matching, holdout",
                       .units = "nat/token",
                       .dims = "step,loss"};
}

static ef_status write_history(ef_h5 *file, const ef_history *history) {
  if (history->count == 0) return EF_OK;
  ef_h5_array array = history_array(history, history->count);
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
  EF_TRY(ef_block_write(file, "/model", table, t->model->params, true, "parameter"));
  EF_TRY(ef_block_write(file, "/optimizer/m", table, t->m, true, "first moment of AdamW"));
  EF_TRY(ef_block_write(file, "/optimizer/v", table, t->v, true, "second moment of AdamW"));
  if (t->best_step > 0) {
    EF_TRY(ef_block_write(file, "/best", table, t->best, true, "parameter with the least holdout loss so far"));
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
  t->step = t->history.count = (size_t)step;
  t->best_step = (size_t)best_step;
  t->stale = (size_t)stale;
  return EF_OK;
}

static ef_status read_state(ef_h5 *file, ef_trainer *t) {
  const ef_table *table = &t->model->table;
  const ef_objective *o = &t->objective;
  EF_TRY(read_progress(file, t));
  EF_TRY(ef_block_read(file, "/model", table, t->model->params));
  EF_TRY(ef_block_read(file, "/optimizer/m", table, t->m));
  EF_TRY(ef_block_read(file, "/optimizer/v", table, t->v));
  if (t->best_step > 0) EF_TRY(ef_block_read(file, "/best", table, t->best));
  EF_TRY(read_vector(file, "/extra/params", o->extra_count, o->extra));
  EF_TRY(read_vector(file, "/extra/m", o->extra_count, t->extra_m));
  EF_TRY(read_vector(file, "/extra/v", o->extra_count, t->extra_v));
  if (t->history.count == 0) return EF_OK;
  ef_h5_array array = history_array(&t->history, t->history.count);
  return ef_h5_read(file, &array, t->history.rows);
}

ef_status ef_trainer_restore(const ef_run *run, const ef_part_key *key, ef_trainer *trainer) {
  if (!usable(run, key, true)) return EF_OK;
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
  EF_GO(ef_block_write(file, "/model", &trainer->model->table, trainer->model->params, true, "parameter"));
  EF_GO(write_history(file, &trainer->history));
  EF_GO(write_progress(file, trainer));
  if (extend) EF_GO(extend(ctx, file));
done:
  if (status == EF_OK) status = ef_h5_commit(file);
  else ef_h5_close(file);
  if (status == EF_OK) ef_part_forget(run, key);
  return status;
}
