#include "model/cost.h"

static const double NUMBER = sizeof(float);

static void add_tensor(const ef_dims *d, const ef_tensor *t, ef_token_cost *cost) {
  bool routed = t->expert >= 0;
  double active = (double)t->count * (routed ? (double)d->K / (double)ef_dims_held(d) : 1.0);
  cost->weight_bytes += NUMBER * active;
  if (routed) cost->expert_bytes += NUMBER * active;
  if (t->rank == 2) cost->flops += 2.0 * active;
}

ef_token_cost ef_layer_token_cost(const ef_dims *d, const ef_table *table, size_t layer) {
  ef_token_cost cost = {.attention_flops = 4.0 * (double)(d->H * d->h),
                        .cache_bytes = NUMBER * 2.0 * (double)(d->G * d->h),
                        .out_bytes = NUMBER * (double)d->D};
  for (size_t i = 0; i < table->count; i++) {
    const ef_tensor *t = &table->tensors[i];
    bool exit_norm = t->role == EF_T_EXIT_NORM_W || t->role == EF_T_EXIT_NORM_B;
    if (t->layer == (int)layer && !exit_norm) add_tensor(d, t, &cost);
  }
  return cost;
}

ef_token_cost ef_head_token_cost(const ef_dims *d, const ef_table *table) {
  ef_token_cost cost = {0};
  for (size_t i = 0; i < table->count; i++) {
    const ef_tensor *t = &table->tensors[i];
    bool norm = t->role == EF_T_FINAL_NORM_W || t->role == EF_T_FINAL_NORM_B;
    if (norm || t->role == (d->tied ? EF_T_EMBED : EF_T_HEAD_W)) add_tensor(d, t, &cost);
  }
  return cost;
}

double ef_batch_weight_bytes(const ef_dims *d, const ef_token_cost *cost, double tokens) {
  double met = d->E ? tokens * (double)d->K : 0.0, all = (double)ef_dims_held(d);
  if (met > all) met = all;
  double experts = d->E ? cost->expert_bytes * met / (double)d->K : 0.0;
  return cost->weight_bytes - cost->expert_bytes + experts;
}
