#include "store/diff_internal.h"
#include "store/report.h"
#include <stdlib.h>

enum { SHOWN_CHANGES = 8 };

static bool counts(const json_t *row) { return json_is_true(json_object_get(row, "counts")); }

/* "A -> B", strings without quotes. */
static void print_change(const json_t *row, const char *arrow, FILE *out) {
  json_t *x = json_object_get(row, "a"), *y = json_object_get(row, "b");
  char *a = ef_report_plain(x), *b = ef_report_plain(y);
  fprintf(out, "%s %s %s", a ? a : "", arrow, b ? b : "");
  free(b);
  free(a);
}

static void print_key(const json_t *row, FILE *out) {
  fprintf(out, "deck %s: ", ef_report_text(row, "key"));
  print_change(row, "->", out);
  fprintf(out, "%s\n", counts(row) ? "" : "  (steers the run, no difference of the state)");
}

/* A text that is a JSON object, as the configuration of a model is; NULL if it is none. */
static json_t *object_in(const json_t *row, const char *side) {
  json_t *object = json_loads(ef_report_text(row, side), 0, NULL);
  if (json_is_object(object)) return object;
  json_decref(object);
  return NULL;
}

static void print_entry(const json_t *row, const char *key, json_t *a, json_t *b, FILE *out) {
  json_t *both = json_pack("{s:O?, s:O?}", "a", a, "b", b);
  fprintf(out, "attribute %s of %s, %s: ", ef_report_text(row, "name"), ef_report_text(row, "object"), key);
  print_change(both, "|", out);
  fprintf(out, "\n");
  json_decref(both);
}

/* Two JSON objects entry by entry; false if they are not both. */
static bool print_objects(const json_t *row, FILE *out) {
  json_t *a = object_in(row, "a"), *b = object_in(row, "b"), *value;
  const char *key;
  bool both = a && b;
  if (both) {
    json_object_foreach(a, key, value) {
      json_t *other = json_object_get(b, key);
      if (!json_equal(value, other)) print_entry(row, key, value, other, out);
    }
    json_object_foreach(b, key, value) {
      if (!json_object_get(a, key)) print_entry(row, key, NULL, value, out);
    }
  }
  json_decref(a);
  json_decref(b);
  return both;
}

static void print_attribute(const json_t *row, FILE *out) {
  if (print_objects(row, out)) return;
  fprintf(out, "attribute %s of %s: ", ef_report_text(row, "name"), ef_report_text(row, "object"));
  print_change(row, "|", out);
  fprintf(out, "%s\n", counts(row) ? "" : "  (no difference of the state)");
}

static void print_place(const json_t *row, FILE *out) {
  json_t *place = json_object_get(row, "place");
  fprintf(out, " at element %lld", ef_report_whole(row, "index"));
  if (json_array_size(place) < 2) return;
  for (size_t d = 0; d < json_array_size(place); d++) {
    fprintf(out, "%s%lld", d > 0 ? ", " : ", [", (long long)json_integer_value(json_array_get(place, d)));
  }
  fprintf(out, "]");
}

static void print_values(const json_t *row, FILE *out) {
  json_t *ulp = json_object_get(row, "ulp");
  fprintf(out, ", %lld of %lld elements, ", ef_report_whole(row, "elements"), ef_report_whole(row, "of"));
  if (json_is_null(ulp)) {
    fprintf(out, "NaN against a number");
  } else {
    fprintf(out, "largest %lld ULP", (long long)json_integer_value(ulp));
  }
  print_place(row, out);
  fprintf(out, " (");
  print_change(row, "|", out);
  fprintf(out, ")");
}

static void print_tensor(const json_t *row, FILE *out) {
  fprintf(out, "%s", ef_report_text(row, "path"));
  if (json_object_get(row, "layer")) fprintf(out, " (layer %lld", ef_report_whole(row, "layer"));
  if (json_object_get(row, "expert")) fprintf(out, ", expert %lld", ef_report_whole(row, "expert"));
  fprintf(out, "%s: %s", json_object_get(row, "layer") ? ")" : "", ef_report_text(row, "what"));
  if (json_object_get(row, "ulp")) print_values(row, out);
  fprintf(out, "%s\n", counts(row) ? "" : "  (measured time, no difference of the results)");
}

static void print_lineage(const json_t *lineage, FILE *out) {
  size_t i;
  json_t *row, *changes = json_object_get(lineage, "changes");
  json_array_foreach(changes, i, row) {
    if (i == SHOWN_CHANGES) break;
    fprintf(out, "lineage of expert %lld, share of device %lld: ", ef_report_whole(row, "expert"),
            ef_report_whole(row, "device"));
    print_change(row, "->", out);
    fprintf(out, "\n");
  }
  if (json_array_size(changes) > SHOWN_CHANGES)
    fprintf(out, "lineage: %zu more shares\n", json_array_size(changes) - SHOWN_CHANGES);
}

static size_t that_count(const json_t *rows, bool wanted) {
  size_t i, n = 0;
  json_t *row;
  json_array_foreach(rows, i, row) { n += counts(row) == wanted; }
  return n;
}

static void print_sum(const ef_pair *p, FILE *out) {
  const json_t *lineage = json_object_get(p->report, "lineage"),
               *random = json_object_get(p->report, "random");
  size_t measured = that_count(p->tensors, false);
  if (p->differs) {
    fprintf(out, "they differ (deck: %zu keys; attributes: %zu; random state: %s; lineage: ",
            that_count(p->keys, true), that_count(p->attributes, true),
            json_is_true(json_object_get(random, "equal")) ? "equal" : "another");
    if (json_is_null(lineage)) {
      fprintf(out, "none");
    } else if (json_is_null(json_object_get(lineage, "experts"))) {
      fprintf(out, "of another shape");
    } else {
      fprintf(out, "%lld experts", ef_report_whole(lineage, "experts"));
    }
    fprintf(out, "; groups and datasets: %zu)", that_count(p->tensors, true));
  } else {
    fprintf(out, "equal");
  }
  fprintf(out, "; %zu datasets compared", p->compared);
  if (measured > 0) fprintf(out, ", %zu of them measured times that differ", measured);
  fprintf(out, "\n");
}

void ef_diff_print(const ef_pair *p, FILE *out) {
  size_t i;
  json_t *row;
  fprintf(out, "a: %s\nb: %s\n", p->a->path, p->b->path);
  json_array_foreach(p->keys, i, row) { print_key(row, out); }
  json_array_foreach(p->attributes, i, row) { print_attribute(row, out); }
  print_lineage(json_object_get(p->report, "lineage"), out);
  json_array_foreach(p->tensors, i, row) { print_tensor(row, out); }
  print_sum(p, out);
}
