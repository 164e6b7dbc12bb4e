#include "plan/plan.h"

#include "base/clock.h"
#include "base/duration.h"
#include "plan/memory.h"
#include "plan/plan_internal.h"
#include "plan/speed.h"
#include "rivals/pruned.h"
#include "train/events.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Resident bytes of this process now; its highest so far where the system does not tell. */
static size_t resident_bytes(void) {
  unsigned long long pages = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  bool known = file && fscanf(file, "%llu %llu", &pages, &resident) == 2;
  if (file) fclose(file);
  return known ? (size_t)resident * (size_t)sysconf(_SC_PAGESIZE) : (size_t)ef_peak_rss();
}

/* ---- memory ------------------------------------------------------------------------------------------- */

static ef_status plan_peak(const ef_planner *p, ef_plan *plan) {
  size_t shared = 0;
  plan->start_bytes = resident_bytes();
  plan->peak_bytes = (size_t)ef_peak_rss();
  plan->peak_phase = "text";
  plan->peak_place = EF_PLAN_ROOT;
  for (const ef_plan_phase *phase = ef_plan_phases; phase->name; phase++) {
    size_t counted = 0;
    if (ef_plan_has(p, phase)) EF_TRY(phase->memory(p, &counted));
    if (counted == 0) continue;
    if (phase->together) shared = plan->checkpoint_bytes;
    size_t bytes = plan->start_bytes + ef_plan_resident(counted, p->peers, shared);
    if (bytes <= plan->peak_bytes) continue;
    plan->peak_bytes = bytes;
    plan->peak_phase = phase->name;
    plan->peak_place = phase->place;
  }
  return EF_OK;
}

/* ---- the plan ------------------------------------------------------------------------------------------ */

static ef_status add_spans(const ef_planner *p, ef_plan *plan) {
  for (const ef_plan_phase *phase = ef_plan_phases; phase->name; phase++) {
    double before = plan->flops;
    if (!ef_plan_has(p, phase)) continue;
    EF_TRY(
        EF_CHECK(plan->span_count < EF_PLAN_SPANS, EF_FAULT, "a plan of more than %d phases", EF_PLAN_SPANS));
    phase->work(p, plan);
    plan->spans[plan->span_count++] = (ef_plan_span){.name = phase->name,
                                                     .events = phase->events ? phase->events : phase->name,
                                                     .flops = plan->flops - before};
  }
  return EF_OK;
}

static ef_status fill(const ef_planner *p, ef_plan *plan) {
  *plan = (ef_plan){.layout = {p->ranks, p->nodes},
                    .params = ef_dims_params(&p->global),
                    .active_params = ef_dims_active_params(&p->global),
                    .seconds = NAN};
  EF_TRY(add_spans(p, plan));
  EF_TRY(ef_plan_device_bytes(p, &plan->device_bytes));
  return plan_peak(p, plan);
}

ef_layout ef_layout_of(const ef_par *par) { return (ef_layout){par->size, par->nodes.count}; }

/* What would be refused only after hours. */
static ef_status check(const ef_planner *p) {
  for (const ef_plan_phase *phase = ef_plan_phases; phase->name; phase++) {
    if (phase->check && ef_plan_has(p, phase)) EF_TRY(phase->check(p));
  }
  return EF_OK;
}

static ef_status open_planner(const ef_run *run, const ef_method *method, ef_layout layout,
                              ef_population *population, ef_planner *p) {
  *p = (ef_planner){.run = run,
                    .deck = run->deck,
                    .method = method,
                    .population = population,
                    .ranks = layout.ranks,
                    .nodes = layout.nodes,
                    .peers = (layout.ranks + layout.nodes - 1) / layout.nodes - 1};
  EF_TRY(ef_population_make(run, population));
  ef_status status = ef_global_dims(run, &p->global, &p->base);
  if (status == EF_OK) status = check(p);
  if (status == EF_OK) status = ef_pruned_dims(&p->global, ef_plan_held(p), &p->local);
  if (status != EF_OK) ef_population_free(population);
  return status;
}

