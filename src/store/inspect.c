#include "store/inspect.h"

#include "base/memory.h"
#include "store/inspect_text.h"
#include "store/meaning.h"
#include "store/moments.h"
#include "store/report.h"
#include <math.h>
#include <string.h>

/* What is gathered while the file is walked; all borrowed from the report. */
typedef struct gathering {
  ef_h5 *file;
  json_t *attributes, *groups, *rows, *texts;
} gathering;

/* ---- datasets ----------------------------------------------------------------------------------------- */

/* The attribute as the file has it, "" if it has none. */
static json_t *said_of(const gathering *g, const char *path, const char *name) {
  json_t *value = json_object_get(json_object_get(g->attributes, path), name);
  return value ? json_incref(value) : json_string("");
}

static json_t *shape_of(const ef_h5_data *data) {
  json_t *shape = json_array();
  for (size_t d = 0; d < data->array.rank; d++) {
    json_array_append_new(shape, json_integer((json_int_t)data->array.shape[d]));
  }
  return shape;
}

static json_t *row_of(const gathering *g, const ef_h5_data *data, const ef_moments *m) {
  bool any = m->count > 0;
  const char *path = data->array.path;
  return json_pack("{s:s, s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "path", path, "type",
                   ef_h5_type_name(data->array.type), "shape", shape_of(data), "bytes",
                   (json_int_t)data->bytes, "mean", ef_report_real(any ? m->mean : NAN), "std",
                   ef_report_real(any ? sqrt(m->squares / (double)m->count) : NAN), "min",
                   ef_report_real(m->least), "max", ef_report_real(m->greatest), "nonfinite",
                   (json_int_t)m->nonfinite, "units", said_of(g, path, "units"), "dims",
                   said_of(g, path, "dims"), "description", said_of(g, path, "description"));
}

static ef_status add_text(gathering *g, const char *path) {
  char *text = NULL;
  EF_TRY(ef_h5_read_text(g->file, path, &text));
  json_object_set_new(g->texts, path, json_string(text));
  ef_free(text);
  return EF_OK;
}

static ef_status add_numbers(gathering *g, const ef_h5_data *data) {
  ef_moments m;
  EF_TRY(ef_moments_measure(g->file, data, &m));
  return EF_CHECK(json_array_append_new(g->rows, row_of(g, data, &m)) == 0, EF_CHECKPOINT,
                  "%s: a name is not UTF-8", g->file->path);
}

static ef_status add_object(void *ctx, const char *path, bool is_group) {
  gathering *g = ctx;
  if (is_group) {
    json_array_append_new(g->groups, json_string(path));
    return EF_OK;
  }
  if (strcmp(path, "/deck") == 0) return EF_OK;
  ef_h5_data data;
  EF_TRY(ef_h5_data_open(g->file, path, &data));
  ef_status status = data.text ? add_text(g, path) : add_numbers(g, &data);
  ef_h5_data_close(&data);
  return status;
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

static ef_status add_meaning(ef_h5 *file, json_t *report) {
  json_t *attributes = json_object_get(report, "attributes"), *value;
  json_object_set_new(report, "identity", ef_meaning_identity(json_object_get(attributes, "/")));
  json_object_set_new(report, "plot", ef_meaning_plot(attributes));
  EF_TRY(ef_meaning_load(file, &value));
  json_object_set_new(report, "expert_load", value);
  EF_TRY(ef_meaning_lineage(file, &value));
  json_object_set_new(report, "lineage", value);
  EF_TRY(ef_meaning_ledger(file, &value));
  json_object_set_new(report, "ledger", value);
  return EF_OK;
}

static ef_status gather(ef_h5 *file, bool verify, json_t *report) {
  char *deck = NULL;
  gathering g = {file, NULL, json_array(), json_array(), json_object()};
  ef_status status;
  json_object_set_new(report, "file", json_string(file->path));
  json_object_set_new(report, "verified", json_boolean(verify));
  json_object_set_new(report, "datasets", g.rows);
  json_object_set_new(report, "groups", g.groups);
  json_object_set_new(report, "texts", g.texts);
  if (verify) EF_GO(ef_h5_verify(file));
  EF_GO(ef_report_attributes(file, &g.attributes));
  json_object_set_new(report, "attributes", g.attributes);
  EF_GO(ef_h5_deck(file, &deck));
  json_object_set_new(report, "deck", json_string(deck));
  EF_GO(ef_h5_walk(file, "/", add_object, &g));
  status = add_meaning(file, report);
done:
  ef_free(deck);
  return status;
}

ef_status ef_inspect(const char *path, bool verify, bool json, FILE *out) {
  ef_h5 *file = NULL;
  EF_TRY(ef_h5_open(path, NULL, &file));
  json_t *report = json_object();
  ef_status status = gather(file, verify, report);
  if (status == EF_OK && json) {
    status = ef_report_print(report, out);
  } else if (status == EF_OK) {
    ef_inspect_print(report, out);
  }
  json_decref(report);
  ef_h5_close(file);
  return status;
}
