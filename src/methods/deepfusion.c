#include "base/memory.h"
#include "fusion/answers.h"
#include "fusion/generated.h"
#include "fusion/merged.h"
#include "methods/methods.h"
#include "methods/recipes.h"
#include <stdio.h>

/* ---- phase III ----------------------------------------------------------------------------------------- */

static ef_status tune_with(ef_run *run, ef_outcome *o, const ef_part_key *start, const ef_feed *feed,
                           const float *lineage) {
  ef_tuning tuning = {.unit = EF_UNIT_TUNE,
                      .start = *start,
                      .global = &o->global,
                      .feed = feed,
                      .steps = (size_t)run->deck->tune.steps,
                      .train_experts = run->deck->tune.experts,
                      .lineage = lineage,
                      .name = "tuning",
                      .sections = "text,federation,global,eval,fusion,ensemble,tune,exits"};
  return ef_tune(run, &tuning, &o->tuned);
}

/* What tuning learns from: the public text, what was generated, and the teachers' answers about both. */
typedef struct lessons {
  ef_text_feed text;
  ef_stream generated;
  ef_answers answers;
} lessons;

/* All that the proxies of the last round wrote. Local. */
static ef_status add_generated(const ef_run *run, const ef_outcome *o, lessons *l) {
  l->text.source.generated = &l->generated;
  l->text.source.generated_share = run->deck->fusion.generated_share;
  return ef_generated_load(run, &o->clusters, 0, o->clusters.count, &l->generated);
}

/* Collective. */
static ef_status prepare_lessons(ef_run *run, const ef_outcome *o, lessons *l, ef_feed *feed) {
  const ef_stream *generated = ef_generated_on(run->deck) ? &l->generated : NULL;
  l->text = ef_text_feed_of(run, &run->public_text, ef_unit(EF_UNIT_TUNE, 0));
  if (generated) EF_TRY(ef_agree(run->par, add_generated(run, o, l)));
  *feed = ef_text_feed_plain(&l->text);
  if (run->deck->tune.kl == 0.0) return EF_OK;
  EF_TRY(ef_answers_make(run, &o->population, &o->clusters, generated));
  EF_TRY(ef_agree(run->par, ef_answers_load(run, generated, l->text.source.unit, &l->answers)));
  *feed = ef_answers_feed(run, &l->answers);
  return EF_OK;
}

static void free_lessons(lessons *l) {
  ef_answers_free(&l->answers);
  ef_stream_free(&l->generated);
}

static ef_status tune(ef_run *run, ef_outcome *o, const ef_part_key *start) {
  lessons l = {0};
  ef_feed feed;
  float *lineage = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_agree(run->par, EF_NEW(lineage, o->global.E * o->population.devices)));
  ef_merged_lineage(&o->clusters, &o->bases, o->population.devices, lineage);
  EF_GO(prepare_lessons(run, o, &l, &feed));
  EF_GO(tune_with(run, o, start, &feed, lineage));
done:
  free_lessons(&l);
  ef_free(lineage);
  return status;
}

/* ---- what stands behind each model --------------------------------------------------------------------- */

static size_t device_tokens(const ef_run *run, const ef_outcome *o, size_t device) {
  return o->devices.records[device].steps *
         (size_t)(run->deck->federation.batch * run->deck->federation.context);
}

static ef_cost proxy_cost(const ef_run *run, const ef_outcome *o, const ef_cluster *c) {
  ef_cost cost = {0};
  if (c->fell_back) cost.device_tokens = device_tokens(run, o, c->best);
  for (size_t m = 0; m < c->members && !c->fell_back; m++)
    cost.device_tokens += device_tokens(run, o, c->devices[m]);
  return cost;
}

static ef_cost base_cost(const ef_run *run, const ef_outcome *o, size_t index) {
  const ef_base *b = &o->bases.bases[index];
  ef_cost cost = {0};
  if (b->taught) cost = proxy_cost(run, o, &o->clusters.clusters[index]);
  cost.total_steps = cost.sequential_steps = b->steps;
  cost.server_tokens = b->steps * (size_t)(run->deck->fusion.batch * run->deck->global.context);
  return cost;
}