ef_status ef_plan_make(const ef_run *run, const ef_method *method, ef_layout layout, ef_plan *plan) {
  ef_population population = {0};
  ef_planner planner;
  EF_TRY(open_planner(run, method, layout, &population, &planner));
  ef_status status = fill(&planner, plan);
  ef_population_free(&population);
  return status;
}

/* ---- time --------------------------------------------------------------------------------------------- */

static ef_status add_seconds(const ef_planner *p, ef_plan *plan) {
  size_t i = 0;
  plan->seconds = 0.0;
  for (const ef_plan_phase *phase = ef_plan_phases; phase->name; phase++) {
    if (!ef_plan_has(p, phase)) continue;
    ef_plan_span *span = &plan->spans[i++];
    if (phase->time) EF_TRY(phase->time(p, &span->seconds));
    plan->seconds += span->seconds;
  }
  return EF_OK;
}

const ef_interconnect EF_PLAN_INTERCONNECT = {
    .latency = 2e-6, .bandwidth = 12.5e9, .node_latency = 5e-7, .node_bandwidth = 5e9, .overhead = 5e-7};

static ef_status measure_seconds(ef_planner *p, const ef_interconnect *network, ef_plan *plan) {
  ef_speeds speeds = {0};
  ef_status status;
  EF_GO(ef_speeds_measure(p, &speeds));
  EF_GO(ef_agree(p->run->par, ef_speeds_spread(p, network, &speeds)));
  p->speeds = &speeds;
  status = add_seconds(p, plan);
  p->speeds = NULL;
done:
  ef_speeds_free(&speeds);
  return status;
}

ef_status ef_plan_time(const ef_run *run, const ef_method *method, const ef_interconnect *network,
                       ef_plan *plan) {
  ef_population population = {0};
  ef_planner planner;
  ef_status status;
  EF_GO(ef_agree(run->par, open_planner(run, method, plan->layout, &population, &planner)));
  status = measure_seconds(&planner, network, plan);
done:
  ef_population_free(&population);
  return status;
}

/* ---- as JSON ------------------------------------------------------------------------------------------ */

/* ef_plan_place. */
static const char *const place_names[] = {"root", "owner", "all"};

static void print_spans(const ef_plan *plan, FILE *out) {
  for (size_t i = 0; i < plan->span_count; i++) {
    const ef_plan_span *s = &plan->spans[i];
    fprintf(out, "%s{\"name\": \"%s\", \"events\": \"%s\", \"flops\": %.6g, \"seconds\": %.6g}",
            i ? ", " : "", s->name, s->events, s->flops, s->seconds);
  }
}

static void print_json(const ef_plan *p, FILE *out) {
  fprintf(
      out,
      "{\"ranks\": %d, \"nodes\": %d, \"params\": %zu, \"active_params\": %zu, \"peak_bytes\": %zu, "
      "\"peak_phase\": \"%s\", "
      "\"peak_place\": \"%s\", \"start_bytes\": %zu, "
      "\"device_bytes\": %zu, \"upload_bytes\": %llu, \"download_bytes\": %llu, \"checkpoint_bytes\": %zu, "
      "\"part_bytes\": %zu, "
      "\"total_steps\": %zu, \"sequential_steps\": %zu, \"device_tokens\": %.0f, \"server_tokens\": %.0f, "
      "\"flops\": %.6g, \"seconds\": ",
      p->layout.ranks, p->layout.nodes, p->params, p->active_params, p->peak_bytes, p->peak_phase,
      place_names[p->peak_place], p->start_bytes, p->device_bytes, (unsigned long long)p->upload_bytes,
      (unsigned long long)p->download_bytes, p->checkpoint_bytes, p->part_bytes, p->total_steps,
      p->sequential_steps, p->device_tokens, p->server_tokens, p->flops);
  fprintf(out, isfinite(p->seconds) ? "%.6g, \"phases\": [" : "null, \"phases\": [", p->seconds);
  if (isfinite(p->seconds)) print_spans(p, out);
  fputs("]}\n", out);
}

/* ---- the run log --------------------------------------------------------------------------------------- */

