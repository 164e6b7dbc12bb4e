#include "base/clock.h"
#include "base/memory.h"
#include "fusion/tune_internal.h"
#include "train/block_file.h"
#include <string.h>

/* ---- writing ------------------------------------------------------------------------------------------- */

static ef_status write_parameters(ef_tuner *t, ef_h5 *file, bool done) {
  const ef_table *table = &t->shard.table;
  ef_block_share share = {.shared = ef_par_root(t->run->par), .experts = true};
  EF_TRY(ef_model_file_write(file, &t->shard, t->shard.params, share.shared, &t->source));
  float *m, *v;
  size_t floats;
  bool routed = t->tuning->train_experts;
  ef_step_moments(t->step_engine, &m, &v, &floats);
  EF_TRY(ef_block_write(file, "/optimizer/m", table, m, share, routed, "first moment of AdamW"));
  EF_TRY(ef_block_write(file, "/optimizer/v", table, v, share, routed, "second moment of AdamW"));
  if (!done && t->average) {
    EF_TRY(
        ef_block_write(file, "/average", table, t->average, share, true, "running average of the parameter"));
  }
  if (done || !ef_tuner_has_best(t)) return EF_OK;
  return ef_block_write(file, "/best", table, t->best, share, true,
                        "parameter with the least holdout loss so far");
}

static ef_status write_progress(ef_tuner *t, ef_h5 *file, bool done) {
  EF_TRY(ef_h5_set_text(file, "/", "unit_state", done ? "done" : "under way"));
  EF_TRY(ef_h5_set_int(file, "/", "unit_step", (int64_t)t->step));
  EF_TRY(ef_h5_set_int(file, "/", "cursor", (int64_t)t->step));
  EF_TRY(ef_h5_set_int(file, "/", "best_step", (int64_t)t->best_step));
  EF_TRY(ef_h5_set_real(file, "/", "best_loss", t->best_loss));
  EF_TRY(ef_h5_set_real(file, "/", "start_loss", t->tuned->start_loss));
  return ef_history_write(file, &t->history, ef_par_root(t->run->par), "tuning losses");
}

static ef_status write_lineage(ef_tuner *t, ef_h5 *file) {
  size_t N = (size_t)t->run->deck->federation.devices, E = t->tuning->global->E;
  float *none = NULL;
  EF_TRY(EF_NEW(none, t->tuning->lineage ? 0 : E * N));
  const float *weight = t->tuning->lineage ? t->tuning->lineage : none;
  ef_h5_array array = {.path = "/lineage/expert_device",
                       .type = EF_H5_F32,
                       .rank = 2,
                       .shape = {E, N},
                       .description = "share of each device's model in what each expert was made of",
                       .units = "1",
                       .dims = "expert,device"};
  ef_status status = ef_h5_write(file, &array, ef_par_root(t->run->par) ? weight : NULL);
  ef_free(none);
  EF_TRY(status);
  bool root = ef_par_root(t->run->par);
  EF_TRY(ef_h5_write_axis(file, "/lineage", "expert", E, 0, "number of the expert", root));
  EF_TRY(ef_h5_write_axis(file, "/lineage", "device", N, 0, "number of the device", root));
  return ef_h5_set_nxdata(file, "/lineage", "expert_device", "expert,device",
                          "which device shaped which expert");
}

static ef_h5_array results_array(size_t domains) {
  return (ef_h5_array){.path = "/results/validation",
                       .type = EF_H5_F64,
                       .rank = 3,
                       .shape = {2, domains, EF_QUALITY_FIELDS},
                       .description =
                           "validation text before and after tuning: nll, tokens, hits, bytes by domain",
                       .units = "1",
                       .dims = "when,domain,field"};
}

static ef_h5_array load_array(size_t layers, size_t E) {
  return (ef_h5_array){.path = "/results/expert_load",
                       .type = EF_H5_I64,
                       .rank = 2,
                       .shape = {layers, E},
                       .description = "tokens of the public holdout that each expert received",
                       .units = "token",
                       .dims = "layer,expert"};
}

static ef_status write_results(ef_tuner *t, ef_h5 *file) {
  size_t domains = t->run->tokens.domain_count, E = t->tuning->global->E,
         layers = ef_dims_moe_count(t->tuning->global);
  bool root = ef_par_root(t->run->par);
  double *rows = NULL;
  int64_t *load = NULL;
  ef_status status = EF_OK;
  EF_GO(EF_NEW(rows, 2 * domains * EF_QUALITY_FIELDS));
  EF_GO(EF_NEW(load, layers * E));
  ef_quality_pack(t->tuned->after, domains, ef_quality_pack(t->tuned->before, domains, rows));
  for (size_t i = 0; i < layers * E; i++) load[i] = (int64_t)t->tuned->load[i];
  ef_h5_array results = results_array(domains), loads = load_array(layers, E);
  EF_GO(ef_h5_write(file, &results, root ? rows : NULL));
  EF_GO(ef_h5_write(file, &loads, root ? load : NULL));
  EF_GO(ef_h5_write_axis(file, "/results", "layer", layers, 0, "layer with experts, from 0", root));
  EF_GO(ef_h5_write_axis(file, "/results", "expert", E, 0, "number of the expert", root));
  EF_GO(ef_h5_set_nxdata(file, "/results", "expert_load", "layer,expert", "tokens of each expert"));
done:
  ef_free(rows);
  ef_free(load);
  return status;
}