static ef_cost merged_cost(const ef_run *run, const ef_outcome *o) {
  ef_cost sum = {0};
  for (size_t i = 0; i < o->bases.count; i++) {
    ef_cost base = base_cost(run, o, i);
    sum.total_steps += base.total_steps;
    sum.server_tokens += base.server_tokens;
    if (base.sequential_steps > sum.sequential_steps) sum.sequential_steps = base.sequential_steps;
  }
  for (size_t n = 0; n < o->devices.count; n++) sum.device_tokens += device_tokens(run, o, n);
  return sum;
}

/* Proxies and bases as they are now; `when` ends their names. */
static ef_status add_stages(const ef_run *run, ef_outcome *o, const char *when) {
  for (size_t i = 0; i < o->clusters.count; i++) {
    ef_cost cost = proxy_cost(run, o, &o->clusters.clusters[i]);
    EF_TRY(ef_outcome_stage(run, o, o->clusters.clusters[i].validation, &cost, "proxy %zu%s", i, when));
  }
  for (size_t i = 0; i < o->bases.count; i++) {
    ef_cost cost = base_cost(run, o, i);
    EF_TRY(ef_outcome_stage(run, o, o->bases.bases[i].validation, &cost, "base %zu%s", i, when));
  }
  return EF_OK;
}

ef_status ef_deepfusion_stages(const ef_run *run, ef_outcome *o) {
  EF_TRY(add_stages(run, o, ""));
  o->cost = merged_cost(run, o);
  EF_TRY(ef_outcome_stage(run, o, o->tuned.before, &o->cost, "merged"));
  o->cost.total_steps += o->tuned.steps;
  o->cost.sequential_steps += o->tuned.steps;
  o->cost.server_tokens += ef_recipe_tokens(run->deck, o->tuned.steps);
  return EF_OK;
}

/* Sum over the devices of R |m_n| + |e_n| (Eq. 5 and deepfusion.md section 7; federation/upload.h). */
static void count_formula(const ef_run *run, ef_outcome *o) {
  for (size_t n = 0; n < o->devices.count; n++) {
    if (o->devices.records[n].state != EF_DEVICE_OK) continue;
    o->formula[EF_UP] += ef_upload_formula(run->deck, &o->population.dims[o->population.entry[n]]);
  }
}

/* ---- the method ---------------------------------------------------------------------------------------- */

static ef_status proxies(ef_run *run, ef_outcome *o) {
  EF_TRY(ef_proxies_make(run, &o->population, &o->devices, &o->clusters, &o->ledger));
  return ef_generated_on(run->deck) ? ef_generated_make(run, &o->population, &o->clusters) : EF_OK;
}

/* The rounds behind the first (federation.rounds): devices and bases go on from where they are. */
static ef_status more_rounds(ef_run *run, ef_outcome *o) {
  for (int64_t round = 1; round < run->deck->federation.rounds; round++) {
    char when[32];
    snprintf(when, sizeof when, ", round %lld", (long long)round);
    EF_TRY(ef_agree(run->par, add_stages(run, o, when)));
    EF_TRY(ef_devices_train_on(run, &o->population, &o->devices));
    ef_clusters_advance(run, &o->devices, &o->clusters);
    EF_TRY(proxies(run, o));
    EF_TRY(ef_bases_distil(run, &o->population, &o->clusters, &o->bases));
  }
  return EF_OK;
}

ef_status ef_deepfusion(ef_run *run, ef_outcome *o) {
  ef_part_key merged;
  EF_TRY(ef_agree(run->par, ef_outcome_open(run, o)));

  /* On the devices: common starts, local training, one upload each. */
  EF_TRY(ef_families_pretrain(run, &o->population));
  EF_TRY(ef_devices_train(run, &o->population, &o->devices));

  /* Phase I: knowledge clusters (Eq. 6) and one proxy for each. */
  EF_TRY(ef_clusters_assign(run, &o->population, &o->devices, &o->clusters));
  EF_TRY(proxies(run, o));

  /* Phase II: every proxy teaches a dense base (Eqs. 7 to 11). */
  EF_TRY(ef_base_start(run));
  EF_TRY(ef_bases_distil(run, &o->population, &o->clusters, &o->bases));
  EF_TRY(more_rounds(run, o));
  EF_TRY(ef_recipe_public_only(run, o));

  /* Phase III: the bases become one Mixture-of-Experts (Eqs. 12 and 13), which is tuned. */
  EF_TRY(ef_merged_make(run, &o->clusters, &o->bases, &merged));
  EF_TRY(tune(run, o, &merged));
  count_formula(run, o);
  return ef_agree(run->par, ef_deepfusion_stages(run, o));
}
