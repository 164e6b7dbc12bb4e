#include "fusion/bases.h"

#include "base/memory.h"
#include "fusion/generated.h"
#include "fusion/merge.h"
#include "fusion/views.h"
#include "train/measure.h"
#include "train/pretrain.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char START_SECTIONS[] = "text,federation,global,eval" EF_BEFORE_DEVICES;
static const char SECTIONS[] = "text,federation,global,eval,fusion";

static ef_part_key start_key(void) {
  return (ef_part_key){.kind = EF_UNIT_BASE_START, .index = 0, .sections = START_SECTIONS};
}

static ef_part_key base_key(size_t unit) {
  return (ef_part_key){.kind = EF_UNIT_BASE, .index = unit, .sections = SECTIONS};
}

static size_t unit_of(const ef_bases *bases, size_t index) { return bases->round * bases->count + index; }

/* The deck has been checked: numbers that ascend below the number of layers. */
static ef_status set_exits(const ef_list *after, ef_dims *global) {
  for (size_t i = 0; i < after->count; i++) {
    EF_TRY(ef_dims_add_exit(global, (size_t)strtoul(after->items[i], NULL, 10)));
  }
  return EF_OK;
}

ef_status ef_global_dims(const ef_run *run, ef_dims *global, ef_dims *base) {
  const ef_deck *d = run->deck;
  ef_shape shape = {.V = run->tokens.vocabulary,
                    .D = (size_t)d->global.width,
                    .L = (size_t)d->global.layers,
                    .H = (size_t)d->global.heads,
                    .G = (size_t)(d->global.kv_heads ? d->global.kv_heads : d->global.heads),
                    .F = (size_t)d->global.dense_width,
                    .max_positions = (size_t)d->global.context,
                    .E = (size_t)d->global.experts,
                    .K = (size_t)d->global.top_k,
                    .Fe = (size_t)d->global.expert_width,
                    .Fs = (size_t)d->global.shared_width,
                    .dense_first = (size_t)d->global.dense_first};
  ef_family family;
  EF_TRY(EF_CHECK(ef_family_find(d->global.family, &family), EF_DECK, "global.family: unknown family %s",
                  d->global.family));
  if (ef_dims_make(family, &shape, global) != EF_OK) return ef_context(EF_DECK, "global");
  if (set_exits(&d->exits.after, global) != EF_OK) return ef_context(EF_DECK, "exits.after");
  global->embed_std = (float)d->global.embedding_std;
  global->aux = family == EF_QWEN2_MOE ? EF_AUX_POOLED : EF_AUX_SEQUENCE;
  global->aux_coef = (float)d->tune.aux;
  return ef_base_dims(global, (size_t)d->fusion.clusters, base);
}

/* ---- the common start ---------------------------------------------------------------------------------- */

static ef_status pretrain_start(void *ctx, size_t unit, ef_effort *effort) {
  (void)unit;
  ef_run *run = ctx;
  ef_part_key key = start_key();
  ef_dims global, base;
  EF_TRY(ef_global_dims(run, &global, &base));
  ef_start start = {.dims = &base,
                    .steps = (size_t)run->deck->global.pretrain_steps,
                    .context = (size_t)run->deck->global.context,
                    .lr = run->deck->global.pretrain_lr};
  return ef_pretrain_unit(run, &key, &start, effort);
}

ef_status ef_base_start(ef_run *run) {
  double cost = 1.0;
  int owner = 0;
  ef_phase phase = {"base start", 1, &cost, &owner, run, pretrain_start, EF_ON_SERVER};
  return ef_phase_run(run, &phase);
}

ef_status ef_base_start_load(const ef_run *run, ef_model *model) {
  ef_part_key key = start_key();
  ef_dims global, base;
  EF_TRY(ef_global_dims(run, &global, &base));
  return ef_part_load(run, &key, &base, model);
}

/* ---- distillation -------------------------------------------------------------------------------------- */

typedef struct base_context {
  ef_run *run;
  const ef_population *population;
  const ef_clusters *clusters;
  ef_bases *bases;
} base_context;

/* ---- records ------------------------------------------------------------------------------------------- */

enum { ROW_FIELDS = 6 };

static size_t view_cells(const ef_run *run) {
  return EF_VIEW_COUNT * (size_t)(run->deck->fusion.stages * run->deck->fusion.stages);
}

static size_t quality_fields(const ef_run *run) { return EF_QUALITY_FIELDS * run->tokens.domain_count; }

