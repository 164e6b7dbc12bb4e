#include "report/effort.h"

#include "base/markdown.h"
#include "report/quality_json.h"
#include <math.h>

/* ---- JSON ---------------------------------------------------------------------------------------------- */

void ef_report_effort_json(const ef_report *r, json_t *out) {
  static const char *const names[EF_PLACE_COUNT] = {"server", "device", "control"};
  for (ef_place place = EF_ON_SERVER; place < EF_PLACE_COUNT; place++) {
    char key[32];
    snprintf(key, sizeof key, "%s_flops", names[place]);
    json_object_set_new(out, key, ef_number_json(r->effort[place].flops));
    snprintf(key, sizeof key, "%s_seconds", names[place]);
    json_object_set_new(out, key, ef_number_json(r->effort[place].seconds));
  }
}

static void keep_largest(json_t *by_family, const char *family, size_t bytes) {
  json_int_t most = json_integer_value(json_object_get(by_family, family));
  if ((json_int_t)bytes > most) json_object_set_new(by_family, family, json_integer((json_int_t)bytes));
}

void ef_report_memory_json(const ef_report *r, json_t *out) {
  const ef_outcome *o = r->outcome;
  json_t *devices = json_array(), *families = json_object();
  for (size_t n = 0; n < o->devices.count; n++) {
    const char *family = ef_report_family(r, (size_t)o->population.entry[n]);
    size_t peak = o->devices.records[n].peak_bytes;
    json_array_append_new(devices, json_pack("{s:I, s:s, s:I}", "device", (json_int_t)n, "family", family,
                                             "peak_bytes", (json_int_t)peak));
    keep_largest(families, family, peak);
  }
  json_object_set_new(out, "device_memory", devices);
  json_object_set_new(out, "device_memory_by_family", families);
}

/* ---- Markdown ------------------------------------------------------------------------------------------ */

static void add_count(ef_md_table *t, double n) {
  if (isfinite(n))
    ef_md_count(t, (size_t)n);
  else
    ef_md_cell(t, "-");
}

ef_status ef_report_effort_md(const ef_report *r, FILE *out) {
  static const char *const names[EF_PLACE_COUNT] = {"the server", "the devices", "the control"};
  ef_md_table t = ef_md_table_make("work of|GFLOP|seconds|optimiser steps|tokens");
  for (ef_place place = EF_ON_SERVER; place < EF_PLACE_COUNT; place++) {
    const ef_effort_total *e = &r->effort[place];
    ef_md_cell(&t, "%s", names[place]);
    ef_md_real(&t, e->flops / 1e9, 3);
    ef_md_real(&t, e->seconds, 1);
    add_count(&t, e->steps);
    add_count(&t, e->tokens);
  }
  fputs("## Effort\n\nOf training and of the forward passes of teachers, pretraining of the common starts "
        "included,\nby formula; evaluation takes time, but its operations are not counted.\n\n",
        out);
  return ef_md_print(&t, out);
}