/* The spans as the inside of a JSON array, owned by the caller; empty if no time was planned. */
static ef_status spans_text(const ef_plan *plan, char **text) {
  size_t bytes;
  FILE *out = open_memstream(text, &bytes);
  EF_TRY(EF_CHECK(out, EF_MACHINE, "out of memory: a plan"));
  if (isfinite(plan->seconds)) print_spans(plan, out);
  return EF_CHECK(fclose(out) == 0, EF_MACHINE, "out of memory: a plan");
}

static ef_status note(const ef_run *run, const ef_plan *plan) {
  char *spans = NULL;
  ef_status status = spans_text(plan, &spans);
  if (status == EF_OK)
    status =
        ef_event(run, "plan",
                 "\"ranks\": %d, \"peak_bytes\": %zu, \"peak_phase\": \"%s\", \"peak_place\": \"%s\", "
                 "\"phases\": [%s]",
                 run->par->size, plan->peak_bytes, plan->peak_phase, place_names[plan->peak_place], spans);
  free(spans);
  return status;
}

ef_status ef_plan_note(const ef_run *run, const ef_method *method, bool first) {
  ef_population population = {0};
  ef_planner planner;
  ef_plan plan = {0};
  ef_status status = open_planner(run, method, ef_layout_of(run->par), &population, &planner);
  if (status == EF_OK) status = fill(&planner, &plan);
  EF_GO(ef_agree(run->par, status));
  if (first) EF_GO(measure_seconds(&planner, &EF_PLAN_INTERCONNECT, &plan));
  status = ef_agree(run->par, ef_par_root(run->par) ? note(run, &plan) : EF_OK);
done:
  ef_population_free(&population);
  return status;
}

/* ---- printing ----------------------------------------------------------------------------------------- */

static void print_time(const ef_plan *p, FILE *out) {
  char text[EF_DURATION_BYTES];
  if (!isfinite(p->seconds)) return;
  fprintf(out, "time             %s at most, early stopping, files and the market aside\n",
          ef_duration_about(p->seconds, text));
  for (size_t i = 0; i < p->span_count; i++) {
    const ef_plan_span *s = &p->spans[i];
    if (s->seconds > 0.0)
      fprintf(out, "                 %-20s %s\n", s->name, ef_duration_about(s->seconds, text));
  }
}

void ef_plan_print(const ef_plan *p, bool json, FILE *out) {
  if (json) {
    print_json(p, out);
    return;
  }
  fprintf(out, "global model     %zu parameters, %zu active for a token\n", p->params, p->active_params);
  static const char *const on[] = {"rank 0", "the rank that has the largest unit", "every rank"};
  fprintf(out, "ranks            %d on %d node%s\n", p->layout.ranks, p->layout.nodes,
          p->layout.nodes == 1 ? "" : "s");
  fprintf(out, "memory           %.1f MB on the largest rank, reached in: %s, on %s\n",
          (double)p->peak_bytes / 1e6, p->peak_phase, on[p->peak_place]);
  fprintf(out, "                 of which %.1f MB are there from the start (libraries, MPI, text)\n",
          (double)p->start_bytes / 1e6);
  if (p->device_bytes > 0) {
    fprintf(out, "largest device   %.1f MB while it trains\n", (double)p->device_bytes / 1e6);
  }
  fprintf(out, "traffic          %llu bytes up from all devices, %llu bytes down\n",
          (unsigned long long)p->upload_bytes, (unsigned long long)p->download_bytes);
  fprintf(out, "disk             %.1f MB for a checkpoint, %.1f MB for all parts\n",
          (double)p->checkpoint_bytes / 1e6, (double)p->part_bytes / 1e6);
  fprintf(out, "server steps     %zu in all, %zu in sequence, %.0f tokens\n", p->total_steps,
          p->sequential_steps, p->server_tokens);
  fprintf(out, "devices          %.0f tokens at most\n", p->device_tokens);
  fprintf(out, "work             %.3g FLOP at most, evaluation aside\n", p->flops);
  print_time(p, out);
}
