#include "market/demand/demand_internal.h"

/* ---- fixed exits (aeria.md, section 2) ------------------------------------------------------------------
 */

static ef_split fixed_split(const ef_search *s, const ef_exit *exit, size_t q) {
  const double *flops = s->table->flops;
  double h = s->user->complexity, speed = s->user->device_flops;
  ef_split split = {0};
  if (q > exit->after) {
    split.device_s = ef_seconds(h * (flops[exit->after] + exit->head_flops), speed);
    split.in_time = split.device_s <= s->user->deadline;
    return split;
  }
  split.device_s = ef_seconds(h * flops[q], speed);
  split.transfer_s = ef_seconds(8 * h * s->table->out_bytes[q], s->user->uplink_bps);
  split.network_s = split.transfer_s + s->rules->rtt;
  split.work = h * (flops[exit->after] - flops[q] + exit->head_flops);
  split.slack = s->user->deadline - split.device_s - split.transfer_s - s->rules->rtt;
  split.in_time = split.slack > 0;
  return split;
}

void ef_search_fixed(ef_search *search) {
  const ef_workload *w = search->table->workload;
  for (size_t e = 0; e < w->exit_count; e++) {
    const ef_exit *exit = &w->exits[e];
    if (!(exit->accuracy >= search->user->accuracy)) continue;
    for (size_t q = 0; q <= exit->after + 1; q++) {
      if (q == exit->after && !(exit->head_flops > 0)) continue; /* nothing would be left for the edge */
      ef_split split = fixed_split(search, exit, q);
      ef_search_try(search, e, exit->accuracy, q, &split);
    }
  }
}

/* ---- exits by confidence (section 8) --------------------------------------------------------------------
 */

static ef_split confidence_split(const ef_search *s, size_t p, size_t q) {
  const ef_demand_table *t = s->table;
  const ef_user *user = s->user;
  size_t at = p * (t->workload->layer_count + 1) + q;
  double h = user->complexity, share = t->share[at];
  ef_split split = {.device_s = ef_seconds(h * t->device[at], user->device_flops)};
  if (!(share > 0)) { /* all samples have left on the device */
    split.in_time = split.device_s <= user->deadline;
    return split;
  }
  double upload = ef_seconds(8 * h * t->out_bytes[q], user->uplink_bps);
  split.transfer_s = share * upload;
  split.network_s = share * (upload + s->rules->rtt);
  split.work = h * t->edge[at];
  split.slack = user->deadline - split.device_s - split.network_s;
  split.in_time = split.slack > 0 || (split.work <= 0 && split.device_s + split.network_s <= user->deadline);
  return split;
}

void ef_search_confidence(ef_search *search) {
  const ef_workload *w = search->table->workload;
  size_t deepest = w->exits[w->exit_count - 1].after;
  for (size_t p = 0; p < w->policy_count; p++) {
    double accuracy = w->policies[p].accuracy;
    if (!(accuracy >= search->user->accuracy)) continue;
    for (size_t q = 0; q <= deepest; q++) {
      ef_split split = confidence_split(search, p, q);
      ef_search_try(search, p, accuracy, q, &split);
    }
  }
}
