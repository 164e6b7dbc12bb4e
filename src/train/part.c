#include "train/part.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/block_file.h"
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096, IDENTITY_BYTES = 64 };

static const char *const kind_names[EF_UNIT_KIND_COUNT] = {
    "",      "family", "base_start", "device",      "mean",    "proxy",
    "base",  "merged", "tune",       "public_only", "server",  "local",
    "round", "logits", "targets",    "generated",   "answers",
};

const char *ef_unit_name(ef_unit_kind kind) { return kind_names[kind]; }

void ef_part_path(const ef_run *run, const ef_part_key *key, bool partial, char *path, size_t size) {
  ef_run_path(run, path, size, "parts/%s_%05zu%s.h5", kind_names[key->kind], key->index,
              partial ? ".partial" : "");
}

/* What a round leaves is of one method; all other parts serve every method. */
static bool of_a_method(ef_unit_kind kind) { return kind >= EF_UNIT_LOCAL && kind <= EF_UNIT_TARGETS; }

static ef_status identity_of(const ef_run *run, const ef_part_key *key, char out[IDENTITY_BYTES]) {
  EF_TRY(ef_run_identity(run, key->sections, out));
  if (run->method && of_a_method(key->kind)) {
    size_t used = strlen(out);
    snprintf(out + used, IDENTITY_BYTES - used, " of %s", run->method);
  }
  return EF_OK;
}

static ef_status create(const ef_run *run, MPI_Comm comm, const ef_part_key *key, bool partial,
                        ef_h5 **file) {
  char path[PATH_BYTES], identity[IDENTITY_BYTES];
  EF_TRY(identity_of(run, key, identity));
  ef_part_path(run, key, partial, path, sizeof path);
  ef_h5_header header = {.kind = "part",
                         .deck = run->deck->yaml,
                         .seed = (uint64_t)run->deck->run.seed,
                         .ranks = run->par->size};
  EF_TRY(ef_h5_create(path, comm, &header, file));
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

ef_status ef_part_write(const ef_run *run, const ef_part_key *key, bool partial,
                        const ef_part_content *content) {
  ef_h5 *file = NULL;
  EF_TRY(create(run, MPI_COMM_NULL, key, partial, &file));
  ef_status status = content->write(content->ctx, file);
  if (status != EF_OK) {
    ef_h5_close(file);
    return status;
  }
  EF_TRY(ef_h5_commit(file));
  if (!partial) ef_part_forget(run, key);
  return EF_OK;
}

ef_status ef_part_create_shared(const ef_run *run, const ef_part_key *key, bool partial, ef_h5 **file) {
  return create(run, run->par->world, key, partial, file);
}

static ef_status check_identity(const ef_run *run, const ef_part_key *key, const char *path, ef_h5 *file) {
  char identity[IDENTITY_BYTES], *found = NULL;
  EF_TRY(identity_of(run, key, identity));
  EF_TRY(ef_h5_get_text(file, "/", "identity", &found));
  bool same = strcmp(found, identity) == 0;
  ef_free(found);
  return EF_CHECK(same, EF_CHECKPOINT, "%s: made from another text, seed or deck (sections %s)%s", path,
                  key->sections, of_a_method(key->kind) ? " or by another method" : "");
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

bool ef_part_usable(const ef_run *run, const ef_part_key *key, bool partial) {
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

bool ef_part_exists(const ef_run *run, const ef_part_key *key) { return ef_part_usable(run, key, false); }

ef_status ef_part_there(const ef_run *run, const ef_part_key *key, bool *there) {
  *there = ef_par_root(run->par) && ef_part_exists(run, key);
  return ef_bcast(run->par, 0, there, sizeof *there);
}

void ef_part_forget(const ef_run *run, const ef_part_key *key) {
  char path[PATH_BYTES];
  ef_part_path(run, key, true, path, sizeof path);
  ef_h5_remove(path);
}

void ef_part_remove(const ef_run *run, const ef_part_key *key) {
  char path[PATH_BYTES];
  ef_part_path(run, key, false, path, sizeof path);
  ef_h5_remove(path);
  ef_part_forget(run, key);
}

ef_status ef_part_load(const ef_run *run, const ef_part_key *key, const ef_dims *dims, ef_model *model) {
  ef_h5 *file = NULL;
  EF_TRY(ef_part_open(run, key, false, &file));
  ef_status status = EF_OK;
  EF_GO(ef_model_create(dims, model));
  EF_GO(ef_block_read(file, "/model", &model->table, true, model->params));
done:
  ef_h5_close(file);
  if (status != EF_OK) ef_model_free(model);
  return status;
}

ef_status ef_part_steps(const ef_run *run, const ef_part_key *key, size_t *steps) {
  ef_h5 *file = NULL;
  int64_t step = 0;
  EF_TRY(ef_part_open(run, key, false, &file));
  ef_status status = ef_h5_get_int(file, "/", "step", &step);
  ef_h5_close(file);
  if (status == EF_OK) *steps += (size_t)step;
  return status;
}
