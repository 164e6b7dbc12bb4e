#include "store/inspect.h"

#include "base/memory.h"
#include "store/report.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Two opened files, their attributes and the report that grows. */
typedef struct pair {
  ef_h5 *a, *b;
  json_t *in_a, *in_b;
  json_t *deck, *attributes, *tensors; /* borrowed from the report */
  size_t compared;
  bool differs;
} pair;

/* ---- distance of numbers ------------------------------------------------------------------------------ */

/* What differs between two arrays of one shape. ULP: number of representable values between, UINT64_MAX if
 * only one is NaN; for integers the plain distance. */
typedef struct distance {
  uint64_t ulp;
  size_t elements, index;
  double a, b; /* the values at `index`, where the distance is greatest */
} distance;

static uint64_t apart(int64_t x, int64_t y) {
  return x > y ? (uint64_t)x - (uint64_t)y : (uint64_t)y - (uint64_t)x;
}

/* Floats as integers in the order of their values; both zeros are 0. */
static int64_t ordered32(const float *x) {
  int32_t bits;
  memcpy(&bits, x, sizeof bits);
  return bits < 0 ? -(int64_t)(bits & INT32_MAX) : bits;
}

static int64_t ordered64(const double *x) {
  int64_t bits;
  memcpy(&bits, x, sizeof bits);
  return bits < 0 ? -(bits & INT64_MAX) : bits;
}

static uint64_t ulp_between(ef_h5_type type, const void *a, const void *b, size_t i) {
  double x = ef_report_number(type, a, i), y = ef_report_number(type, b, i);
  if (isnan(x) || isnan(y)) return isnan(x) && isnan(y) ? 0 : UINT64_MAX;
  switch (type) {
  case EF_H5_F32:
    return apart(ordered32((const float *)a + i), ordered32((const float *)b + i));
  case EF_H5_F64:
    return apart(ordered64((const double *)a + i), ordered64((const double *)b + i));
  case EF_H5_I64:
    return apart(((const int64_t *)a)[i], ((const int64_t *)b)[i]);
  default:
    return apart((int64_t)x, (int64_t)y);
  }
}

static void compare_block(const ef_h5_data *data, const ef_h5_block *block, const void *a, const void *b,
                          distance *d) {
  ef_h5_type type = data->array.type;
  if (memcmp(a, b, block->elements * data->unit) == 0) return;
  for (size_t i = 0; i < block->elements; i++) {
    uint64_t ulp = ulp_between(type, a, b, i);
    d->elements += ulp > 0;
    if (ulp <= d->ulp) continue;
    d->ulp = ulp;
    d->index = ef_h5_block_index(data, block, i);
    d->a = ef_report_number(type, a, i);
    d->b = ef_report_number(type, b, i);
  }
}

static ef_status compare_values(pair *p, const ef_h5_data *a, const ef_h5_data *b, distance *d) {
  char *x = NULL, *y = NULL;
  ef_status status;
  EF_GO(EF_NEW(x, ef_h5_block_most(a) * a->unit));
  EF_GO(EF_NEW(y, ef_h5_block_most(a) * a->unit));
  for (ef_h5_block block = {0}; ef_h5_block_next(a, &block);) {
    EF_GO(ef_h5_block_read(p->a, a, &block, x));
    EF_GO(ef_h5_block_read(p->b, b, &block, y));
    compare_block(a, &block, x, y, d);
  }
done:
  ef_free(y);
  ef_free(x);
  return status;
}

/* ---- tensors ------------------------------------------------------------------------------------------ */

static void add_tensor(pair *p, const char *path, const char *what, const distance *d) {
  json_t *row = json_pack("{s:s, s:s}", "path", path, "what", what);
  if (d) {
    json_int_t ulp = d->ulp > INT64_MAX ? INT64_MAX : (json_int_t)d->ulp;
    json_object_set_new(row, "ulp", d->ulp == UINT64_MAX ? json_null() : json_integer(ulp));
    json_object_set_new(row, "elements", json_integer((json_int_t)d->elements));
    json_object_set_new(row, "index", json_integer((json_int_t)d->index));
    json_object_set_new(row, "a", ef_report_real(d->a));
    json_object_set_new(row, "b", ef_report_real(d->b));
  }
  json_array_append_new(p->tensors, row);
  p->differs = true;
}

static bool same_form(const ef_h5_data *a, const ef_h5_data *b) {
  return a->text == b->text && a->array.rank == b->array.rank &&
         (a->text || a->array.type == b->array.type) && memcmp(a->shape, b->shape, sizeof a->shape) == 0;
}

