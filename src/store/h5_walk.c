#include "store/h5_internal.h"

#include "base/memory.h"
#include <stdio.h>
#include <string.h>

typedef struct walk {
  ef_h5 *file;
  ef_status (*visit)(void *ctx, const char *path, bool is_group);
  void *ctx;
  char path[H5_PATH_BYTES];
  int depth;
  ef_status status;
} walk;

static ef_status walk_object(walk *w, hid_t parent, const char *name);

static herr_t each_link(hid_t group, const char *name, const H5L_info_t *link, void *data) {
  walk *w = data;
  size_t n = strlen(w->path), more = strlen(name);
  if (link->type != H5L_TYPE_HARD || n + more + 2 > sizeof w->path) {
    w->status = ef_fail(EF_CHECKPOINT, __FILE__, __LINE__,
                        "%s: %s: link \"%.60s\" is of a kind that edgefuse "
                        "does not use",
                        w->file->path, w->path, name);
  } else {
    snprintf(w->path + n, sizeof w->path - n, "%s%s", n > 1 ? "/" : "", name);
    w->status = walk_object(w, group, name);
    w->path[n] = '\0';
  }
  return w->status == EF_OK ? 0 : 1;
}

static ef_status walk_group(walk *w, hid_t group) {
  EF_TRY(EF_CHECK(++w->depth <= H5_DEPTH, EF_CHECKPOINT, "%s: %s: groups nest too deeply", w->file->path,
                  w->path));
  EF_TRY(w->visit(w->ctx, w->path, true));
  w->status = EF_OK;
  hsize_t at = 0;
  herr_t rc = H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &at, each_link, w);
  w->depth--;
  EF_TRY(w->status);
  return EF_H5_CHECK(rc >= 0, EF_CHECKPOINT, "%s: %s: group is damaged", w->file->path, w->path);
}

static ef_status walk_object(walk *w, hid_t parent, const char *name) {
  hid_t id = H5Oopen(parent, name, H5P_DEFAULT);
  EF_TRY(EF_H5_CHECK(id >= 0, EF_CHECKPOINT, "%s: %s: damaged", w->file->path, w->path));
  bool is_group = H5Iget_type(id) == H5I_GROUP;
  ef_status status = is_group ? walk_group(w, id) : w->visit(w->ctx, w->path, false);
  H5Oclose(id);
  return status;
}

ef_status ef_h5_walk(ef_h5 *file, const char *group,
                     ef_status (*visit)(void *ctx, const char *path, bool is_group), void *ctx) {
  walk w = {.file = file, .visit = visit, .ctx = ctx};
  bool fits = strlen(group) < sizeof w.path && ef_h5_has(file, group);
  EF_TRY(EF_CHECK(fits, EF_CHECKPOINT, "%s: there is no group %s", file->path, group));
  memcpy(w.path, group, strlen(group) + 1);
  return walk_object(&w, file->id, group);
}

/* ---- visiting arrays ---------------------------------------------------------------------------------- */

typedef struct visitor {
  ef_h5 *file;
  ef_status (*visit)(void *ctx, const char *path, const ef_h5_array *array);
  void *ctx;
} visitor;

static ef_status visit_array(void *ctx, const char *path, bool is_group) {
  visitor *v = ctx;
  if (is_group) return EF_OK;
  ef_h5_data data;
  EF_TRY(ef_h5_data_open(v->file, path, &data));
  ef_h5_data_close(&data);
  return data.text ? EF_OK : v->visit(v->ctx, path, &data.array);
}

ef_status ef_h5_visit(ef_h5 *file, const char *group,
                      ef_status (*visit)(void *ctx, const char *path, const ef_h5_array *array), void *ctx) {
  visitor v = {file, visit, ctx};
  return ef_h5_walk(file, group, visit_array, &v);
}

/* ---- verifying ---------------------------------------------------------------------------------------- */

static ef_status ignore_value(void *ctx, const char *name, const ef_h5_value *value) {
  (void)ctx;
  (void)name;
  (void)value;
  return EF_OK;
}

static ef_status verify_object(void *ctx, const char *path, bool is_group) {
  ef_h5 *file = ctx;
  EF_TRY(ef_h5_each_attribute(file, path, ignore_value, NULL));
  if (is_group) return EF_OK;
  ef_h5_data data;
  char *buffer = NULL;
  EF_TRY(ef_h5_data_open(file, path, &data));
  ef_status status = EF_NEW(buffer, ef_h5_block_most(&data) * data.unit);
  for (ef_h5_block block = {0}; status == EF_OK && ef_h5_block_next(&data, &block);) {
    status = ef_h5_block_read(file, &data, &block, buffer);
  }
  ef_free(buffer);
  ef_h5_data_close(&data);
  return status;
}

ef_status ef_h5_verify(ef_h5 *file) { return ef_h5_walk(file, "/", verify_object, file); }
