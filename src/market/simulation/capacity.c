#include "market/simulation/simulate_internal.h"

#include "base/memory.h"
#include "base/sort.h"
#include <math.h>

static const double MOST_UNITS = 9e15;

typedef struct demand_list {
  size_t count, room;
  double *units; /* owned */
} demand_list;

static ef_status append_crowd(demand_list *list, const ef_crowd *crowd) {
  size_t need = list->count + crowd->shell.user_count;
  if (need > list->room) {
    double *grown = ef_realloc(list->units, 2 * need, sizeof *grown);
    EF_TRY(EF_CHECK(grown, EF_MACHINE, "out of memory: demands of %zu users", need));
    list->units = grown;
    list->room = 2 * need;
  }
  for (size_t i = 0; i < crowd->shell.user_count; i++) {
    const ef_demand *d = &crowd->demands[i];
    if (d->need != EF_NEED_EDGE || (double)d->units > MOST_UNITS) continue;
    list->units[list->count++] = (double)d->units;
  }
  return EF_OK;
}

/* The greatest C = floor(ratio * total of the demands up to max_share C / slots): iterated downwards from the
 * total of all demands, since the right side does not fall as C grows. */
static int64_t settle(const ef_scenario *s, demand_list *list) {
  ef_sort_ascending(list->units, list->count);
  double total = 0.0;
  for (size_t i = 0; i < list->count; i++) total += list->units[i];
  double share = s->capacity_ratio / (double)s->slots, capacity = floor(share * total);
  for (size_t left = list->count; left > 0 && list->units[left - 1] > s->max_share * capacity;) {
    total -= list->units[--left];
    capacity = floor(share * total);
  }
  return (int64_t)fmin(fmax(capacity, 0.0), MOST_UNITS);
}

static ef_status forecast(const ef_scenario *s, const ef_demand_table *table, int64_t *units) {
  demand_list list = {0};
  ef_status status = EF_OK;
  for (size_t slot = 0; slot < s->slots && status == EF_OK; slot++) {
    ef_crowd crowd;
    status = ef_crowd_make(s, table, 0, slot, slot, &crowd);
    if (status == EF_OK) status = append_crowd(&list, &crowd);
    ef_crowd_free(&crowd);
  }
  if (status == EF_OK) *units = list.count > 0 ? settle(s, &list) : 0;
  ef_free(list.units);
  return status;
}

ef_status ef_crowd_capacity(const ef_scenario *s, const ef_demand_table *table, int64_t *units) {
  if (s->capacity_ratio > 0.0) return forecast(s, table, units);
  *units = (int64_t)floor(s->capacity_flops / s->unit_flops);
  return EF_OK;
}

ef_status ef_scenario_capacity(const ef_scenario *s, int64_t *units) {
  EF_TRY(ef_scenario_check(s));
  ef_demand_table *table = NULL;
  EF_TRY(ef_demand_table_create(&s->workload, &table));
  ef_status status = ef_crowd_capacity(s, table, units);
  ef_demand_table_free(table);
  return status;
}
