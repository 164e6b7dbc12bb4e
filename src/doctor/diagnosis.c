#include "doctor/diagnosis.h"

#include <jansson.h>
#include <stdarg.h>
#include <string.h>

const char *ef_health_name(ef_health health) {
  static const char *const names[EF_HEALTH_COUNT] = {"ok", "warn", "fail"};
  return names[health];
}

void ef_diagnosis_add(ef_diagnosis *d, ef_health health, const char *name, const char *advice,
                      const char *fmt, ...) {
  if (d->count == EF_SYMPTOMS) return;
  ef_symptom *s = &d->symptoms[d->count++];
  *s = (ef_symptom){.health = health, .name = name, .advice = advice};
  va_list args;
  va_start(args, fmt);
  vsnprintf(s->found, sizeof s->found, fmt, args);
  va_end(args);
  if (d->silent) return;
  printf("%-4s  %-14s  %s", ef_health_name(health), name, s->found);
  if (advice[0]) printf("  [%s]", advice);
  putchar('\n');
  fflush(stdout);
}

size_t ef_diagnosis_count(const ef_diagnosis *d, ef_health health) {
  size_t count = 0;
  for (size_t i = 0; i < d->count; i++) count += d->symptoms[i].health == health;
  return count;
}

static json_t *symptom_json(const ef_symptom *s) {
  return json_pack("{s:s, s:s, s:s, s:s}", "name", s->name, "result", ef_health_name(s->health), "found",
                   s->found, "advice", s->advice);
}

ef_status ef_diagnosis_json(const ef_diagnosis *d, int ranks, FILE *out) {
  json_t *checks = json_array();
  size_t failed = ef_diagnosis_count(d, EF_HEALTH_FAIL);
  json_t *object =
      json_pack("{s:b, s:I, s:I, s:i, s:o}", "ok", failed == 0, "failed", (json_int_t)failed, "warnings",
                (json_int_t)ef_diagnosis_count(d, EF_HEALTH_WARN), "ranks", ranks, "checks", checks);
  bool whole = object != NULL;
  for (size_t i = 0; whole && i < d->count; i++)
    whole = json_array_append_new(checks, symptom_json(&d->symptoms[i])) == 0;
  whole = whole && json_dumpf(object, out, 0) == 0 && fputc('\n', out) != EOF && fflush(out) == 0;
  json_decref(object);
  return EF_CHECK(whole, EF_MACHINE, "the JSON result could not be written (out of memory, or not UTF-8)");
}

ef_status ef_diagnosis_verdict(const ef_diagnosis *d) {
  char names[512] = "";
  size_t used = 0;
  for (size_t i = 0; i < d->count; i++) {
    if (d->symptoms[i].health != EF_HEALTH_FAIL || used >= sizeof names) continue;
    int n = snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : "", d->symptoms[i].name);
    used += n > 0 ? (size_t)n : 0;
  }
  return EF_CHECK(used == 0, EF_MACHINE, "doctor: %zu of %zu checks failed: %s",
                  ef_diagnosis_count(d, EF_HEALTH_FAIL), d->count, names);
}
