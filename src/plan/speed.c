#include "plan/speed.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/sort.h"
#include "step/optimiser.h"
#include "step/shard.h"
#include "step/step.h"
#include "train/source.h"
#include "train/spread.h"
#include "train/trainer.h"
#include <math.h>
#include <unistd.h>

enum { WARMING = 2, TIMED = 5, STEPS = WARMING + TIMED };

/* A step that takes longer than this is timed once. Seconds. */
static const double LONG = 2.0;

/* Seconds since `start` of the slowest rank. */
static ef_status slowest(const ef_run *run, double start, double *seconds) {
  int64_t most;
  EF_TRY(ef_most(run->par, (int64_t)((ef_clock() - start) * 1e9), &most));
  *seconds = 1e-9 * (double)most;
  return EF_OK;
}

/* One step of what is timed, number 0 .. STEPS-1. */
typedef ef_status step_fn(void *ctx, size_t step);

static ef_status time_steps(const ef_run *run, step_fn *step, void *ctx, double *median) {
  double seconds[TIMED], one = 0.0;
  size_t timed = 0;
  for (size_t i = 0; i < STEPS && !(timed > 0 && one > LONG); i++) {
    EF_TRY(ef_barrier(run->par));
    double start = ef_clock();
    ef_status status = step(ctx, i);
    EF_TRY(ef_agree(run->par, status));
    EF_TRY(slowest(run, start, &one));
    if (i >= WARMING || one > LONG) seconds[timed++] = one;
  }
  *median = ef_median(seconds, timed);
  return EF_OK;
}

/* ---- a model on one rank ------------------------------------------------------------------------------- */

static ef_status trainer_step(void *ctx, size_t step) {
  (void)step;
  return ef_trainer_step(ctx);
}

static ef_status time_training(const ef_run *run, ef_model *model, const ef_recipe *recipe, double *seconds) {
  const ef_source source = {.general = &run->public_text, .seed = (uint64_t)run->deck->run.seed};
  ef_trainer trainer = {0};
  ef_status status = ef_trainer_create(model, run->kernels, recipe, &source, NULL, &trainer);
  EF_GO(ef_agree(run->par, status));
  EF_GO(time_steps(run, trainer_step, &trainer, seconds));
done:
  ef_trainer_free(&trainer);
  return status;
}

typedef struct reading {
  const ef_run *run;
  const ef_model *model;
  ef_evaluator evaluator;
} reading;

static ef_status read_batch(void *ctx, size_t step) {
  reading *r = ctx;
  ef_quality quality;
  (void)step;
  return ef_evaluate(&r->evaluator, r->model, &r->run->public_text, r->evaluator.B, &quality);
}

/* Windows that are read at once: never more than there are. */
static size_t windows_at_once(const ef_run *run, size_t batch, size_t context) {
  size_t windows = ef_stream_windows(&run->public_text, context);
  return windows < batch ? windows : batch;
}

static ef_status time_reading(const ef_run *run, const ef_model *model, size_t context, double *seconds) {
  size_t batch = windows_at_once(run, (size_t)run->deck->eval.batch, context);
  reading r = {.run = run, .model = model};
  ef_status status = ef_evaluator_create(&model->dims, run->kernels, batch, context, NULL, &r.evaluator);
  EF_GO(ef_agree(run->par, status));
  EF_GO(time_steps(run, read_batch, &r, seconds));
  *seconds /= (double)batch;
done:
  ef_evaluator_free(&r.evaluator);
  return status;
}

static ef_status time_model(const ef_run *run, const ef_dims *dims, size_t context, ef_rate *rate) {
  const ef_recipe recipe = {
      .steps = STEPS, .batch = (size_t)run->deck->federation.batch, .context = context, .clip = 1.0};
  ef_model model = {0};
  ef_status status = ef_model_create(dims, &model);
  EF_GO(ef_agree(run->par, status));
  ef_model_init(&model, (uint64_t)run->deck->run.seed, 0);
  EF_GO(time_training(run, &model, &recipe, &rate->step));
  EF_GO(time_reading(run, &model, context, &rate->window));
done:
  ef_model_free(&model);
  return status;
}

