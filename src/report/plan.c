#include "report/plan.h"

#include "base/memory.h"
#include "report/quality_json.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- reading ------------------------------------------------------------------------------------------- */

static void take_text(const json_t *span, const char *key, char *text, size_t size) {
  const char *value = json_string_value(json_object_get(span, key));
  snprintf(text, size, "%s", value ? value : "");
}

ef_status ef_report_plan_read(ef_report *r, const json_t *event) {
  const json_t *spans = json_object_get(event, "phases");
  size_t count = json_array_size(spans);
  if (count == 0) return EF_OK;
  ef_free(r->planned);
  r->planned_count = 0;
  EF_TRY(EF_NEW(r->planned, count));
  r->planned_count = count;
  for (size_t i = 0; i < count; i++) {
    const json_t *span = json_array_get(spans, i);
    ef_planned *p = &r->planned[i];
    take_text(span, "name", p->name, sizeof p->name);
    take_text(span, "events", p->events, sizeof p->events);
    p->flops = json_number_value(json_object_get(span, "flops"));
    p->seconds = json_number_value(json_object_get(span, "seconds"));
  }
  return EF_OK;
}

/* ---- comparing ----------------------------------------------------------------------------------------- */

/* `names` as in ef_plan_phase: '|' between, '*' for any end. */
static bool is_among(const char *names, const char *name) {
  while (*names) {
    size_t length = strcspn(names, "|");
    bool any_end = length > 0 && names[length - 1] == '*';
    if (any_end ? strncmp(names, name, length - 1) == 0
                : strlen(name) == length && strncmp(names, name, length) == 0)
      return true;
    names += length + (names[length] == '|');
  }
  return false;
}

void ef_report_plan_compare(ef_report *r) {
  for (size_t i = 0; i < r->planned_count; i++) {
    ef_planned *p = &r->planned[i];
    double flops = 0.0;
    bool ran = false;
    p->measured = 0.0;
    for (size_t j = 0; j < r->phase_count; j++) {
      if (!is_among(p->events, r->phases[j].name)) continue;
      ran = true;
      flops += r->phases[j].flops;
      p->measured += r->phases[j].seconds;
    }
    p->expected = !ran ? 0.0 : p->flops > 0.0 ? p->seconds * flops / p->flops : p->seconds;
  }
}

void ef_report_plan_total(const ef_report *r, double *expected, double *measured) {
  *expected = *measured = r->planned_count > 0 ? 0.0 : (double)NAN;
  for (size_t i = 0; i < r->planned_count; i++) {
    *expected += r->planned[i].expected;
    *measured += r->planned[i].measured;
  }
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static json_t *comparison(double expected, double measured) {
  return json_pack("{s:o, s:o, s:o}", "planned_seconds", ef_number_json(expected), "measured_seconds",
                   ef_number_json(measured), "relative", ef_number_json(expected / measured - 1.0));
}

json_t *ef_report_plan_json(const ef_report *r) {
  double expected, measured;
  ef_report_plan_total(r, &expected, &measured);
  json_t *out = comparison(expected, measured), *phases = json_array();
  for (size_t i = 0; i < r->planned_count; i++) {
    const ef_planned *p = &r->planned[i];
    if (p->measured == 0.0 && p->expected == 0.0) continue;
    json_t *one = comparison(p->expected, p->measured);
    json_object_set_new(one, "name", json_string(p->name));
    json_array_append_new(phases, one);
  }
  json_object_set_new(out, "phases", phases);
  return out;
}