static void pack(void *ctx, size_t unit, double *row) {
  const base_context *c = ctx;
  const ef_base *b = &c->bases->bases[unit % c->bases->count];
  double fields[ROW_FIELDS] = {b->taught,     (double)b->steps, (double)b->kept,
                               b->start_loss, b->proxy_loss,    b->loss};
  memcpy(row, fields, sizeof fields);
  ef_quality_pack(b->validation, c->run->tokens.domain_count, row + ROW_FIELDS);
  memcpy(row + ROW_FIELDS + quality_fields(c->run), b->views, view_cells(c->run) * sizeof *row);
}

static void unpack(void *ctx, size_t unit, const double *row) {
  const base_context *c = ctx;
  ef_base *b = &c->bases->bases[unit % c->bases->count];
  b->taught = row[0] != 0.0;
  b->steps = (size_t)row[1];
  b->kept = (size_t)row[2];
  b->start_loss = row[3];
  b->proxy_loss = row[4];
  b->loss = row[5];
  ef_quality_unpack(row + ROW_FIELDS, c->run->tokens.domain_count, b->validation);
  memcpy(b->views, row + ROW_FIELDS + quality_fields(c->run), view_cells(c->run) * sizeof *row);
}

static ef_records records_of(base_context *c) {
  return (ef_records){
      .path = "/base/record",
      .description =
          "1 if the proxy taught, steps, kept step, holdout loss of start, proxy and base; "
          "validation nll, tokens, hits, bytes by domain; CKA (student's stage, teacher's stage) before "
          "and after, attention mass (teacher's stage, student's stage) before and after",
      .width = ROW_FIELDS + quality_fields(c->run) + view_cells(c->run),
      .ctx = c,
      .pack = pack,
      .unpack = unpack};
}

/* ---- one base ------------------------------------------------------------------------------------------ */

static ef_recipe recipe_of(const ef_run *run) {
  const ef_deck *d = run->deck;
  return (ef_recipe){.steps = (size_t)d->fusion.steps,
                     .batch = (size_t)d->fusion.batch,
                     .context = (size_t)d->global.context,
                     .lr = d->fusion.lr,
                     .min_lr = d->fusion.min_lr,
                     .decay = d->fusion.weight_decay,
                     .clip = d->fusion.clip,
                     .warmup = (size_t)d->fusion.warmup,
                     .soft = ef_generated_on(d) && !d->fusion.generated_ce};
}

/* `generated` NULL: none. */
static ef_source source_of(const ef_run *run, const ef_cluster *cluster, size_t unit,
                           const ef_stream *generated) {
  return (ef_source){.generated = generated,
                     .generated_share = run->deck->fusion.generated_share,
                     .general = &run->public_text,
                     .own = &run->public_by_domain[cluster->domain],
                     .own_share = run->deck->fusion.own_share,
                     .seed = (uint64_t)run->deck->run.seed,
                     .unit = ef_unit(EF_UNIT_BASE, unit)};
}

/* By the proxy, or without a teacher where it is NULL. */
static ef_status distil(base_context *c, size_t index, ef_model *base, ef_model *proxy, ef_effort *effort) {
  ef_run *run = c->run;
  ef_base *b = &c->bases->bases[index];
  size_t unit = unit_of(c->bases, index);
  ef_part_key key = base_key(unit);
  ef_recipe recipe = recipe_of(run);
  ef_stream generated = {0};
  ef_distiller distiller = {0};
  ef_trainer trainer = {0};
  ef_objective objective = {0};
  ef_records records = records_of(c);
  ef_status status = EF_OK;
  if (proxy && ef_generated_on(run->deck)) EF_GO(ef_generated_load(run, c->clusters, index, 1, &generated));
  ef_source source = source_of(run, &c->clusters->clusters[index], unit, generated.ids ? &generated : NULL);
  if (proxy) {
    EF_GO(ef_distiller_create(run, proxy, &base->dims, ef_unit(EF_UNIT_BASE, unit), &distiller));
    objective = ef_distiller_objective(&distiller);
  }
  EF_GO(ef_trainer_create(base, run->kernels, &recipe, &source, &objective, &trainer));
  if (proxy) EF_GO(ef_views_measure(run, &distiller, base, trainer.pass, true, b->views));
  EF_GO(ef_trainer_walk(run, &key, &trainer));
  if (proxy) EF_GO(ef_views_measure(run, &distiller, base, trainer.pass, false, b->views));
  b->steps += trainer.step;
  b->kept = trainer.best_step ? trainer.best_step : trainer.step;
  EF_GO(ef_run_measure(run, base, &b->loss, b->validation));
  EF_GO(ef_trainer_finish(run, &key, &trainer, &records));
done:
  run->steps += trainer.step;
  ef_effort_add(effort, &trainer);
  if (b->taught) ef_effort_add_teacher(effort, &trainer, &proxy->dims);
  ef_trainer_free(&trainer);
  ef_distiller_free(&distiller);
  ef_stream_free(&generated);
  return status;
}

