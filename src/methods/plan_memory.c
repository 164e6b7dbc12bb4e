#include "methods/plan_memory.h"

#include "fusion/generated.h"
#include "fusion/views.h"
#include "par/units.h"
#include <string.h>

/* What the encoder of data embeddings holds while devices are trained (federation/embedding.c). */
enum { ENCODER_BYTES = 2600000, LEAVES_MOST = 1 << 16 };

typedef struct planner {
  const ef_run *run;
  const ef_deck *deck;
  const ef_population *population;
  const ef_dims *global, *base;
  int ranks;
} planner;

static size_t largest(size_t a, size_t b) { return a > b ? a : b; }

/* ---- building blocks ---------------------------------------------------------------------------------- */

/* Bytes of a model, and of a trainer beside it when there is a recipe. */
static ef_status model_bytes(const ef_dims *dims, const ef_recipe *recipe, size_t extra, size_t *model,
                             size_t *trainer) {
  ef_model shape = {.dims = *dims};
  EF_TRY(ef_table_build(dims, 0, dims->E, &shape.table));
  *model = shape.table.floats * sizeof(float) + shape.table.count * (sizeof(ef_tensor) + sizeof(void *));
  if (recipe) *trainer = ef_trainer_bytes(&shape, recipe, extra);
  ef_table_free(&shape.table);
  return EF_OK;
}

static ef_status params_bytes(const ef_dims *dims, size_t *bytes) {
  return model_bytes(dims, NULL, 0, bytes, NULL);
}

/* The evaluator of ef_run_measure. */
static size_t measure_bytes(const planner *p, const ef_dims *dims) {
  size_t B = (size_t)p->deck->eval.batch, T = (size_t)p->deck->global.context;
  return ef_pass_bytes(dims, EF_PASS_EVAL, B, T, false) + B * T * (2 * sizeof(int32_t) + sizeof(float));
}

static const ef_stream *holdout(const planner *p) {
  return p->run->holdout.count >= 2 ? &p->run->holdout : NULL;
}

/* ---- starts and devices ------------------------------------------------------------------------------- */

/* A common start: pretraining on public text. */
static ef_status start_bytes(const planner *p, const ef_dims *dims, size_t steps, size_t context,
                             size_t *bytes) {
  ef_recipe recipe = {
      .steps = steps, .batch = (size_t)p->deck->federation.batch, .context = context, .holdout = holdout(p)};
  size_t model, trainer;
  EF_TRY(model_bytes(dims, &recipe, 0, &model, &trainer));
  *bytes = model + trainer;
  return EF_OK;
}

static ef_status families_bytes(const planner *p, size_t *bytes) {
  for (size_t i = 0; i < p->population->entries; i++) {
    size_t one;
    EF_TRY(start_bytes(p, &p->population->dims[i], (size_t)p->deck->federation.pretrain_steps,
                       (size_t)p->deck->federation.context, &one));
    *bytes = largest(*bytes, one);
  }
  return EF_OK;
}

static size_t device_tokens(const planner *p, size_t device) {
  const ef_tokens *t = &p->run->tokens;
  const size_t *documents;
  size_t n = ef_population_documents(p->population, device, &documents), tokens = 0;
  for (size_t i = 0; i < n; i++) tokens += (size_t)(t->offset[documents[i] + 1] - t->offset[documents[i]]);
  return tokens;
}

/* One device while it trains, and with what the server adds when it measures the upload. */
static ef_status device_bytes(const planner *p, size_t device, size_t *training, size_t *measured) {
  const ef_deck *d = p->deck;
  const ef_dims *dims = &p->population->dims[p->population->entry[device]];
  size_t tokens = device_tokens(p, device), model, trainer;
  ef_stream slice = {.count = (size_t)((double)tokens * d->federation.validation_share)};
  ef_recipe recipe = {.steps = (size_t)d->federation.steps,
                      .batch = (size_t)d->federation.batch,
                      .context = (size_t)d->federation.context,
                      .holdout = slice.count >= 2 ? &slice : NULL};
  EF_TRY(model_bytes(dims, &recipe, 0, &model, &trainer));
  *training = model + trainer + tokens * sizeof(int32_t);
  *measured = *training + ENCODER_BYTES + measure_bytes(p, dims);
  return EF_OK;
}

