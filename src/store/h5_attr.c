#include "store/h5_internal.h"

#include "base/memory.h"
#include <stdio.h>
#include <string.h>

enum { ATTRIBUTE_BYTES = 1024 };

/* ---- writing ---------------------------------------------------------------------------------------- */

static ef_status put(ef_h5 *file, hid_t object, const char *name, hid_t stored, hid_t memory, hid_t space,
                     const void *value) {
  if (H5Aexists(object, name) > 0) H5Adelete(object, name);
  hid_t attribute = H5Acreate2(object, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
  bool ok = attribute >= 0 && H5Awrite(attribute, memory, value) >= 0;
  ef_status status = EF_H5_CHECK(ok, EF_MACHINE, "%s: attribute %s cannot be written", file->path, name);
  if (attribute >= 0) H5Aclose(attribute);
  return status;
}

static hid_t string_type(size_t bytes) {
  hid_t type = H5Tcopy(H5T_C_S1);
  if (type >= 0 && H5Tset_size(type, bytes) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0) return type;
  if (type >= 0) H5Tclose(type);
  return H5I_INVALID_HID;
}

ef_status ef_h5_put_number(ef_h5 *file, hid_t object, const char *name, hid_t stored, hid_t memory,
                           const void *value) {
  hid_t space = H5Screate(H5S_SCALAR);
  ef_status status = put(file, object, name, stored, memory, space, value);
  if (space >= 0) H5Sclose(space);
  return status;
}

ef_status ef_h5_put_text(ef_h5 *file, hid_t object, const char *name, const char *value) {
  size_t bytes = strlen(value) + 1;
  EF_TRY(EF_CHECK(bytes <= H5_TEXT_MOST, EF_FAULT, "%s: attribute %s: %zu bytes, more than %d; use a dataset",
                  file->path, name, bytes, H5_TEXT_MOST));
  hid_t type = string_type(bytes);
  ef_status status = ef_h5_put_number(file, object, name, type, type, value);
  if (type >= 0) H5Tclose(type);
  return status;
}

/* "a,b" becomes a list of two strings, the form that NeXus wants for axes. */
static ef_status put_list(ef_h5 *file, hid_t object, const char *name, const char *names) {
  enum { MOST = 4, BYTES = 64 };
  char items[MOST][BYTES] = {{0}};
  hsize_t count = 0;
  for (const char *p = names; *p; count++) {
    size_t n = strcspn(p, ",");
    EF_TRY(EF_CHECK(count < MOST && n < BYTES, EF_FAULT, "%s: bad list \"%s\"", name, names));
    memcpy(items[count], p, n);
    p += n + (p[n] == ',');
  }
  hid_t type = string_type(BYTES), space = H5Screate_simple(1, &count, NULL);
  ef_status status = put(file, object, name, type, type, space, items);
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  return status;
}

/* What the setters share: the object opened (a missing group is made) and the outcome agreed on. */
typedef struct setting {
  const char *name, *text;
  hid_t stored, memory;
  const void *value;
} setting;

static ef_status open_object(ef_h5 *file, const char *object, size_t more, hid_t *id) {
  *id = H5I_INVALID_HID;
  EF_TRY(EF_CHECK(file->writing && !file->broken, EF_FAULT,
                  "%s: not open for writing, or a write to it failed before", file->path));
  EF_TRY(ef_h5_settle(file, ef_h5_reserve(file, ATTRIBUTE_BYTES + more)));
  if (ef_h5_has(file, object)) *id = H5Oopen(file->id, object, H5P_DEFAULT);
  if (*id >= 0) return EF_OK;
  return ef_h5_group(file, object, id);
}

static ef_status set(ef_h5 *file, const char *object, const setting *s) {
  hid_t id;
  ef_status status = open_object(file, object, s->text ? strlen(s->text) : 8, &id);
  if (status == EF_OK) {
    status = s->text ? ef_h5_put_text(file, id, s->name, s->text)
                     : ef_h5_put_number(file, id, s->name, s->stored, s->memory, s->value);
    H5Oclose(id);
  }
  status = ef_h5_settle(file, status);
  if (status != EF_OK) file->broken = true;
  return status;
}

ef_status ef_h5_set_text(ef_h5 *file, const char *object, const char *name, const char *value) {
  return set(file, object, &(setting){.name = name, .text = value});
}

ef_status ef_h5_set_int(ef_h5 *file, const char *object, const char *name, int64_t value) {
  return set(file, object, &(setting){name, NULL, H5T_STD_I64LE, H5T_NATIVE_INT64, &value});
}

ef_status ef_h5_set_real(ef_h5 *file, const char *object, const char *name, double value) {
  return set(file, object, &(setting){name, NULL, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value});
}

static ef_status set_list(ef_h5 *file, const char *group, const char *name, const char *names) {
  hid_t id;
  ef_status status = open_object(file, group, strlen(names), &id);
  if (status == EF_OK) {
    status = put_list(file, id, name, names);
    H5Oclose(id);
  }
  return ef_h5_settle(file, status);
}

ef_status ef_h5_set_auxiliary(ef_h5 *file, const char *group, const char *signals) {
  return set_list(file, group, "auxiliary_signals", signals);
}

ef_status ef_h5_set_nxdata(ef_h5 *file, const char *group, const char *signal, const char *axes,
                           const char *title) {
  EF_TRY(ef_h5_set_text(file, group, "NX_class", "NXdata"));
  EF_TRY(ef_h5_set_text(file, group, "signal", signal));
  EF_TRY(set_list(file, group, "axes", axes));
  char path[H5_PATH_BYTES];
  snprintf(path, sizeof path, "%s/title", strcmp(group, "/") == 0 ? "" : group);
  return ef_h5_write_label(file, path, "title of the plot", title);
}

ef_status ef_h5_set_default(ef_h5 *file, const char *entry, const char *data) {
  EF_TRY(ef_h5_set_text(file, "/", "NX_class", "NXroot"));
  EF_TRY(ef_h5_set_text(file, "/", "default", entry + 1));
  EF_TRY(ef_h5_set_text(file, entry, "NX_class", "NXentry"));
  return ef_h5_set_text(file, entry, "default", data);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

typedef struct source {
  hid_t id, type, space;
  size_t bytes, elements;
} source;

static ef_status read_text(const source *s, ef_h5_value *value) {
  char *raw = NULL;
  EF_TRY(EF_CHECK(H5Tis_variable_str(s->type) == 0 && s->bytes * s->elements <= (1u << 20), EF_CHECKPOINT,
                  "a string of another form than edgefuse writes"));
  EF_TRY(EF_NEW(raw, s->bytes * s->elements + 1));
  EF_TRY(EF_NEW(value->text, (s->bytes + 1) * s->elements + 1));
  herr_t rc = H5Aread(s->id, s->type, raw);
  char *out = value->text;
  for (size_t i = 0; i < s->elements && rc >= 0; i++) {
    size_t n = strnlen(raw + i * s->bytes, s->bytes);
    if (i > 0) *out++ = ',';
    memcpy(out, raw + i * s->bytes, n);
    out += n;
  }
  ef_free(raw);
  return EF_H5_CHECK(rc >= 0, EF_CHECKPOINT, "cannot be read");
}

static ef_status read_number(const source *s, ef_h5_value *value) {
  EF_TRY(EF_CHECK(s->elements == 1 && s->bytes <= 8, EF_CHECKPOINT, "not a single number"));
  herr_t rc = -1;
  if (H5Tget_class(s->type) == H5T_FLOAT) {
    value->kind = EF_H5_REAL;
    rc = H5Aread(s->id, H5T_NATIVE_DOUBLE, &value->real);
  } else if (H5Tget_class(s->type) == H5T_INTEGER && H5Tget_sign(s->type) == H5T_SGN_NONE) {
    value->kind = EF_H5_UINT;
    rc = H5Aread(s->id, H5T_NATIVE_UINT64, &value->natural);
    value->integer = (int64_t)value->natural;
  } else if (H5Tget_class(s->type) == H5T_INTEGER) {
    value->kind = EF_H5_INT;
    rc = H5Aread(s->id, H5T_NATIVE_INT64, &value->integer);
  }
  return EF_H5_CHECK(rc >= 0, EF_CHECKPOINT, "neither a number nor a text");
}

static ef_status read_value(hid_t object, const char *name, ef_h5_value *value) {
  source s = {.id = H5Aopen(object, name, H5P_DEFAULT), .type = H5I_INVALID_HID, .space = H5I_INVALID_HID};
  ef_status status;
  EF_GO(EF_H5_CHECK(s.id >= 0, EF_CHECKPOINT, "missing"));
  s.type = H5Aget_type(s.id);
  s.space = H5Aget_space(s.id);
  hssize_t n = s.space >= 0 ? H5Sget_simple_extent_npoints(s.space) : -1;
  EF_GO(EF_H5_CHECK(s.type >= 0 && n >= 0 && n <= H5_TEXT_MOST, EF_CHECKPOINT, "damaged"));
  s.bytes = H5Tget_size(s.type);
  s.elements = (size_t)n;
  if (H5Tget_class(s.type) == H5T_STRING) {
    value->kind = H5Sget_simple_extent_type(s.space) == H5S_SCALAR ? EF_H5_TEXT : EF_H5_LIST;
    status = read_text(&s, value);
  } else {
    status = read_number(&s, value);
  }
done:
  if (s.space >= 0) H5Sclose(s.space);
  if (s.type >= 0) H5Tclose(s.type);
  if (s.id >= 0) H5Aclose(s.id);
  return status;
}

ef_status ef_h5_get_value(ef_h5 *file, hid_t object, const char *path, const char *name, ef_h5_value *value) {
  *value = (ef_h5_value){0};
  ef_status status = read_value(object, name, value);
  if (status == EF_OK) return EF_OK;
  ef_h5_value_free(value);
  return ef_context(status, "%s: attribute %s of %s", file->path, name, path);
}

void ef_h5_value_free(ef_h5_value *value) {
  ef_free(value->text);
  value->text = NULL;
}

static ef_status get(ef_h5 *file, const char *object, const char *name, ef_h5_value *value) {
  *value = (ef_h5_value){0};
  hid_t id = ef_h5_has(file, object) ? H5Oopen(file->id, object, H5P_DEFAULT) : H5I_INVALID_HID;
  EF_TRY(EF_H5_CHECK(id >= 0, EF_CHECKPOINT, "%s: there is no %s", file->path, object));
  ef_status status = ef_h5_get_value(file, id, object, name, value);
  H5Oclose(id);
  return status;
}

static ef_status wrong_kind(ef_h5 *file, const char *object, const char *name, const char *wanted) {
  return ef_fail(EF_CHECKPOINT, __FILE__, __LINE__, "%s: attribute %s of %s is no %s", file->path, name,
                 object, wanted);
}

ef_status ef_h5_get_text(ef_h5 *file, const char *object, const char *name, char **text) {
  ef_h5_value value;
  *text = NULL;
  EF_TRY(get(file, object, name, &value));
  if (!value.text) return wrong_kind(file, object, name, "text");
  *text = value.text;
  return EF_OK;
}

ef_status ef_h5_get_int(ef_h5 *file, const char *object, const char *name, int64_t *out) {
  ef_h5_value value;
  EF_TRY(get(file, object, name, &value));
  ef_h5_value_free(&value);
  if (value.kind != EF_H5_INT && value.kind != EF_H5_UINT) return wrong_kind(file, object, name, "integer");
  *out = value.integer;
  return EF_OK;
}

ef_status ef_h5_get_real(ef_h5 *file, const char *object, const char *name, double *out) {
  ef_h5_value value;
  EF_TRY(get(file, object, name, &value));
  ef_h5_value_free(&value);
  if (value.kind != EF_H5_REAL) return wrong_kind(file, object, name, "real number");
  *out = value.real;
  return EF_OK;
}

typedef struct tour {
  ef_h5 *file;
  const char *object;
  ef_status (*visit)(void *ctx, const char *name, const ef_h5_value *value);
  void *ctx;
  ef_status status;
} tour;

static herr_t each(hid_t object, const char *name, const H5A_info_t *info, void *data) {
  (void)info;
  tour *t = data;
  ef_h5_value value;
  t->status = ef_h5_get_value(t->file, object, t->object, name, &value);
  if (t->status == EF_OK) {
    t->status = t->visit(t->ctx, name, &value);
    ef_h5_value_free(&value);
  }
  return t->status == EF_OK ? 0 : 1;
}

ef_status ef_h5_each_attribute(ef_h5 *file, const char *object,
                               ef_status (*visit)(void *ctx, const char *name, const ef_h5_value *value),
                               void *ctx) {
  tour t = {file, object, visit, ctx, EF_OK};
  hsize_t at = 0;
  herr_t rc = H5Aiterate_by_name(file->id, object, H5_INDEX_NAME, H5_ITER_INC, &at, each, &t, H5P_DEFAULT);
  EF_TRY(t.status);
  return EF_H5_CHECK(rc >= 0, EF_CHECKPOINT, "%s: attributes of %s cannot be read", file->path, object);
}
