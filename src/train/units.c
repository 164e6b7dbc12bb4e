#include "train/units.h"

#include "base/memory.h"
#include "par/units.h"
#include "train/events.h"

const char *ef_place_name(ef_place place) {
  static const char *const names[EF_PLACE_COUNT] = {"server", "devices", "control"};
  return names[place];
}

double ef_forward_flops_per_token(const ef_dims *dims, size_t context) {
  return ef_dims_flops_per_token(dims, context) / 3.0;
}

double ef_train_cost(const ef_dims *dims, size_t steps, size_t batch, size_t context) {
  return ef_dims_flops_per_token(dims, context) * (double)(steps * batch * context);
}

void ef_effort_add(ef_effort *effort, const ef_trainer *trainer) {
  if (!trainer->model) return;
  size_t steps = trainer->step - trainer->restored, B = trainer->recipe.batch, T = trainer->recipe.context;
  effort->steps += (double)steps;
  effort->tokens += (double)(steps * B * T);
  effort->flops += ef_train_cost(&trainer->model->dims, steps, B, T);
}

void ef_effort_add_teacher(ef_effort *effort, const ef_trainer *trainer, const ef_dims *teacher) {
  if (!trainer->model) return;
  size_t steps = trainer->step - trainer->restored, T = trainer->recipe.context;
  effort->flops += ef_forward_flops_per_token(teacher, T) * (double)(steps * trainer->recipe.batch * T);
}

/* Tells the progress how many units this rank has; the sum of their costs. */
static double begin_units(ef_run *run, const ef_phase *phase) {
  double cost = 0.0;
  size_t count = 0;
  for (size_t u = 0; u < phase->units; u++) {
    if (phase->owner[u] != run->par->rank) continue;
    cost += phase->cost[u];
    count++;
  }
  ef_progress_begin(run, phase->name, count);
  return cost;
}

static ef_status run_units(ef_run *run, ef_phase *phase, ef_effort *effort) {
  double cost = begin_units(run, phase);
  for (size_t u = 0; u < phase->units; u++) {
    if (phase->owner[u] != run->par->rank) continue;
    if (ef_run_told_to_stop(run)) return EF_STOPPED;
    ef_progress_unit(run, cost > 0.0 ? phase->cost[u] / cost : 0.0);
    EF_TRY(phase->run_unit(phase->ctx, u, effort));
    ef_progress_unit_over(run);
  }
  return EF_OK;
}

ef_status ef_phase_run(ef_run *run, ef_phase *phase) {
  ef_lap lap = ef_lap_begin(run);
  double *work = NULL;
  EF_TRY(ef_agree(run->par, EF_NEW(work, (size_t)run->par->size)));
  ef_balance(phase->units, phase->cost, run->par->size, phase->owner, work);
  ef_free(work);
  ef_effort effort = {0};
  ef_status status = run_units(run, phase, &effort);
  if (status != EF_OK && status != EF_STOPPED) status = ef_context(status, "%s", phase->name);
  ef_status met = ef_run_meet(run, status);
  if (met == EF_OK || met == EF_STOPPED)
    EF_TRY(ef_event_phase(run, phase->name, phase->place, &lap, &effort));
  return met;
}