static ef_status compare_texts(pair *p, const char *path) {
  char *a = NULL, *b = NULL;
  ef_status status;
  EF_GO(ef_h5_read_text(p->a, path, &a));
  EF_GO(ef_h5_read_text(p->b, path, &b));
  if (strcmp(a, b) != 0) add_tensor(p, path, "text", NULL);
done:
  ef_free(b);
  ef_free(a);
  return status;
}

static ef_status compare_sets(pair *p, const char *path) {
  ef_h5_data a, b = {.set = H5I_INVALID_HID, .space = H5I_INVALID_HID, .memory = H5I_INVALID_HID};
  distance d = {0};
  ef_status status;
  EF_GO(ef_h5_data_open(p->a, path, &a));
  EF_GO(ef_h5_data_open(p->b, path, &b));
  p->compared++;
  if (!same_form(&a, &b)) {
    add_tensor(p, path, "type or shape", NULL);
  } else if (a.text) {
    EF_GO(compare_texts(p, path));
  } else {
    EF_GO(compare_values(p, &a, &b, &d));
    if (d.elements > 0) add_tensor(p, path, "values", &d);
  }
done:
  ef_h5_data_close(&b);
  ef_h5_data_close(&a);
  return status;
}

static ef_status compare_object(void *ctx, const char *path, bool is_group) {
  pair *p = ctx;
  if (strcmp(path, "/deck") == 0) return EF_OK;
  if (!json_object_get(p->in_b, path)) {
    add_tensor(p, path, "only in a", NULL);
    return EF_OK;
  }
  return is_group ? EF_OK : compare_sets(p, path);
}

static void list_missing(pair *p) {
  const char *path;
  json_t *names;
  json_object_foreach(p->in_b, path, names) {
    if (!json_object_get(p->in_a, path)) add_tensor(p, path, "only in b", NULL);
  }
}

/* ---- attributes and deck ------------------------------------------------------------------------------ */

static void add_attribute(pair *p, const char *object, const char *name, json_t *a, json_t *b) {
  bool counts = strcmp(name, "ranks") != 0 && strncmp(name, "code_", 5) != 0;
  json_t *row = json_pack("{s:s, s:s, s:b, s:o, s:o}", "object", object, "name", name, "counts", counts, "a",
                          a ? json_incref(a) : json_null(), "b", b ? json_incref(b) : json_null());
  json_array_append_new(p->attributes, row);
  p->differs = p->differs || counts;
}

static void compare_attributes(pair *p) {
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

/* The lines of a text, cut in place. */
typedef struct lines {
  char *text, **line;
  size_t count;
} lines;

static ef_status cut(ef_h5 *file, lines *l) {
  *l = (lines){0};
  EF_TRY(ef_h5_deck(file, &l->text));
  size_t most = 1;
  for (const char *p = l->text; *p; p++) most += *p == '\n';
  EF_TRY(EF_NEW(l->line, most));
  for (char *p = l->text; *p;) {
    l->line[l->count++] = p;
    p += strcspn(p, "\n");
    if (*p) *p++ = '\0';
  }
  return EF_OK;
}

static void free_lines(lines *l) {
  ef_free(l->line);
  ef_free(l->text);
}

/* Keys of the deck that say how a run is run, not what it computes. */
static bool steers_only(const char *line) {
  static const char *const keys[] = {"keep:", "checkpoint_every:", "time_limit:"};
  line += strspn(line, " ");
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    if (strncmp(line, keys[i], strlen(keys[i])) == 0) return true;
  }
  return false;
}

static void add_line(pair *p, const char *side, size_t number, const char *text) {
  bool counts = !steers_only(text);
  json_array_append_new(p->deck, json_pack("{s:s, s:I, s:s, s:b}", "side", side, "line", (json_int_t)number,
                                           "text", text, "counts", counts));
  p->differs = p->differs || counts;
}

/* Equal first and last lines are left out; in a middle of equal length only the lines that differ are shown.
 */
static void compare_lines(pair *p, const lines *a, const lines *b) {
  size_t head = 0, tail = 0;
  while (head < a->count && head < b->count && strcmp(a->line[head], b->line[head]) == 0) head++;
  while (tail < a->count - head && tail < b->count - head &&
         strcmp(a->line[a->count - 1 - tail], b->line[b->count - 1 - tail]) == 0) {
    tail++;
  }
  size_t na = a->count - tail, nb = b->count - tail;
  for (size_t i = head; i < na || i < nb; i++) {
    if (na == nb && strcmp(a->line[i], b->line[i]) == 0) continue;
    if (i < na) add_line(p, "a", i + 1, a->line[i]);
    if (i < nb) add_line(p, "b", i + 1, b->line[i]);
  }
}