static ef_status devices_bytes(const planner *p, size_t *device, size_t *phase) {
  for (size_t n = 0; n < p->population->devices; n++) {
    size_t training, measured;
    if (p->population->fails[n]) continue;
    EF_TRY(device_bytes(p, n, &training, &measured));
    *device = largest(*device, training);
    *phase = largest(*phase, measured);
  }
  return EF_OK;
}

/* ---- fusion ------------------------------------------------------------------------------------------- */

static size_t text_bytes(const planner *p) {
  return ef_generated_on(p->deck) ? ef_generated_length(p->deck) * sizeof(int32_t) : 0;
}

/* What a proxy that writes holds beside itself: its text, a cache for samples side by side, their logits. */
static size_t writer_bytes(const planner *p, const ef_dims *proxy) {
  size_t T = (size_t)p->deck->federation.context;
  return text_bytes(p) + ef_pass_bytes(proxy, EF_PASS_CACHE, EF_GENERATED_ROWS, T, false) +
         EF_GENERATED_ROWS * (T * sizeof(int32_t) + proxy->V * sizeof(float)) + proxy->V * sizeof(double);
}

/* The root holds mean and upload, the message, and the model that it is read from; later proxy and evaluator,
 * or a proxy that writes.
 */
static ef_status proxies_bytes(const planner *p, size_t *bytes) {
  for (size_t i = 0; i < p->population->entries; i++) {
    size_t model;
    EF_TRY(params_bytes(&p->population->dims[i], &model));
    *bytes = largest(*bytes, largest(4 * model, model + measure_bytes(p, &p->population->dims[i])));
    if (ef_generated_on(p->deck)) *bytes = largest(*bytes, model + writer_bytes(p, &p->population->dims[i]));
  }
  return EF_OK;
}

/* A base and its trainer, its proxy, the proxy's pass, the loss on features and its taps, the evaluator at
 * the end.
 */
static ef_status distil_bytes(const planner *p, const ef_dims *proxy, size_t *bytes) {
  const ef_deck *d = p->deck;
  size_t B = (size_t)d->fusion.batch, T = (size_t)d->global.context, extra, features, model, trainer, teacher;
  ef_recipe recipe = {.steps = (size_t)d->fusion.steps, .batch = B, .context = T};
  ef_features_spec spec = ef_features_of(d, p->base->D, proxy->D);
  ef_features_size(&spec, B, T, &features, &extra);
  if (features) features += spec.shape.J * B * T * p->base->D * sizeof(float);
  EF_TRY(model_bytes(p->base, &recipe, extra, &model, &trainer));
  EF_TRY(params_bytes(proxy, &teacher));
  *bytes = model + trainer + features + teacher + text_bytes(p) +
           ef_pass_bytes(proxy, EF_PASS_EVAL, B, T, true) +
           largest(measure_bytes(p, p->base), ef_views_bytes(d, p->base->D, proxy->D));
  return EF_OK;
}

static ef_status distillation_bytes(const planner *p, size_t *bytes) {
  for (size_t i = 0; i < p->population->entries; i++) {
    size_t one;
    EF_TRY(distil_bytes(p, &p->population->dims[i], &one));
    *bytes = largest(*bytes, one);
  }
  return EF_OK;
}

/* The root holds all bases and the whole MoE, and a training pass of it where routers or scales are fitted.
 */
