#include "study/report.h"

#include <math.h>

/* JSON has no NaN. */
static json_t *real(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *standing_json(const ef_study *study, const ef_study_case *c, const char *column) {
  ef_standing s;
  if (!ef_study_standing(study, c, column, &s)) return json_null();
  return json_pack("{s:I, s:I, s:s?}", "place", (json_int_t)s.place, "of", (json_int_t)s.of, "best_other",
                   s.best);
}

static json_t *mechanism_json(const ef_mechanism *m, const ef_simulation *s, size_t index) {
  const ef_summary_row *row = &s->summary[index];
  json_t *object = json_pack("{s:s, s:s, s:s, s:b, s:I}", "name", m->name, "truthful",
                             ef_truth_text(m->truth), "one_price", ef_price_text(m->price), "benchmark",
                             (int)m->benchmark, "cleared", (json_int_t)row->cleared);
  for (const ef_study_column *column = ef_summary_columns; column->name; column++)
    json_object_set_new(object, column->name, real(ef_study_value(row, column)));
  json_object_set_new(object, "seconds", real(row->seconds));
  if (s->notes[index]) json_object_set_new(object, "note", json_string(s->notes[index]));
  return object;
}

static json_t *case_json(const ef_study *study, const ef_study_case *c) {
  json_t *mechanisms = json_array();
  for (size_t m = 0; m < study->mechanism_count; m++)
    json_array_append_new(mechanisms, mechanism_json(study->mechanisms[m], &c->simulation, m));
  return json_pack("{s:s, s:I, s:o, s:{s:o, s:o}, s:o}", "name", c->name, "capacity",
                   (json_int_t)c->simulation.capacity, "posted_price", real(c->simulation.posted_price),
                   "place", "ratio_mean", standing_json(study, c, "ratio_mean"), "ratio_min",
                   standing_json(study, c, "ratio_min"), "mechanisms", mechanisms);
}

/* One mechanism's columns over the points. */
static json_t *curve_json(const ef_study *study, const ef_study_sweep *s, size_t c, size_t m) {
  json_t *object = json_pack("{s:s}", "name", study->mechanisms[m]->name);
  for (const ef_study_column *column = ef_summary_columns; column->name; column++) {
    json_t *values = json_array();
    for (size_t p = 0; p < s->sweep->count; p++) {
      size_t row = (c * s->sweep->count + p) * study->mechanism_count + m;
      json_array_append_new(values, real(ef_study_value(&s->summary[row], column)));
    }
    json_object_set_new(object, column->name, values);
  }
  return object;
}

static json_t *sweep_json(const ef_study *study, const ef_study_sweep *s) {
  json_t *points = json_array(), *workloads = json_array();
  for (size_t p = 0; p < s->sweep->count; p++) json_array_append_new(points, real(s->sweep->points[p]));
  for (size_t c = 0; c < study->case_count; c++) {
    json_t *mechanisms = json_array();
    for (size_t m = 0; m < study->mechanism_count; m++)
      json_array_append_new(mechanisms, curve_json(study, s, c, m));
    json_array_append_new(workloads,
                          json_pack("{s:s, s:o}", "name", study->cases[c].name, "mechanisms", mechanisms));
  }
  return json_pack("{s:s, s:s, s:o, s:o}", "name", s->sweep->name, "help", s->sweep->help, "points", points,
                   "workloads", workloads);
}

json_t *ef_market_report_json(const ef_study *study, const char *const *files, size_t count) {
  json_t *workloads = json_array(), *sweeps = json_array(), *synthetic = json_array(), *names = json_array();
  for (size_t i = 0; i < study->case_count; i++)
    json_array_append_new(workloads, case_json(study, &study->cases[i]));
  for (size_t i = 0; i < study->sweep_count; i++)
    json_array_append_new(sweeps, sweep_json(study, &study->sweeps[i]));
  for (size_t i = 0; i < EF_STUDY_TRACES; i++) {
    const ef_study_trace t = ef_study_trace_at(study, i);
    if (t.trace->synthetic) json_array_append_new(synthetic, json_string(t.name));
  }
  for (size_t i = 0; i < count; i++) json_array_append_new(names, json_string(files[i]));
  return json_pack("{s:I, s:I, s:s, s:o, s:o, s:o, s:o}", "slots", (json_int_t)study->scenario.slots, "seed",
                   (json_int_t)study->deck->run.seed, "aeria", ef_study_aeria(study), "workloads", workloads,
                   "sweeps", sweeps, "synthetic", synthetic, "files", names);
}
