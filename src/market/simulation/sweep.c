#include "market/simulate.h"

#include <math.h>
#include <string.h>

const ef_sweep ef_sweeps[] = {
    {EF_SWEEP_USERS, "users", "arrivals, times", 5, {0.5, 1, 2, 4, 8}},
    {EF_SWEEP_CAPACITY, "capacity", "capacity of the cluster, times", 5, {0.25, 0.5, 1, 2, 4}},
    {EF_SWEEP_C, "c", "ratio of the estimate's grid", 6, {1.1, 1.2, 1.5, 2, 3, 6.4}},
    {EF_SWEEP_DEADLINE, "deadline", "deadlines, times", 5, {0.5, 0.75, 1, 1.5, 2}},
    {EF_SWEEP_UPLINK, "uplink", "uplink rates, times", 5, {0.25, 0.5, 1, 2, 4}},
    {EF_SWEEP_TAIL, "tail", "sigma of the log-normal values", 5, {0, 0.3, 0.6, 1, 1.5}},
    {.name = NULL},
};

const ef_sweep *ef_sweep_find(const char *name) {
  for (const ef_sweep *s = ef_sweeps; s->name; s++) {
    if (strcmp(s->name, name) == 0) return s;
  }
  return NULL;
}

const char *ef_sweep_names(void) { return "users, capacity, c, deadline, uplink, tail"; }

static ef_status check_point(ef_sweep_kind kind, double x) {
  if (kind == EF_SWEEP_C) {
    return EF_CHECK(isfinite(x) && x > 1.0, EF_INPUT, "sweep c: %g; give more than 1", x);
  }
  if (kind == EF_SWEEP_TAIL) {
    return EF_CHECK(isfinite(x) && x >= 0.0, EF_INPUT, "sweep tail: %g; give at least 0", x);
  }
  return EF_CHECK(isfinite(x) && x > 0.0, EF_INPUT, "sweep %s: %g; give more than 0", ef_sweeps[kind].name,
                  x);
}

ef_status ef_scenario_vary(const ef_scenario *base, ef_sweep_kind kind, double x, ef_scenario *out) {
  EF_TRY(check_point(kind, x));
  *out = *base;
  switch (kind) {
  case EF_SWEEP_USERS:
    out->users_scale *= x;
    break;
  case EF_SWEEP_CAPACITY:
    out->capacity_flops *= x;
    out->capacity_ratio *= x;
    break;
  case EF_SWEEP_C:
    out->setting.aeria.c = x;
    break;
  case EF_SWEEP_DEADLINE:
    out->deadline_least *= x;
    out->deadline_most *= x;
    break;
  case EF_SWEEP_UPLINK:
    out->uplink_scale *= x;
    break;
  case EF_SWEEP_TAIL:
    out->value_sigma = x;
    break;
  }
  return EF_OK;
}