/* ---- the global model on all ranks --------------------------------------------------------------------- */

typedef struct stepping {
  const ef_run *run;
  ef_step *step;
  size_t number, B, T;
} stepping;

static ef_status next_batch(void *ctx, size_t micro, int32_t *ids, int32_t *targets) {
  const stepping *s = ctx;
  const ef_source source = {.general = &s->run->public_text, .seed = (uint64_t)s->run->deck->run.seed};
  return ef_source_sample(&source, s->number, micro * s->B, s->B, s->T, ids, targets);
}

static ef_status shared_step(void *ctx, size_t number) {
  stepping *s = ctx;
  const ef_batches batches = {s, next_batch};
  const ef_deck *d = s->run->deck;
  const ef_step_spec spec = {.ce_scale = 1.0f / (float)((size_t)d->tune.batch * s->T),
                             .adamw = ef_adamw_of(0.0, 0.0, number + 1),
                             .clip = 1.0};
  ef_step_result result;
  s->number = number;
  return ef_step_run(s->step, &batches, &spec, &result);
}

static ef_status time_shared_training(const ef_run *run, ef_model *shard, double *seconds) {
  const ef_deck *d = run->deck;
  stepping s = {.run = run, .B = (size_t)d->tune.micro_batch, .T = (size_t)d->global.context};
  const ef_step_shape shape = {.B = s.B, .T = s.T, .M = (size_t)d->tune.batch / s.B, .train_experts = true};
  EF_TRY(ef_step_create(run->par, run->kernels, shard, &shape, &s.step));
  ef_status status = time_steps(run, shared_step, &s, seconds);
  ef_step_free(s.step);
  return status;
}

typedef struct shared_reading {
  const ef_run *run;
  ef_spread spread;
  size_t windows;
} shared_reading;

static ef_status read_shared(void *ctx, size_t step) {
  shared_reading *r = ctx;
  ef_quality quality;
  (void)step;
  return ef_spread_evaluate(&r->spread, &r->run->public_text, r->windows, &quality);
}

static ef_status time_shared_reading(const ef_run *run, const ef_model *shard, double *seconds) {
  size_t T = (size_t)run->deck->global.context, batch = (size_t)run->deck->eval.batch;
  shared_reading r = {.run = run};
  r.windows = windows_at_once(run, batch * (size_t)run->par->size, T);
  EF_TRY(ef_spread_create(run->par, run->kernels, shard, batch, T, &r.spread));
  ef_status status = time_steps(run, read_shared, &r, seconds);
  *seconds /= (double)r.windows;
  ef_spread_free(&r.spread);
  return status;
}

static ef_status time_shared(const ef_run *run, const ef_dims *global, ef_rate *rate) {
  ef_model shard = {0};
  ef_status status = ef_shard_create(run->par, global, &shard);
  EF_GO(ef_agree(run->par, status));
  ef_model_init(&shard, (uint64_t)run->deck->run.seed, 0);
  EF_GO(time_shared_training(run, &shard, &rate->step));
  EF_GO(time_shared_reading(run, &shard, &rate->window));
done:
  ef_model_free(&shard);
  return status;
}

/* ---- the optimiser ------------------------------------------------------------------------------------- */

typedef struct optimiser {
  const ef_kernels *k;
  size_t n;
  float *p, *g, *m, *v; /* (n) */
} optimiser;

static ef_status adam_step(void *ctx, size_t step) {
  const optimiser *o = ctx;
  const ef_adamw adamw = ef_adamw_of(0.0, 0.0, step + 1);
  o->k->adamw(&adamw, o->n, o->p, o->g, o->m, o->v);
  return EF_OK;
}

