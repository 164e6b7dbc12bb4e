/* What the checks of a machine found: one line each, for people as soon as it is known, or all of it as one
 * JSON object at the end.
 */
#pragma once

#include "base/status.h"
#include <stdio.h>

typedef enum ef_health { EF_HEALTH_OK, EF_HEALTH_WARN, EF_HEALTH_FAIL, EF_HEALTH_COUNT } ef_health;

/* "ok", "warn", "fail". Local. */
const char *ef_health_name(ef_health health);

enum { EF_SYMPTOMS = 32, EF_SYMPTOM_TEXT = 640 };

typedef struct ef_symptom {
  ef_health health;
  const char *name; /* of the check; a literal */
  char found[EF_SYMPTOM_TEXT];
  const char *advice; /* a literal; "" where there is none */
} ef_symptom;

typedef struct ef_diagnosis {
  bool silent; /* another process speaks, or JSON is wanted: no line is printed */
  size_t count;
  ef_symptom symptoms[EF_SYMPTOMS];
} ef_diagnosis;

/* Adds a finding and prints its line on standard output: "fail  folder  ...  [advice]". Beyond EF_SYMPTOMS
 * nothing is added. Local. */
void ef_diagnosis_add(ef_diagnosis *d, ef_health health, const char *name, const char *advice,
                      const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Findings of this health. Local. */
size_t ef_diagnosis_count(const ef_diagnosis *d, ef_health health);

/* Prints {"ok", "failed", "warnings", "ranks", "checks": [{"name", "result", "found", "advice"}]} in one line
 * on `out`. EF_MACHINE. Local. */
ef_status ef_diagnosis_json(const ef_diagnosis *d, int ranks, FILE *out);

/* EF_OK if no check failed, else EF_MACHINE with the names of those that did. Local. */
ef_status ef_diagnosis_verdict(const ef_diagnosis *d);
