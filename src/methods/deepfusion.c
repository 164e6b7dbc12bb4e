#include "methods/methods.h"

/* Optimiser steps that the server takes in all: K bases, then the merged model. The control gets as many. */
static size_t server_steps(const ef_deck *deck) {
  return (size_t)(deck->fusion.clusters * deck->fusion.steps + deck->tune.steps);
}

/* What the server could have done with the public text alone: copies of the common start, merged and trained.
 */
static ef_status public_only(ef_run *run, ef_outcome *o) {
  if (!run->deck->control.public_only) return EF_OK;
  int64_t steps = run->deck->control.public_steps;
  ef_tuning control = {.unit = EF_UNIT_PUBLIC_ONLY,
                       .start = EF_MERGE_STARTS,
                       .steps = steps ? (size_t)steps : server_steps(run->deck),
                       .train_experts = true,
                       .name = "public only",
                       .sections = "text,federation,global,eval,fusion,tune,exits,control"};
  EF_TRY(ef_merged_make(run, &o->clusters, &o->bases, EF_MERGE_STARTS));
  return ef_tune(run, &control, &o->population, &o->clusters, &o->bases, &o->public_only);
}

static ef_status tune(ef_run *run, ef_outcome *o) {
  ef_tuning tuning = {.unit = EF_UNIT_TUNE,
                      .start = EF_MERGE_BASES,
                      .steps = (size_t)run->deck->tune.steps,
                      .kl = run->deck->tune.kl,
                      .train_experts = run->deck->tune.experts,
                      .name = "tuning",
                      .sections = "text,federation,global,eval,fusion,tune,exits"};
  return ef_tune(run, &tuning, &o->population, &o->clusters, &o->bases, &o->tuned);
}

ef_status ef_deepfusion(ef_run *run, ef_outcome *o) {
  EF_TRY(ef_population_make(run, &o->population));
  EF_TRY(ef_ledger_create(o->population.devices, &o->ledger));

  /* On the devices: common starts, local training, one upload each. */
  EF_TRY(ef_families_pretrain(run, &o->population));
  EF_TRY(ef_devices_train(run, &o->population, &o->devices));

  /* Phase I: knowledge clusters (Eq. 6) and one proxy for each. */
  EF_TRY(ef_clusters_assign(run, &o->population, &o->devices, &o->clusters));
  EF_TRY(ef_proxies_make(run, &o->population, &o->devices, &o->clusters, &o->ledger));

  /* Phase II: every proxy teaches a dense base (Eqs. 7 to 11). */
  EF_TRY(ef_base_start(run));
  EF_TRY(ef_bases_distil(run, &o->population, &o->clusters, &o->bases));
  EF_TRY(public_only(run, o));

  /* Phase III: the bases become one Mixture-of-Experts (Eqs. 12 and 13), which is tuned. */
  EF_TRY(ef_merged_make(run, &o->clusters, &o->bases, EF_MERGE_BASES));
  return tune(run, o);
}