static ef_status time_adam(const ef_run *run, size_t n, double *seconds) {
  optimiser o = {.k = run->kernels, .n = n};
  float *block = NULL;
  ef_status status = EF_NEW(block, 4 * n);
  EF_GO(ef_agree(run->par, status));
  o.p = block;
  o.g = block + n;
  o.m = block + 2 * n;
  o.v = block + 3 * n;
  EF_GO(time_steps(run, adam_step, &o, seconds));
  *seconds /= (double)n;
done:
  ef_free(block);
  return status;
}

/* ---- all of them --------------------------------------------------------------------------------------- */

static ef_status measure(const ef_planner *p, ef_speeds *speeds) {
  const ef_run *run = p->run;
  size_t own = (size_t)p->deck->federation.context, global = (size_t)p->deck->global.context;
  EF_TRY(ef_agree(run->par, EF_NEW(speeds->family, p->population->entries)));
  for (size_t i = 0; p->method->does & EF_DOES_LOCAL && i < p->population->entries; i++) {
    EF_TRY(time_model(run, &p->population->dims[i], own, &speeds->family[i]));
  }
  EF_TRY(time_model(run, &p->base, global, &speeds->base));
  if (p->method->does & EF_DOES_ROUNDS) EF_TRY(time_model(run, &p->local, global, &speeds->local));
  EF_TRY(time_adam(run, ef_dims_params(&p->global), &speeds->adam));
  return time_shared(run, &p->global, &speeds->shared);
}

ef_status ef_speeds_measure(const ef_planner *p, ef_speeds *speeds) {
  *speeds = (ef_speeds){.ranks = p->run->par->size};
  ef_status status = measure(p, speeds);
  if (status != EF_OK) ef_speeds_free(speeds);
  return status;
}

/* ---- another layout ------------------------------------------------------------------------------------ */

static void scale(ef_rate *rate, double factor) {
  rate->step *= factor;
  rate->window *= factor;
}

double ef_plan_crowd(const ef_planner *p, int working) {
  double cores = (double)sysconf(_SC_NPROCESSORS_ONLN), of_node = ceil((double)working / p->nodes);
  return cores > 0.0 && of_node > cores ? of_node / cores : 1.0;
}

/* A sum moves three numbers where AdamW moves seven. */
static const double SUM_BY_ADAM = 3.0 / 7.0;

static ef_status spread_step(const ef_planner *p, const ef_interconnect *network, double wait, ef_speeds *s) {
  const ef_deck *d = p->deck;
  const ef_step_shape shape = {.B = (size_t)d->tune.micro_batch,
                               .T = (size_t)d->global.context,
                               .M = (size_t)(d->tune.batch / d->tune.micro_batch),
                               .train_experts = true};
  ef_table table;
  EF_TRY(ef_table_build(&p->global, 0, ef_dims_held(&p->global), &table));
  double micro = (s->shared.step - s->adam * (double)table.floats) / (double)shape.M;
  const ef_step_work work = {.micro = wait * (micro > 0.0 ? micro : 0.0),
                             .adam = wait * s->adam,
                             .sum = wait * SUM_BY_ADAM * s->adam};
  s->shared.step = ef_step_time_of(&p->global, &table, &shape, p->ranks, p->nodes, network, &work).seconds;
  ef_table_free(&table);
  return EF_OK;
}

ef_status ef_speeds_spread(const ef_planner *p, const ef_interconnect *network, ef_speeds *s) {
  s->crowd = ef_plan_crowd(p, p->ranks);
  if (p->ranks == s->ranks) return EF_OK;
  double wait = s->crowd;
  EF_TRY(spread_step(p, network, wait, s));
  for (size_t i = 0; i < p->population->entries; i++) scale(&s->family[i], wait);
  scale(&s->base, wait);
  scale(&s->local, wait);
  s->shared.window *= wait / (double)p->ranks;
  s->ranks = p->ranks;
  return EF_OK;
}

void ef_speeds_free(ef_speeds *speeds) {
  ef_free(speeds->family);
  *speeds = (ef_speeds){0};
}