static ef_status merge_bytes(const planner *p, size_t *bytes) {
  const ef_deck *d = p->deck;
  size_t base, moe, K = (size_t)d->fusion.clusters, B = (size_t)d->tune.micro_batch,
                    T = (size_t)d->global.context;
  EF_TRY(params_bytes(p->base, &base));
  EF_TRY(params_bytes(p->global, &moe));
  *bytes = K * base + moe;
  if (strcmp(d->fusion.router, "prior") == 0 || d->fusion.scale) {
    *bytes +=
        ef_pass_bytes(p->global, EF_PASS_TRAIN, B, T, false) + 3 * K * B * T * p->global->D * sizeof(float);
  }
  return EF_OK;
}

/* ---- tuning ------------------------------------------------------------------------------------------- */

/* Open nodes over the leaves [first, first + span) of `units`, of which added[u] are there. */
static size_t open_nodes(const bool *added, size_t units, size_t first, size_t span) {
  if (first >= units) return 0;
  size_t end = first + span < units ? first + span : units, there = 0;
  for (size_t u = first; u < end; u++) there += added[u];
  if (there == 0) return 0;
  if (there == end - first) return 1;
  return open_nodes(added, units, first, span / 2) + open_nodes(added, units, first + span / 2, span / 2);
}

size_t ef_plan_tree_buffers(size_t units, int ranks, bool all) {
  bool added[LEAVES_MOST] = {false};
  size_t span = 1, most = 0, slots = (units + (size_t)ranks - 1) / (size_t)ranks;
  if (units > LEAVES_MOST) return 2; /* never less */
  while (span < units) span *= 2;
  for (size_t slot = 0; slot < slots; slot++) {
    size_t leaves = 0;
    for (int r = 0; r < (all ? ranks : 1); r++) {
      leaves += ef_block_first(units, ranks, r) + slot < ef_block_first(units, ranks, r + 1);
    }
    most = largest(most, open_nodes(added, units, 0, span) + leaves);
    for (int r = 0; r < (all ? ranks : 1); r++) {
      size_t unit = ef_block_first(units, ranks, r) + slot;
      if (unit < ef_block_first(units, ranks, r + 1)) added[unit] = true;
    }
  }
  return most;
}

/* Rows that rank 0 computes for itself and for others when every rank routes N rows evenly. */
static void exchanged_rows(const planner *p, size_t N, double *own, double *others) {
  size_t E = p->global->E, held = ef_block_first(E, p->ranks, 1);
  double share = E ? (double)held / (double)E : 0.0;
  *own = share * (double)N;
  *others = *own * (double)(p->ranks - 1);
}

/* Buffers of the exchange for micro-batches of `rows` tokens; they are made a quarter larger than the first
 * need. The busiest expert is taken to have twice its even share. */
static size_t exchange_bytes(const planner *p, size_t rows, bool train) {
  const ef_dims *g = p->global;
  size_t layers = train ? ef_dims_moe_count(g) : 1, N = rows * g->K;
  double own, others, D = (double)g->D, Fe = (double)g->Fe;
  exchanged_rows(p, N, &own, &others);
  double widest = (double)largest(1, 2 * N / largest(1, g->E)) * 3.0 * Fe;
  double kept = others * D + (train ? (own + others) * 3.0 * Fe : 0.0);
  double scratch = others * D * (train ? 2.0 : 1.0) + widest;
  return (size_t)(1.25 * ((double)layers * kept + scratch) * sizeof(float));
}

/* A pass whose experts are computed by the exchange: without the inner activations of the experts. */
static size_t spread_pass_bytes(const planner *p, ef_pass_kind kind, size_t B, size_t T) {
  const ef_dims *g = p->global;
  size_t rows = B * T, inner = kind == EF_PASS_TRAIN ? ef_dims_moe_count(g) * rows * g->K : rows;
  return ef_pass_bytes(g, kind, B, T, false) - inner * 3 * g->Fe * sizeof(float);
}

