#include "base/file.h"
#include "base/memory.h"
#include "report/run_documents.h"
#include "report/run_ledger.h"
#include "report/run_views.h"
#include "train/history.h"
#include "train/part.h"
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

/* ---- losses of the trained units ---------------------------------------------------------------------- */

static const char *const descriptions[EF_HISTORY_COLUMNS] = {
    "mean cross-entropy of the batch", "mean KL divergence to the teacher", "feature-matching loss",
    "cross-entropy on the holdout, at the steps that looked", "mean cross-entropy of the early exits"};

/* Column `c` into `values`; false if there is nothing but NAN. */
static bool read_column(const ef_history *history, size_t c, float *values) {
  bool any = false;
  for (size_t s = 0; s < history->count; s++) {
    values[s] = history->rows[s][c];
    any = any || !isnan(values[s]);
  }
  return any;
}

/* The losses of every step are drawn together; those on the holdout have gaps. */
static ef_status write_columns(ef_h5 *out, const char *group, const ef_history *history, float *values) {
  char path[160], beside[64] = "";
  for (size_t c = 0; c < EF_HISTORY_COLUMNS; c++) {
    if (!read_column(history, c, values)) continue;
    size_t n = strlen(beside);
    if (c != EF_HISTORY_CE && c != EF_HISTORY_HOLDOUT)
      snprintf(beside + n, sizeof beside - n, "%s%s", n ? "," : "", ef_history_name(c));
    snprintf(path, sizeof path, "%s/%s", group, ef_history_name(c));
    EF_TRY(ef_h5_write_vector(out, path, EF_H5_F32, history->count, "step", descriptions[c], "nat/token",
                              values));
  }
  return beside[0] ? ef_h5_set_auxiliary(out, group, beside) : EF_OK;
}

static ef_status write_history(ef_h5 *out, const char *name, const ef_history *history) {
  char group[128];
  float *values = NULL;
  snprintf(group, sizeof group, "/units/%s", name);
  EF_TRY(EF_NEW(values, history->count));
  ef_status status = write_columns(out, group, history, values);
  ef_free(values);
  if (status == EF_OK)
    status = ef_h5_write_axis(out, group, "step", history->count, 1, "optimiser step, from 1", true);
  return status == EF_OK ? ef_h5_set_nxdata(out, group, ef_history_name(EF_HISTORY_CE), "step", name)
                         : status;
}

/* Copies the history of one file, if it has one; `written` counts. */
static ef_status copy_history(ef_h5 *out, const char *path, const char *name, size_t *written) {
  if (!ef_file_exists(path)) return EF_OK;
  ef_h5 *in = NULL;
  ef_history history = {0};
  ef_h5_array array = {0};
  EF_TRY(ef_h5_open(path, NULL, &in));
  ef_status status = EF_OK;
  if (!ef_h5_has(in, "/series/history")) goto done;
  EF_GO(ef_h5_describe(in, "/series/history", &array));
  EF_GO(ef_history_create(array.shape[0], &history));
  history.count = array.shape[0];
  EF_GO(ef_history_read(in, &history));
  EF_GO(write_history(out, name, &history));
  ++*written;
done:
  ef_history_free(&history);
  ef_h5_close(in);
  return status;
}

static ef_status copy_units(const ef_report *r, ef_h5 *out, ef_unit_kind kind, size_t count,
                            size_t *written) {
  for (size_t i = 0; i < count; i++) {
    if (kind == EF_UNIT_DEVICE &&
        r->outcome->devices.records[i % r->outcome->devices.count].state != EF_DEVICE_OK)
      continue;
    ef_part_key key = {.kind = kind, .index = i};
    char path[PATH_BYTES], name[64];
    ef_part_path(r->run, &key, false, path, sizeof path);
    snprintf(name, sizeof name, "%s_%05zu", ef_unit_name(kind), i);
    EF_TRY(copy_history(out, path, name, written));
  }
  return EF_OK;
}

/* The newest checkpoint is the end of the tuning: the report is written right after it. "" if there is none.
 */
static void newest_checkpoint(const ef_report *r, char *path, size_t size) {
  char folder[PATH_BYTES], newest[256] = "";
  path[0] = '\0';
  ef_run_path(r->run, folder, sizeof folder, "checkpoint");
  DIR *dir = opendir(folder);
  if (!dir) return;
  for (struct dirent *entry; (entry = readdir(dir));) {
    const char *name = entry->d_name;
    size_t n = strlen(name);
    bool checkpoint = n > 8 && strncmp(name, "step_", 5) == 0 && strcmp(name + n - 3, ".h5") == 0;
    if (checkpoint && strcmp(name, newest) > 0) snprintf(newest, sizeof newest, "%s", name);
  }
  closedir(dir);
  if (newest[0]) ef_run_path(r->run, path, size, "checkpoint/%s", newest);
}

static ef_status copy_tuning(const ef_report *r, ef_h5 *out, size_t *written) {
  char path[PATH_BYTES];
  newest_checkpoint(r, path, sizeof path);
  if (!path[0]) return EF_OK;
  EF_TRY(copy_history(out, path, ef_unit_name(EF_UNIT_TUNE), written));
  return ef_report_copy_lineage(path, out);
}