/* Where the state goes: a checkpoint of the run, or a part. */
static ef_status create(ef_tuner *t, bool done, ef_h5 **file) {
  if (t->tuning->unit != EF_UNIT_TUNE) return ef_part_create_shared(t->run, &t->key, !done, file);
  size_t before;
  EF_TRY(ef_checkpoint_steps(t->run, &before));
  return ef_checkpoint_create(t->run, t->tuning->name, before + t->step, file);
}

static ef_status commit(ef_tuner *t, bool done, ef_h5 *file, double started) {
  if (t->tuning->unit == EF_UNIT_TUNE) return ef_checkpoint_commit(t->run, file, started);
  EF_TRY(ef_h5_commit(file));
  if (done && ef_par_root(t->run->par)) ef_part_forget(t->run, &t->key);
  return EF_OK;
}

ef_status ef_tuner_save(ef_tuner *t, bool done) {
  double started = ef_clock();
  ef_h5 *file = NULL;
  EF_TRY(create(t, done, &file));
  ef_status status = EF_OK;
  EF_GO(write_parameters(t, file, done));
  EF_GO(write_progress(t, file, done));
  EF_GO(write_lineage(t, file));
  EF_GO(write_results(t, file));
  EF_GO(ef_h5_set_default(file, "/entry", done ? "/results" : "/lineage"));
done:
  if (status == EF_OK) return commit(t, done, file, started);
  ef_h5_close(file);
  return status;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static ef_status read_progress(ef_tuner *t, ef_h5 *file) {
  int64_t step = 0, best_step = 0;
  char *state = NULL;
  EF_TRY(ef_h5_get_int(file, "/", "unit_step", &step));
  EF_TRY(ef_h5_get_int(file, "/", "best_step", &best_step));
  EF_TRY(ef_h5_get_real(file, "/", "best_loss", &t->best_loss));
  EF_TRY(ef_h5_get_real(file, "/", "start_loss", &t->tuned->start_loss));
  EF_TRY(EF_CHECK(step >= 0 && (size_t)step <= t->steps && best_step <= step, EF_CHECKPOINT,
                  "step %lld of %zu", (long long)step, t->steps));
  EF_TRY(ef_h5_get_text(file, "/", "unit_state", &state));
  t->finished = strcmp(state, "done") == 0;
  ef_free(state);
  t->step = t->restored = t->history.count = (size_t)step;
  t->best_step = (size_t)best_step;
  return ef_history_read(file, &t->history);
}

static ef_status read_results(ef_tuner *t, ef_h5 *file) {
  size_t domains = t->run->tokens.domain_count, E = t->tuning->global->E,
         layers = ef_dims_moe_count(t->tuning->global);
  double *rows = NULL;
  int64_t *load = NULL;
  ef_status status = EF_OK;
  EF_GO(EF_NEW(rows, 2 * domains * EF_QUALITY_FIELDS));
  EF_GO(EF_NEW(load, layers * E));
  ef_h5_array results = results_array(domains), loads = load_array(layers, E);
  EF_GO(ef_h5_read(file, &results, rows));
  EF_GO(ef_h5_read(file, &loads, load));
  ef_quality_unpack(ef_quality_unpack(rows, domains, t->tuned->before), domains, t->tuned->after);
  for (size_t i = 0; i < layers * E; i++) t->tuned->load[i] = (size_t)load[i];
done:
  ef_free(rows);
  ef_free(load);
  return status;
}

static ef_status read_state(ef_tuner *t, ef_h5 *file) {
  const ef_table *table = &t->shard.table;
  bool routed = t->tuning->train_experts;
  EF_TRY(read_progress(t, file));
  EF_TRY(ef_model_file_read(file, &t->shard));
  EF_TRY(read_results(t, file));
  if (t->finished) return EF_OK;
  float *m, *v;
  size_t floats;
  ef_step_moments(t->step_engine, &m, &v, &floats);
  EF_TRY(ef_block_read(file, "/optimizer/m", table, routed, m));
  EF_TRY(ef_block_read(file, "/optimizer/v", table, routed, v));
  if (t->average) EF_TRY(ef_block_read(file, "/average", table, true, t->average));
  return ef_tuner_has_best(t) ? ef_block_read(file, "/best", table, true, t->best) : EF_OK;
}

/* The path of the newest state; "" if there is none. */
static ef_status find(ef_tuner *t, char *path, size_t size) {
  if (t->tuning->unit == EF_UNIT_TUNE) return ef_checkpoint_newest(t->run, path, size);
  memset(path, 0, size);
  bool root = ef_par_root(t->run->par);
  if (root && ef_part_exists(t->run, &t->key)) {
    ef_part_path(t->run, &t->key, false, path, size);
  } else if (root && ef_part_usable(t->run, &t->key, true)) {
    ef_part_path(t->run, &t->key, true, path, size);
  }
  return ef_bcast(t->run->par, 0, path, size);
}

ef_status ef_tuner_restore(ef_tuner *t) {
  char path[4096], *phase = NULL;
  EF_TRY(find(t, path, sizeof path));
  if (!path[0]) return EF_OK;
  ef_h5 *file = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_h5_open(path, NULL, &file));
  if (t->tuning->unit == EF_UNIT_TUNE) {
    EF_GO(ef_h5_get_text(file, "/", "phase", &phase));
    if (strcmp(phase, t->tuning->name) != 0) goto done;
  }
  EF_GO(read_state(t, file));
done:
  ef_h5_close(file);
  ef_free(phase);
  return ef_agree(t->run->par, status == EF_OK ? EF_OK : ef_context(status, "%s", path));
}