/* The proxies as teachers, each with a pass. Their families are not known yet: the largest stands for all. */
static ef_status mentors_bytes(const planner *p, size_t B, size_t T, size_t *bytes) {
  size_t most = 0;
  for (size_t i = 0; i < p->population->entries; i++) {
    size_t model;
    const ef_dims *dims = &p->population->dims[i];
    EF_TRY(params_bytes(dims, &model));
    most = largest(most, model + ef_pass_bytes(dims, EF_PASS_EVAL, B, T, false));
  }
  *bytes = (size_t)p->deck->fusion.clusters * most;
  return EF_OK;
}

static ef_status tune_bytes(const planner *p, size_t steps, bool mentors, bool train_experts, size_t *bytes) {
  const ef_deck *d = p->deck;
  const ef_dims *g = p->global;
  size_t B = (size_t)d->tune.micro_batch, T = (size_t)d->global.context, M = (size_t)d->tune.batch / B,
         teachers = 0;
  ef_table table;
  EF_TRY(ef_table_build(g, 0, ef_block_first(g->E, p->ranks, 1), &table));
  size_t shared = table.shared, routed = table.floats - table.shared, trained = train_experts ? routed : 0;
  ef_table_free(&table);
  size_t trees = shared * ef_plan_tree_buffers(M, p->ranks, false) +
                 (trained > 0 ? trained * ef_plan_tree_buffers(M, p->ranks, true) : 0);
  if (p->ranks > 1) trees += shared; /* segments that come from the others */
  size_t heads = 1 + ef_dims_exit_count(g);
  *bytes = (2 * (shared + routed) + 2 * (shared + trained) + trees + heads * B * T * g->D) * sizeof(float) +
           steps * EF_HISTORY_COLUMNS * sizeof(float);
  *bytes += spread_pass_bytes(p, EF_PASS_TRAIN, B, T) + exchange_bytes(p, B * T, true);
  size_t eval_rows = (size_t)d->eval.batch * T;
  *bytes +=
      spread_pass_bytes(p, EF_PASS_EVAL, (size_t)d->eval.batch, T) + exchange_bytes(p, eval_rows, false);
  if (mentors) EF_TRY(mentors_bytes(p, B, T, &teachers));
  *bytes += teachers;
  return EF_OK;
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

static ef_status fill(const planner *p, ef_plan_memory *m) {
  const ef_deck *d = p->deck;
  size_t steps = (size_t)d->tune.steps, control_steps = (size_t)d->control.public_steps, control = 0;
  if (control_steps == 0)
    control_steps = (size_t)(d->federation.rounds * d->fusion.clusters * d->fusion.steps) + steps;
  size_t bytes[EF_PLAN_PHASES] = {0};
  EF_TRY(families_bytes(p, &bytes[0]));
  EF_TRY(devices_bytes(p, &m->device_bytes, &bytes[1]));
  EF_TRY(proxies_bytes(p, &bytes[2]));
  EF_TRY(start_bytes(p, p->base, (size_t)d->global.pretrain_steps, (size_t)d->global.context, &bytes[3]));
  EF_TRY(distillation_bytes(p, &bytes[4]));
  EF_TRY(merge_bytes(p, &bytes[5]));
  EF_TRY(tune_bytes(p, steps, d->tune.kl > 0.0, d->tune.experts, &bytes[6]));
  bytes[6] += (size_t)d->fusion.clusters * text_bytes(p);
  if (d->control.public_only) EF_TRY(tune_bytes(p, control_steps, false, true, &control));
  bytes[6] = largest(bytes[6], control);
  const char *names[EF_PLAN_PHASES] = {"family starts", "local training", "proxies", "base start",
                                       "distillation",  "merge",          "tuning"};
  for (size_t i = 0; i < EF_PLAN_PHASES; i++) m->phases[i] = (ef_plan_phase){names[i], bytes[i]};
  return EF_OK;
}

ef_status ef_plan_memory_make(const ef_run *run, const ef_population *population, const ef_dims *global,
                              const ef_dims *base, int ranks, ef_plan_memory *memory) {
  planner p = {run, run->deck, population, global, base, ranks};
  *memory = (ef_plan_memory){0};
  return fill(&p, memory);
}
