#include "store/inspect.h"

#include "base/memory.h"
#include "store/report.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Running moments; blocks are merged by the formula of Chan, Golub and LeVeque (1983). */
typedef struct moments {
  double mean, squares, least, greatest; /* squares: sum of squared deviations */
  size_t count, nonfinite;
} moments;

static moments of_block(ef_h5_type type, const void *block, size_t n) {
  moments m = {.least = INFINITY, .greatest = -INFINITY};
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    double x = ef_report_number(type, block, i);
    if (!isfinite(x)) {
      m.nonfinite++;
      continue;
    }
    sum += x;
    m.least = fmin(m.least, x);
    m.greatest = fmax(m.greatest, x);
  }
  m.count = n - m.nonfinite;
  if (m.count > 0) m.mean = sum / (double)m.count;
  for (size_t i = 0; i < n; i++) {
    double d = ef_report_number(type, block, i) - m.mean;
    if (isfinite(d)) m.squares += d * d;
  }
  return m;
}

static void merge(moments *a, const moments *b) {
  a->nonfinite += b->nonfinite;
  if (b->count == 0) return;
  double na = (double)a->count, nb = (double)b->count, delta = b->mean - a->mean;
  a->mean += delta * nb / (na + nb);
  a->squares += b->squares + delta * delta * na * nb / (na + nb);
  a->least = fmin(a->least, b->least);
  a->greatest = fmax(a->greatest, b->greatest);
  a->count += b->count;
}

static ef_status measure(ef_h5 *file, const ef_h5_data *data, moments *m) {
  void *buffer = NULL;
  *m = (moments){.least = INFINITY, .greatest = -INFINITY};
  EF_TRY((buffer = ef_alloc(ef_h5_block_most(data), data->unit))
             ? EF_OK
             : EF_CHECK(false, EF_MACHINE, "out of memory"));
  ef_status status = EF_OK;
  for (ef_h5_block block = {0}; status == EF_OK && ef_h5_block_next(data, &block);) {
    status = ef_h5_block_read(file, data, &block, buffer);
    if (status != EF_OK) break;
    moments one = of_block(data->array.type, buffer, block.elements);
    merge(m, &one);
  }
  ef_free(buffer);
  return status;
}

static json_t *row_of(const ef_h5_data *data, const moments *m) {
  bool any = m->count > 0;
  json_t *shape = json_array();
  for (size_t d = 0; d < data->array.rank; d++) {
    json_array_append_new(shape, json_integer((json_int_t)data->array.shape[d]));
  }
  return json_pack("{s:s, s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:I}", "path", data->array.path, "type",
                   ef_h5_type_name(data->array.type), "shape", shape, "bytes", (json_int_t)data->bytes,
                   "mean", ef_report_real(any ? m->mean : NAN), "std",
                   ef_report_real(any ? sqrt(m->squares / (double)m->count) : NAN), "min",
                   ef_report_real(m->least), "max", ef_report_real(m->greatest), "nonfinite",
                   (json_int_t)m->nonfinite);
}

typedef struct gathering {
  ef_h5 *file;
  json_t *rows;
} gathering;

static ef_status add_row(void *ctx, const char *path, const ef_h5_array *array) {
  (void)array;
  gathering *g = ctx;
  ef_h5_data data;
  moments m;
  EF_TRY(ef_h5_data_open(g->file, path, &data));
  ef_status status = measure(g->file, &data, &m);
  if (status == EF_OK) {
    status = EF_CHECK(json_array_append_new(g->rows, row_of(&data, &m)) == 0, EF_CHECKPOINT,
                      "%s: a name is not UTF-8", g->file->path);
  }
  ef_h5_data_close(&data);
  return status;
}

