#include "store/inspect.h"

#include "base/memory.h"
#include "store/diff_internal.h"
#include "store/report.h"
#include "store/ulp.h"
#include <string.h>

/* ---- tensors ------------------------------------------------------------------------------------------ */

static ef_status compare_values(ef_pair *p, const ef_h5_data *a, const ef_h5_data *b, ef_distance *d) {
  char *x = NULL, *y = NULL;
  ef_status status;
  EF_GO(EF_NEW(x, ef_h5_block_most(a) * a->unit));
  EF_GO(EF_NEW(y, ef_h5_block_most(a) * a->unit));
  for (ef_h5_block block = {0}; ef_h5_block_next(a, &block);) {
    EF_GO(ef_h5_block_read(p->a, a, &block, x));
    EF_GO(ef_h5_block_read(p->b, b, &block, y));
    ef_distance_add(a, &block, x, y, d);
  }
done:
  ef_free(y);
  ef_free(x);
  return status;
}

/* Layer and expert that a parameter is of, where it is of one. */
static void name_owner(const ef_pair *p, const char *path, json_t *row) {
  static const char *const names[] = {"layer", "expert"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    json_t *value = json_object_get(json_object_get(p->in_a, path), names[i]);
    if (json_is_integer(value) && json_integer_value(value) >= 0) json_object_set(row, names[i], value);
  }
}

static json_t *place_of(const ef_h5_data *data, size_t index) {
  size_t at[4] = {0};
  json_t *place = json_array();
  for (size_t d = data->array.rank; d-- > 0; index /= data->array.shape[d])
    at[d] = index % data->array.shape[d];
  for (size_t d = 0; d < data->array.rank; d++) json_array_append_new(place, json_integer((json_int_t)at[d]));
  return place;
}

static void describe(json_t *row, const ef_h5_data *data, const ef_distance *d) {
  json_int_t ulp = d->ulp > INT64_MAX ? INT64_MAX : (json_int_t)d->ulp;
  json_object_set_new(row, "ulp", d->ulp == UINT64_MAX ? json_null() : json_integer(ulp));
  json_object_set_new(row, "elements", json_integer((json_int_t)d->elements));
  json_object_set_new(row, "of", json_integer((json_int_t)(data->bytes / data->unit)));
  json_object_set_new(row, "index", json_integer((json_int_t)d->index));
  json_object_set_new(row, "place", place_of(data, d->index));
  json_object_set_new(row, "a", ef_report_real(d->a));
  json_object_set_new(row, "b", ef_report_real(d->b));
}

/* The new row. `counts`: the files differ by it. */
static json_t *add_tensor(ef_pair *p, const char *path, const char *what, bool counts) {
  json_t *row = json_pack("{s:s, s:s, s:b}", "path", path, "what", what, "counts", (int)counts);
  name_owner(p, path, row);
  json_array_append_new(p->tensors, row);
  p->differs = p->differs || counts;
  return row;
}

/* Measured times differ from run to run, whatever it computes. */
static bool is_measured(const ef_pair *p, const char *path) {
  return json_object_get(json_object_get(p->in_a, path), EF_H5_MEASURED) != NULL;
}

static bool same_form(const ef_h5_data *a, const ef_h5_data *b) {
  return a->text == b->text && a->array.rank == b->array.rank &&
         (a->text || a->array.type == b->array.type) && memcmp(a->shape, b->shape, sizeof a->shape) == 0;
}

static ef_status compare_texts(ef_pair *p, const char *path) {
  char *a = NULL, *b = NULL;
  ef_status status;
  EF_GO(ef_h5_read_text(p->a, path, &a));
  EF_GO(ef_h5_read_text(p->b, path, &b));
  if (strcmp(a, b) != 0) add_tensor(p, path, "text", true);
done:
  ef_free(b);
  ef_free(a);
  return status;
}