/* Where base `index` begins in this round. */
static ef_status load_start(const base_context *c, size_t index, ef_model *base) {
  const ef_bases *bases = c->bases;
  if (bases->round == 0) return ef_base_start_load(c->run, base);
  ef_part_key key = base_key(unit_of(bases, index) - bases->count);
  return ef_part_load(c->run, &key, &bases->dims, base);
}

static ef_status run_base(void *ctx, size_t index, ef_effort *effort) {
  base_context *c = ctx;
  ef_run *run = c->run;
  ef_base *b = &c->bases->bases[index];
  ef_part_key key = base_key(unit_of(c->bases, index));
  if (ef_part_exists(run, &key)) {
    ef_records records = records_of(c);
    size_t before = b->steps;
    EF_TRY(ef_record_read(run, &key, &records));
    run->steps += b->steps - before;
    return EF_OK;
  }
  size_t domain = (size_t)c->clusters->clusters[index].domain;
  ef_model base = {0}, proxy = {0};
  ef_status status = EF_OK;
  EF_GO(load_start(c, index, &base));
  EF_GO(ef_proxy_load(run, c->population, c->clusters, index, &proxy));
  EF_GO(ef_run_domain_loss(run, &base, domain, &b->start_loss));
  EF_GO(ef_run_domain_loss(run, &proxy, domain, &b->proxy_loss));
  bool teaches = !run->deck->fusion.drop_weak || b->proxy_loss <= b->start_loss;
  b->taught = b->taught || teaches;
  EF_GO(distil(c, index, &base, teaches ? &proxy : NULL, effort));
done:
  ef_model_free(&base);
  ef_model_free(&proxy);
  return status == EF_OK || status == EF_STOPPED ? status : ef_context(status, "base %zu", index);
}

static ef_status allocate(const ef_run *run, size_t count, ef_bases *bases) {
  *bases = (ef_bases){.count = count};
  EF_TRY(EF_NEW(bases->bases, count));
  for (size_t i = 0; i < count; i++) {
    EF_TRY(EF_NEW(bases->bases[i].validation, run->tokens.domain_count));
    EF_TRY(EF_NEW(bases->bases[i].views, view_cells(run)));
  }
  return ef_global_dims(run, &bases->global, &bases->dims);
}

void ef_bases_free(ef_bases *bases) {
  for (size_t i = 0; bases->bases && i < bases->count; i++) {
    ef_free(bases->bases[i].validation);
    ef_free(bases->bases[i].views);
  }
  ef_free(bases->bases);
  *bases = (ef_bases){0};
}

ef_status ef_bases_distil(ef_run *run, const ef_population *population, const ef_clusters *clusters,
                          ef_bases *bases) {
  base_context context = {run, population, clusters, bases};
  ef_records records = records_of(&context);
  double *cost = NULL;
  int *owner = NULL;
  ef_status status = EF_OK;
  if (clusters->round == 0) EF_GO(ef_agree(run->par, allocate(run, clusters->count, bases)));
  bases->round = clusters->round;
  EF_GO(ef_agree(run->par, EF_NEW(cost, clusters->count)));
  EF_GO(ef_agree(run->par, EF_NEW(owner, clusters->count)));
  for (size_t i = 0; i < clusters->count; i++) {
    cost[i] = ef_train_cost(&bases->dims, 3, 1, 1) +
              ef_train_cost(&population->dims[clusters->clusters[i].entry], 1, 1, 1);
  }
  ef_phase phase = {"distillation", clusters->count, cost, owner, &context, run_base, EF_ON_SERVER};
  EF_GO(ef_phase_run(run, &phase));
  EF_GO(ef_records_share(run, &records, clusters->count, owner));
done:
  ef_free(cost);
  ef_free(owner);
  return status;
}

ef_status ef_base_load(const ef_run *run, const ef_bases *bases, size_t index, ef_model *model) {
  ef_part_key key = base_key(unit_of(bases, index));
  return ef_part_load(run, &key, &bases->dims, model);
}
