#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/sort.h"
#include "report/plan.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- what the run took, by phase ---------------------------------------------------------------------- */

static ef_status find_or_add(ef_report *r, const char *name, ef_phase_total **phase) {
  for (size_t i = 0; i < r->phase_count; i++) {
    *phase = &r->phases[i];
    if (strcmp(r->phases[i].name, name) == 0) return EF_OK;
  }
  ef_phase_total *grown = ef_realloc(r->phases, r->phase_count + 1, sizeof *grown);
  EF_TRY(EF_CHECK(grown, EF_MACHINE, "out of memory: %zu phases", r->phase_count + 1));
  r->phases = grown;
  *phase = &grown[r->phase_count++];
  snprintf((*phase)->name, sizeof(*phase)->name, "%s", name);
  return EF_OK;
}

static ef_place place_of(const json_t *event) {
  const char *name = json_string_value(json_object_get(event, "place"));
  ef_place place = EF_ON_SERVER;
  while (place < EF_PLACE_COUNT && !(name && strcmp(name, ef_place_name(place)) == 0)) place++;
  return place;
}

/* A phase of no known place leaves neither side known. */
static void add_effort(ef_report *r, ef_place place, const ef_effort_total *one) {
  for (ef_place p = EF_ON_SERVER; p < EF_PLACE_COUNT; p++) {
    double weight = place == EF_PLACE_COUNT ? (double)NAN : p == place ? 1.0 : 0.0;
    ef_effort_total *sum = &r->effort[p];
    sum->seconds += weight * one->seconds;
    sum->tokens += weight * one->tokens;
    sum->flops += weight * one->flops;
    sum->steps += weight * one->steps;
  }
}

static double number_of(const json_t *event, const char *key) {
  return json_number_value(json_object_get(event, key));
}

static ef_status add_event(ef_report *r, const json_t *event) {
  const char *kind = json_string_value(json_object_get(event, "event"));
  const char *name = json_string_value(json_object_get(event, "name"));
  if (kind && strcmp(kind, "plan") == 0) {
    r->planned_bytes = number_of(event, "peak_bytes");
    return ef_report_plan_read(r, event);
  }
  if (!kind || !name || strcmp(kind, "phase") != 0) return EF_OK;
  ef_phase_total *phase;
  EF_TRY(find_or_add(r, name, &phase));
  ef_effort_total one = {.seconds = number_of(event, "seconds"),
                         .tokens = number_of(event, "tokens"),
                         .flops = number_of(event, "flops"),
                         .steps = number_of(event, "steps")};
  phase->place = place_of(event);
  phase->seconds += one.seconds;
  phase->tokens += one.tokens;
  phase->flops += one.flops;
  phase->compute_seconds += number_of(event, "compute_seconds");
  phase->slowest_seconds += number_of(event, "slowest_seconds");
  phase->exchange_seconds += number_of(event, "exchange_seconds");
  phase->wait_seconds += number_of(event, "wait_seconds");
  phase->exchange_bytes += number_of(event, "exchange_bytes");
  add_effort(r, phase->place, &one);
  return EF_OK;
}

ef_status ef_report_log(ef_report *r) {
  char path[4096], *text = NULL;
  size_t bytes;
  ef_run_path(r->run, path, sizeof path, "metrics.jsonl");
  if (!ef_file_exists(path)) return EF_OK;
  EF_TRY(ef_file_read(path, EF_MACHINE, &text, &bytes));
  ef_status status = EF_OK;
  for (char *line = text, *next; status == EF_OK && line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = '\0';
    json_t *event = json_loads(line, 0, NULL);
    if (event) status = add_event(r, event);
    json_decref(event);
  }
  ef_free(text);
  ef_report_plan_compare(r);
  return status;
}

/* ---- what the machine can do -------------------------------------------------------------------------- */

enum { PEAK_RUNS = 5 };

ef_status ef_report_peak(const ef_kernels *kernels, size_t n, double *gflops) {
  double seconds[PEAK_RUNS];
  float *work = NULL;
  EF_TRY(EF_NEW(work, 3 * n * n));
  for (size_t i = 0; i < 2 * n * n; i++) work[i] = (float)(i % 17) / 17.0f - 0.5f;
  for (int run = -1; run < PEAK_RUNS; run++) { /* the first one warms up */
    double started = ef_clock();
    kernels->matmul(0, 0, n, n, n, work, n, work + n * n, n, 0.0f, work + 2 * n * n, n);
    if (run >= 0) seconds[run] = ef_clock() - started;
  }
  ef_free(work);
  *gflops = 2e-9 * (double)n * (double)n * (double)n / (ef_median(seconds, PEAK_RUNS) + 1e-12);
  return EF_OK;
}