static ef_status compare_sets(ef_pair *p, const char *path) {
  ef_h5_data a, b = {.set = H5I_INVALID_HID, .space = H5I_INVALID_HID, .memory = H5I_INVALID_HID};
  ef_distance d = {0};
  ef_status status;
  EF_GO(ef_h5_data_open(p->a, path, &a));
  EF_GO(ef_h5_data_open(p->b, path, &b));
  p->compared++;
  if (!same_form(&a, &b)) {
    add_tensor(p, path, "type or shape", true);
  } else if (a.text) {
    EF_GO(compare_texts(p, path));
  } else {
    EF_GO(compare_values(p, &a, &b, &d));
    if (d.elements > 0) describe(add_tensor(p, path, "values", !is_measured(p, path)), &a, &d);
  }
done:
  ef_h5_data_close(&b);
  ef_h5_data_close(&a);
  return status;
}

static ef_status compare_object(void *ctx, const char *path, bool is_group) {
  ef_pair *p = ctx;
  if (strcmp(path, "/deck") == 0) return EF_OK;
  if (!json_object_get(p->in_b, path)) {
    add_tensor(p, path, "only in a", true);
    return EF_OK;
  }
  return is_group ? EF_OK : compare_sets(p, path);
}

static void list_missing(ef_pair *p) {
  const char *path;
  json_t *names;
  json_object_foreach(p->in_b, path, names) {
    if (!json_object_get(p->in_a, path)) add_tensor(p, path, "only in b", true);
  }
}

/* ---- attributes --------------------------------------------------------------------------------------- */

static void add_attribute(ef_pair *p, const char *object, const char *name, json_t *a, json_t *b) {
  bool counts = strcmp(name, "ranks") != 0 && strncmp(name, "code_", 5) != 0;
  json_t *row = json_pack("{s:s, s:s, s:b, s:o, s:o}", "object", object, "name", name, "counts", counts, "a",
                          a ? json_incref(a) : json_null(), "b", b ? json_incref(b) : json_null());
  json_array_append_new(p->attributes, row);
  p->differs = p->differs || counts;
}

static void compare_attributes(ef_pair *p) {
  const char *object, *name;
  json_t *a, *b, *value;
  json_object_foreach(p->in_a, object, a) {
    b = json_object_get(p->in_b, object);
    if (!b) continue;
    json_object_foreach(a, name, value) {
      json_t *other = json_object_get(b, name);
      if (!json_equal(value, other)) add_attribute(p, object, name, value, other);
    }
    json_object_foreach(b, name, value) {
      if (!json_object_get(a, name)) add_attribute(p, object, name, NULL, value);
    }
  }
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

static ef_status compare(ef_pair *p) {
  EF_TRY(ef_report_attributes(p->a, &p->in_a));
  EF_TRY(ef_report_attributes(p->b, &p->in_b));
  EF_TRY(ef_diff_deck(p));
  compare_attributes(p);
  ef_diff_random(p);
  EF_TRY(ef_diff_lineage(p));
  EF_TRY(ef_h5_walk(p->a, "/", compare_object, p));
  list_missing(p);
  return EF_OK;
}

static ef_status start(ef_pair *p, const char *a, const char *b) {
  p->deck = json_array();
  p->keys = json_array();
  p->attributes = json_array();
  p->tensors = json_array();
  p->report = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "a", a, "b", b, "deck", p->deck, "keys", p->keys,
                        "attributes", p->attributes, "tensors", p->tensors);
  return EF_CHECK(p->report, EF_MACHINE, "out of memory, or a path is not UTF-8");
}

ef_status ef_diff(const char *a, const char *b, bool json, FILE *out) {
  ef_pair p = {0};
  ef_status status;
  EF_GO(start(&p, a, b));
  EF_GO(ef_h5_open(a, NULL, &p.a));
  EF_GO(ef_h5_open(b, NULL, &p.b));
  EF_GO(compare(&p));
  json_object_set_new(p.report, "compared", json_integer((json_int_t)p.compared));
  json_object_set_new(p.report, "equal", json_boolean(!p.differs));
  if (json) {
    EF_GO(ef_report_print(p.report, out));
  } else {
    ef_diff_print(&p, out);
  }
  status = EF_CHECK(!p.differs, EF_DIFFERS, "%s and %s differ", a, b);
done:
  json_decref(p.in_a);
  json_decref(p.in_b);
  json_decref(p.report);
  ef_h5_close(p.a);
  ef_h5_close(p.b);
  return status;
}
