#include "plan/plan.h"

#include "base/clock.h"
#include "plan/memory.h"
#include "plan/plan_internal.h"
#include "plan/speed.h"
#include "rivals/pruned.h"
#include <math.h>
#include <stdio.h>
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
    size_t bytes =
        plan->start_bytes + ef_plan_resident(counted, p->peers, ef_plan_crowd(p, p->ranks), shared);
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

/* ---- for the run log ----------------------------------------------------------------------------------- */

ef_status ef_plan_note(const ef_run *run, const ef_method *method, bool first) {
  ef_population population = {0};
  ef_planner planner;
  ef_plan plan = {0};
  ef_status status = open_planner(run, method, ef_layout_of(run->par), &population, &planner);
  if (status == EF_OK) status = fill(&planner, &plan);
  EF_GO(ef_agree(run->par, status));
  if (first) EF_GO(measure_seconds(&planner, &EF_PLAN_INTERCONNECT, &plan));
  status = ef_agree(run->par, ef_par_root(run->par) ? ef_plan_event(run, &plan) : EF_OK);
done:
  ef_population_free(&population);
  return status;
}