static ef_status compare_decks(pair *p) {
  lines a = {0}, b = {0};
  ef_status status;
  EF_GO(cut(p->a, &a));
  EF_GO(cut(p->b, &b));
  compare_lines(p, &a, &b);
done:
  free_lines(&b);
  free_lines(&a);
  return status;
}

/* ---- printing ----------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *row, const char *key) {
  return json_string_value(json_object_get(row, key));
}

static const char *aside(const json_t *row) {
  return json_is_true(json_object_get(row, "counts")) ? "" : "  (no difference of the state)";
}

static void print_attribute(json_t *row, FILE *out) {
  char *a = ef_report_plain(json_object_get(row, "a")), *b = ef_report_plain(json_object_get(row, "b"));
  fprintf(out, "attribute %s of %s: %s | %s%s\n", text_of(row, "name"), text_of(row, "object"), a ? a : "",
          b ? b : "", aside(row));
  free(b);
  free(a);
}

static void print_tensor(json_t *row, FILE *out) {
  fprintf(out, "%s: %s", text_of(row, "path"), text_of(row, "what"));
  json_t *ulp = json_object_get(row, "ulp");
  if (ulp) {
    char *a = ef_report_plain(json_object_get(row, "a")), *b = ef_report_plain(json_object_get(row, "b"));
    fprintf(out, ", %lld elements, ", (long long)json_integer_value(json_object_get(row, "elements")));
    if (json_is_null(ulp)) {
      fprintf(out, "NaN against a number");
    } else {
      fprintf(out, "largest %lld ULP", (long long)json_integer_value(ulp));
    }
    fprintf(out, " at element %lld (%s | %s)", (long long)json_integer_value(json_object_get(row, "index")),
            a ? a : "", b ? b : "");
    free(b);
    free(a);
  }
  fprintf(out, "\n");
}

static void print_text(const pair *p, FILE *out) {
  size_t i;
  json_t *row;
  fprintf(out, "a: %s\nb: %s\n", p->a->path, p->b->path);
  json_array_foreach(p->deck, i, row) {
    fprintf(out, "deck, line %lld of %s: %s%s\n", (long long)json_integer_value(json_object_get(row, "line")),
            text_of(row, "side"), text_of(row, "text"), aside(row));
  }
  json_array_foreach(p->attributes, i, row) { print_attribute(row, out); }
  json_array_foreach(p->tensors, i, row) { print_tensor(row, out); }
  fprintf(out, "%s; %zu datasets compared\n", p->differs ? "they differ" : "equal", p->compared);
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

static ef_status compare(pair *p) {
  EF_TRY(ef_report_attributes(p->a, &p->in_a));
  EF_TRY(ef_report_attributes(p->b, &p->in_b));
  EF_TRY(compare_decks(p));
  compare_attributes(p);
  EF_TRY(ef_h5_walk(p->a, "/", compare_object, p));
  list_missing(p);
  return EF_OK;
}

ef_status ef_diff(const char *a, const char *b, bool json, FILE *out) {
  pair p = {.deck = json_array(), .attributes = json_array(), .tensors = json_array()};
  json_t *report = json_pack("{s:s, s:s, s:o, s:o, s:o}", "a", a, "b", b, "deck", p.deck, "attributes",
                             p.attributes, "tensors", p.tensors);
  ef_status status;
  EF_GO(EF_CHECK(report, EF_MACHINE, "out of memory, or a path is not UTF-8"));
  EF_GO(ef_h5_open(a, NULL, &p.a));
  EF_GO(ef_h5_open(b, NULL, &p.b));
  EF_GO(compare(&p));
  json_object_set_new(report, "compared", json_integer((json_int_t)p.compared));
  json_object_set_new(report, "equal", json_boolean(!p.differs));
  if (json) {
    EF_GO(ef_report_print(report, out));
  } else {
    print_text(&p, out);
  }
  status = EF_CHECK(!p.differs, EF_DIFFERS, "%s and %s differ", a, b);
done:
  json_decref(p.in_a);
  json_decref(p.in_b);
  json_decref(report);
  ef_h5_close(p.a);
  ef_h5_close(p.b);
  return status;
}
