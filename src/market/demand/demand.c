#include "market/demand/demand_internal.h"
#include <math.h>

void ef_search_try(ef_search *search, size_t choice, double accuracy, size_t q, const ef_split *split) {
  double rate = search->user->rate;
  if (!split->in_time || !(rate * split->device_s <= 1) || !(rate * split->transfer_s <= 1)) return;
  double x = split->work > 0 ? fmax(split->work / split->slack, rate * split->work) : split->work;
  if (!(x < search->best.flops)) return;
  search->best = (ef_demand){.need = x > 0 ? EF_NEED_EDGE : EF_NEED_SELF,
                             .flops = x,
                             .choice = choice,
                             .partition = q,
                             .device_s = split->device_s,
                             .network_s = split->network_s,
                             .edge_s = ef_seconds(split->work, x),
                             .accuracy = accuracy};
}

static int64_t units_of(double x, double unit) {
  double units = ceil(x / unit - 1e-9);
  if (!(units < 0x1p63)) return INT64_MAX;
  return units < 1 ? 1 : (int64_t)units;
}

void ef_demand_find(const ef_demand_table *table, const ef_rules *rules, const ef_user *user,
                    ef_demand *demand) {
  ef_search search = {.table = table, .rules = rules, .user = user, .best = {.flops = INFINITY}};
  if (table->workload->autoregressive) {
    ef_search_tokens(&search);
  } else if (table->workload->policy_count > 0) {
    ef_search_confidence(&search);
  } else {
    ef_search_fixed(&search);
  }
  *demand = search.best;
  if (!isfinite(demand->flops)) {
    *demand = (ef_demand){.need = EF_NEED_INFEASIBLE, .choice = SIZE_MAX, .partition = SIZE_MAX};
  } else if (demand->need == EF_NEED_EDGE) {
    demand->units = units_of(demand->flops, rules->unit_flops);
  }
}