static ef_status gather(ef_h5 *file, bool verify, json_t *report) {
  json_t *attributes = NULL;
  char *deck = NULL;
  gathering g = {file, json_array()};
  ef_status status;
  json_object_set_new(report, "file", json_string(file->path));
  json_object_set_new(report, "verified", json_boolean(verify));
  json_object_set_new(report, "datasets", g.rows);
  if (verify) EF_GO(ef_h5_verify(file));
  EF_GO(ef_report_attributes(file, &attributes));
  json_object_set_new(report, "attributes", attributes);
  EF_GO(ef_h5_deck(file, &deck));
  json_object_set_new(report, "deck", json_string(deck));
  status = ef_h5_visit(file, "/", add_row, &g);
done:
  ef_free(deck);
  return status;
}

/* ---- text --------------------------------------------------------------------------------------------- */

/* What every dataset has would hide the rest; --json shows it. */
static bool common(const char *name) {
  return strcmp(name, "description") == 0 || strcmp(name, "units") == 0 || strcmp(name, "dims") == 0;
}

static void print_attributes(json_t *objects, FILE *out) {
  const char *object, *name;
  json_t *names, *value;
  json_object_foreach(objects, object, names) {
    bool titled = false;
    json_object_foreach(names, name, value) {
      if (common(name)) continue;
      if (!titled) fprintf(out, "%s\n", strcmp(object, "/") == 0 ? "header" : object);
      titled = true;
      char *text = ef_report_plain(value);
      fprintf(out, "  %-16s %s\n", name, text ? text : "");
      free(text);
    }
  }
}

static void print_deck(const char *deck, FILE *out) {
  if (!deck[0]) return;
  fprintf(out, "deck\n");
  for (const char *p = deck; *p;) {
    size_t n = strcspn(p, "\n");
    fprintf(out, "  | %.*s\n", (int)n, p);
    p += n + (p[n] == '\n');
  }
}

static void print_number(const json_t *value, FILE *out) {
  if (json_is_null(value)) {
    fprintf(out, " %12s", "-");
  } else {
    fprintf(out, " %12.5g", json_real_value(value));
  }
}

static void print_row(json_t *row, int width, FILE *out) {
  char shape[128] = "[";
  json_t *extents = json_object_get(row, "shape");
  for (size_t d = 0; d < json_array_size(extents); d++) {
    size_t n = strlen(shape);
    snprintf(shape + n, sizeof shape - n, "%s%lld", d > 0 ? ", " : "",
             (long long)json_integer_value(json_array_get(extents, d)));
  }
  fprintf(out, "  %-*s %-8s %16s] %12lld", width, json_string_value(json_object_get(row, "path")),
          json_string_value(json_object_get(row, "type")), shape,
          (long long)json_integer_value(json_object_get(row, "bytes")));
  static const char *const columns[] = {"mean", "std", "min", "max"};
  for (int i = 0; i < 4; i++) print_number(json_object_get(row, columns[i]), out);
  long long bad = json_integer_value(json_object_get(row, "nonfinite"));
  if (bad > 0) fprintf(out, "  %lld not finite", bad);
  fprintf(out, "\n");
}

static void print_rows(const json_t *rows, FILE *out) {
  int width = 8;
  size_t i;
  json_t *row;
  json_array_foreach(rows, i, row) {
    int n = (int)strlen(json_string_value(json_object_get(row, "path")));
    if (n > width) width = n;
  }
  fprintf(out, "datasets\n  %-*s %-8s %17s %12s %12s %12s %12s %12s\n", width, "path", "type", "shape",
          "bytes", "mean", "std", "min", "max");
  json_array_foreach(rows, i, row) { print_row(row, width, out); }
}

ef_status ef_inspect(const char *path, bool verify, bool json, FILE *out) {
  ef_h5 *file = NULL;
  EF_TRY(ef_h5_open(path, NULL, &file));
  json_t *report = json_object();
  ef_status status = gather(file, verify, report);
  if (status == EF_OK && json) {
    status = ef_report_print(report, out);
  } else if (status == EF_OK) {
    fprintf(out, "%s\n", path);
    print_attributes(json_object_get(report, "attributes"), out);
    print_deck(json_string_value(json_object_get(report, "deck")), out);
    print_rows(json_object_get(report, "datasets"), out);
    if (verify) fprintf(out, "verified: end marker and every checksum are right\n");
  }
  json_decref(report);
  ef_h5_close(file);
  return status;
}