static ef_status write_units(const ef_report *r, ef_h5 *out) {
  const ef_outcome *o = r->outcome;
  size_t before = 0, tuned = 0;
  EF_TRY(copy_units(r, out, EF_UNIT_FAMILY, o->population.entries, &before));
  EF_TRY(copy_units(r, out, EF_UNIT_BASE_START, 1, &before));
  EF_TRY(copy_units(r, out, EF_UNIT_DEVICE, (o->devices.round + 1) * o->devices.count, &before));
  EF_TRY(copy_units(r, out, EF_UNIT_BASE, (o->bases.round + 1) * o->bases.count, &before));
  if (o->public_only.steps > 0) EF_TRY(copy_units(r, out, EF_UNIT_PUBLIC_ONLY, 1, &before));
  EF_TRY(copy_tuning(r, out, &tuned));
  if (tuned > 0) return ef_h5_set_default(out, "/units", ef_unit_name(EF_UNIT_TUNE));
  if (before > 0) EF_TRY(ef_h5_set_text(out, "/units", "NX_class", "NXentry"));
  return o->devices.count > 0 ? ef_h5_set_default(out, "/entry", "/clients") : EF_OK;
}

/* ---- traffic and load --------------------------------------------------------------------------------- */

typedef enum client_field { UP, DOWN, PEAK, STEPS, TOKENS, CLIENT_FIELDS } client_field;

static const struct {
  const char *path, *description, *units;
} client_fields[CLIENT_FIELDS] = {
    {"/clients/up_bytes", "bytes that the device sent to the server", "byte"},
    {"/clients/down_bytes", "bytes that the server sent to the device", "byte"},
    {"/clients/peak_bytes", "counted memory of the device while it trained", "byte"},
    {"/clients/steps", "optimiser steps of the device", "1"},
    {"/clients/tokens", "tokens of private text on the device", "token"},
};

static int64_t client_value(const ef_outcome *o, client_field field, size_t n) {
  const ef_device_record *d = &o->devices.records[n];
  switch (field) {
  case UP:
    return (int64_t)ef_ledger_device(&o->ledger, n, EF_UP);
  case DOWN:
    return (int64_t)ef_ledger_device(&o->ledger, n, EF_DOWN);
  case PEAK:
    return (int64_t)d->peak_bytes;
  case STEPS:
    return (int64_t)d->steps;
  default:
    return (int64_t)d->tokens;
  }
}

static ef_status write_clients(const ef_report *r, ef_h5 *out) {
  const ef_outcome *o = r->outcome;
  size_t N = o->devices.count;
  int64_t *values = NULL;
  if (N == 0) return EF_OK;
  EF_TRY(EF_NEW(values, N));
  ef_status status = EF_OK;
  EF_GO(ef_h5_write_axis(out, "/clients", "device", N, 0, "number of the device", true));
  for (client_field f = UP; f < CLIENT_FIELDS; f++) {
    for (size_t n = 0; n < N; n++) values[n] = client_value(o, f, n);
    EF_GO(ef_h5_write_vector(out, client_fields[f].path, EF_H5_I64, N, "device", client_fields[f].description,
                             client_fields[f].units, values));
  }
  EF_GO(ef_h5_set_nxdata(out, "/clients", "up_bytes", "device", "traffic of each device"));
done:
  ef_free(values);
  return status;
}

static ef_status write_load(const ef_report *r, ef_h5 *out) {
  const ef_dims *global = &r->outcome->global;
  size_t layers = ef_dims_moe_count(global), E = global->E;
  if (layers * E == 0 || !r->outcome->tuned.load) return EF_OK;
  int64_t *load = NULL;
  EF_TRY(EF_NEW(load, layers * E));
  for (size_t i = 0; i < layers * E; i++) load[i] = (int64_t)r->outcome->tuned.load[i];
  ef_h5_array array = {.path = "/expert_load/tokens",
                       .type = EF_H5_I64,
                       .rank = 2,
                       .shape = {layers, E},
                       .description =
                           "tokens of the public holdout that each expert of the tuned model received",
                       .units = "token",
                       .dims = "layer,expert"};
  ef_status status = ef_h5_write(out, &array, load);
  ef_free(load);
  EF_TRY(status);
  EF_TRY(ef_h5_write_axis(out, "/expert_load", "layer", layers, 0, "layer with experts, from 0", true));
  EF_TRY(ef_h5_write_axis(out, "/expert_load", "expert", E, 0, "number of the expert", true));
  return ef_h5_set_nxdata(out, "/expert_load", "tokens", "layer,expert", "tokens of each expert");
}

/* The hash is that of the run's checkpoints: of the sections that the results depend on. */
static ef_status write_identity(const ef_report *r, ef_h5 *out) {
  char identity[33];
  EF_TRY(ef_run_identity(r->run, r->run->sections, identity));
  EF_TRY(ef_h5_set_text(out, "/", "identity", identity));
  EF_TRY(ef_h5_set_text(out, "/", "method", r->method->name));
  return ef_h5_set_text(out, "/", "text", r->run->tokens.hash);
}

ef_status ef_report_write_series(const ef_report *r) {
  char path[PATH_BYTES];
  ef_h5 *out = NULL;
  ef_run_path(r->run, path, sizeof path, "run.h5");
  ef_h5_header header = {.kind = "series",
                         .deck = r->run->deck->yaml,
                         .seed = (uint64_t)r->run->deck->run.seed,
                         .ranks = r->run->par->size};
  EF_TRY(ef_h5_create(path, MPI_COMM_NULL, &header, &out));
  ef_status status = EF_OK;
  EF_GO(write_identity(r, out));
  EF_GO(write_units(r, out));
  EF_GO(write_clients(r, out));
  EF_GO(write_load(r, out));
  EF_GO(ef_report_write_ledger(r, out));
  EF_GO(ef_report_write_views(r, out));
  EF_GO(ef_report_write_documents(r, out));
done:
  if (status == EF_OK) return ef_h5_commit(out);
  ef_h5_close(out);
  return status;
}
