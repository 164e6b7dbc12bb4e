#include "base/memory.h"
#include "market/demand/demand_internal.h"
#include <math.h>

static double *doubles(ef_arena *arena, size_t count) { return ef_arena_take(arena, count, sizeof(double)); }

static void carve(ef_demand_table *t) {
  const ef_workload *w = t->workload;
  size_t rows = w->layer_count + 1;
  t->flops = doubles(&t->arena, rows);
  t->out_bytes = doubles(&t->arena, rows);
  if (w->autoregressive) {
    t->attention = doubles(&t->arena, rows);
    t->weight = doubles(&t->arena, rows);
    t->prefill = doubles(&t->arena, rows);
    t->cache = doubles(&t->arena, rows);
  }
  t->head_flops = doubles(&t->arena, w->exit_count + 1);
  t->head_bytes = doubles(&t->arena, w->exit_count + 1);
  t->heads = ef_arena_take(&t->arena, rows, sizeof(size_t));
  t->device = doubles(&t->arena, w->policy_count * rows);
  t->edge = doubles(&t->arena, w->policy_count * rows);
  t->share = doubles(&t->arena, w->policy_count * rows);
  t->last = ef_arena_take(&t->arena, w->policy_count, sizeof(size_t));
}

static void sum_layers(ef_demand_table *t) {
  const ef_workload *w = t->workload;
  t->out_bytes[0] = w->input_bytes;
  for (size_t q = 1; q <= w->layer_count; q++) {
    const ef_layer_cost *layer = &w->layers[q - 1];
    t->flops[q] = t->flops[q - 1] + layer->flops;
    t->out_bytes[q] = layer->out_bytes;
    if (!w->autoregressive) continue;
    t->attention[q] = t->attention[q - 1] + layer->attention_flops;
    t->weight[q] = t->weight[q - 1] + layer->weight_bytes;
    t->prefill[q] = t->prefill[q - 1] + layer->prefill_bytes;
    t->cache[q] = t->cache[q - 1] + layer->cache_bytes;
  }
}

static void sum_heads(ef_demand_table *t) {
  const ef_workload *w = t->workload;
  for (size_t e = 0; e < w->exit_count; e++) {
    t->head_flops[e + 1] = t->head_flops[e] + w->exits[e].head_flops;
    t->head_bytes[e + 1] = t->head_bytes[e] + w->exits[e].head_bytes;
  }
  for (size_t q = 1; q <= w->layer_count; q++) {
    t->heads[q] = t->heads[q - 1];
    while (t->heads[q] < w->exit_count && w->exits[t->heads[q]].after <= q) t->heads[q]++;
  }
}

/* What is left of 1 after the exits before `stop`: exactly 0 when nothing leaves at `stop` or later, which a
 * difference of rounded sums does not give. */
static double reach_of(const ef_workload *w, const ef_policy *policy, size_t stop) {
  bool later = false;
  for (size_t e = stop; e < w->exit_count; e++) later = later || policy->leave[e] > 0;
  if (!later) return 0;
  double gone = 0;
  for (size_t e = 0; e < stop; e++) gone += policy->leave[e];
  return fmax(0, 1 - gone);
}

/* The share that runs layer q, and its work with the heads of exits first..stop-1. */
static double work_of(const ef_workload *w, const ef_policy *policy, size_t q, size_t first, size_t stop) {
  size_t before = 0;
  while (before < w->exit_count && w->exits[before].after < q) before++;
  double work = reach_of(w, policy, before) * w->layers[q - 1].flops;
  for (size_t e = first; e < stop; e++) work += reach_of(w, policy, e) * w->exits[e].head_flops;
  return work;
}

/* Device sums run forward and edge sums backward: the edge has exactly no work where no term is left. The
 * heads of exits at layer 0 go with layer 1. */
static void sum_policy(ef_demand_table *t, size_t p) {
  const ef_workload *w = t->workload;
  const ef_policy *policy = &w->policies[p];
  size_t depth = w->layer_count;
  double *device = t->device + p * (depth + 1), *edge = t->edge + p * (depth + 1);
  double *share = t->share + p * (depth + 1);
  share[0] = 1;
  for (size_t q = 1; q <= depth; q++) {
    device[q] = device[q - 1] + work_of(w, policy, q, t->heads[q - 1], t->heads[q]);
    share[q] = reach_of(w, policy, t->heads[q]);
  }
  for (size_t q = depth; q > 0; q--) {
    edge[q - 1] = edge[q] + work_of(w, policy, q, t->heads[q - 1], t->heads[q]);
  }
  for (size_t e = 0; e < w->exit_count; e++) {
    if (policy->leave[e] > 0) t->last[p] = w->exits[e].after;
  }
}

ef_status ef_demand_table_create(const ef_workload *workload, ef_demand_table **table) {
  ef_status status = EF_OK;
  ef_demand_table *t = NULL;
  *table = NULL;
  EF_GO(EF_NEW(t, 1));
  t->workload = workload;
  carve(t);
  EF_GO(ef_arena_place(&t->arena));
  carve(t);
  sum_layers(t);
  sum_heads(t);
  for (size_t p = 0; p < workload->policy_count; p++) sum_policy(t, p);
  *table = t;
  t = NULL;
done:
  ef_demand_table_free(t);
  return status;
}

void ef_demand_table_free(ef_demand_table *table) {
  if (!table) return;
  ef_arena_free(&table->arena);
  ef_free(table);
}
