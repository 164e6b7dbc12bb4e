#include "fusion/tune.h"

#include "base/memory.h"
#include "fusion/tune_internal.h"
#include "step/optimiser.h"
#include "step/shard.h"
#include "train/block_file.h"
#include "train/events.h"
#include "train/measure.h"
#include "train/schedule.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- set-up -------------------------------------------------------------------------------------------- */

static ef_status allocate_results(const ef_run *run, const ef_tuning *tuning, ef_tuned *tuned) {
  const ef_dims *global = tuning->global;
  *tuned = (ef_tuned){.start_loss = NAN, .loss = NAN};
  EF_TRY(EF_NEW(tuned->before, run->tokens.domain_count));
  EF_TRY(EF_NEW(tuned->after, run->tokens.domain_count));
  EF_TRY(EF_NEW(tuned->load, ef_dims_moe_count(global) * global->E));
  if (tuning->unit != EF_UNIT_TUNE || run->deck->eval.windows > 0) return EF_OK;
  return ef_documents_make(&run->tokens, EF_VALIDATION, &tuned->documents);
}

void ef_tuned_free(ef_tuned *tuned) {
  ef_free(tuned->before);
  ef_free(tuned->after);
  ef_free(tuned->load);
  ef_documents_free(&tuned->documents);
  *tuned = (ef_tuned){0};
}

static ef_status load_source(ef_tuner *t) {
  EF_TRY(ef_model_source_make(&t->shard, &t->source));
  return ef_tokens_tokenizer(&t->run->tokens, &t->source.tokenizer, &t->source.tokenizer_bytes);
}

/* One weight of the deck stands for all exits, none for 0.3. */
static ef_status read_exit_weights(ef_tuner *t) {
  const ef_list *given = &t->run->deck->exits.weights;
  size_t exits = ef_dims_exit_count(&t->shard.dims);
  EF_TRY(EF_NEW(t->exit_weights, exits));
  for (size_t e = 0; e < exits; e++) {
    const char *text = given->count > 0 ? given->items[given->count > 1 ? e : 0] : NULL;
    t->exit_weights[e] = text ? strtof(text, NULL) : 0.3f;
  }
  return EF_OK;
}

/* This rank's shard of the start: all shared tensors and the experts that it holds. */
static ef_status load_start(ef_tuner *t) {
  ef_h5 *file = NULL;
  EF_TRY(ef_part_open(t->run, &t->tuning->start, false, &file));
  ef_status status = ef_shard_create(t->run->par, t->tuning->global, &t->shard);
  if (status == EF_OK) status = ef_block_read(file, "/model", &t->shard.table, true, t->shard.params);
  ef_h5_close(file);
  return status;
}

/* A running average begins with the start. */
static ef_status create_average(ef_tuner *t) {
  size_t floats = t->shard.table.floats;
  if (t->run->deck->tune.average == 0.0) return EF_OK;
  EF_TRY(EF_NEW(t->average, floats));
  memcpy(t->average, t->shard.params, floats * sizeof(float));
  return EF_OK;
}

/* What each rank does alone; failures are agreed on by the caller. */
static ef_status create_local(ef_tuner *t) {
  EF_TRY(load_start(t));
  EF_TRY(load_source(t));
  EF_TRY(read_exit_weights(t));
  EF_TRY(create_average(t));
  EF_TRY(ef_history_create(t->steps, &t->history));
  return EF_NEW(t->best, t->shard.table.floats);
}

static ef_status create(ef_tuner *t) {
  ef_run *run = t->run;
  const ef_deck *deck = run->deck;
  EF_TRY(ef_agree(run->par, create_local(t)));
  ef_step_shape shape = {
      .B = t->B, .T = t->T, .M = (size_t)deck->tune.batch / t->B, .train_experts = t->tuning->train_experts};
  EF_TRY(ef_step_create(run->par, run->kernels, &t->shard, &shape, &t->step_engine));
  return ef_spread_create(run->par, run->kernels, &t->shard, (size_t)deck->eval.batch, t->T, &t->spread);
}

static void release(ef_tuner *t) {
  ef_spread_free(&t->spread);
  ef_step_free(t->step_engine);
  ef_model_source_free(&t->source);
  ef_model_free(&t->shard);
  ef_history_free(&t->history);
  ef_free(t->exit_weights);
  ef_free(t->best);
  ef_free(t->average);
}

/* ---- measuring ----------------------------------------------------------------------------------------- */

static ef_status holdout_loss(ef_tuner *t, double *loss) {
  const ef_run *run = t->run;
  size_t most;
  const ef_stream *stream = ef_run_look_at(run, &run->holdout, &most);
  ef_quality quality;
  EF_TRY(ef_spread_evaluate(&t->spread, stream, most, &quality));
  *loss = ef_log_perplexity(&quality);
  return EF_OK;
}

static ef_status validate(ef_tuner *t, ef_quality *by_domain) {
  const ef_run *run = t->run;
  for (size_t d = 0; d < run->tokens.domain_count; d++) {
    EF_TRY(
        ef_spread_evaluate(&t->spread, &run->validation[d], (size_t)run->deck->eval.windows, &by_domain[d]));
  }
  return EF_OK;
}

/* The final model, by domain and by document. */
static ef_status validate_documents(ef_tuner *t) {
  const ef_run *run = t->run;
  for (size_t d = 0; d < run->tokens.domain_count; d++) {
    ef_documents own = ef_documents_of(&t->tuned->documents, d);
    EF_TRY(ef_spread_documents(&t->spread, &run->validation[d], &own, &t->tuned->after[d]));
  }
  return EF_OK;
}

/* Keeps the parameters if the holdout loss is the least so far. */
static void keep_best(ef_tuner *t, double loss) {
  if (!(loss < t->best_loss)) return;
  t->best_loss = loss;
  t->best_step = t->step;
  memcpy(t->best, t->shard.params, t->shard.table.floats * sizeof(float));
}

/* The average takes the place of the parameters, or gives it back. */
static void swap_average(ef_tuner *t) {
  if (!t->average) return;
  float *params = t->shard.params;
  t->shard.params = t->average;
  t->average = params;
}

static ef_status look(ef_tuner *t, float *row) {
  double loss;
  swap_average(t);
  ef_status status = holdout_loss(t, &loss);
  if (status == EF_OK) keep_best(t, loss);
  swap_average(t);
  EF_TRY(status);
  row[EF_HISTORY_HOLDOUT] = (float)loss;
  return EF_OK;
}

/* The parameters that the training is for: the best by the holdout, or the average, or the last. */
static void take_kept(ef_tuner *t) {
  const float *kept = ef_tuner_has_best(t) ? t->best : t->average;
  if (kept) memcpy(t->shard.params, kept, t->shard.table.floats * sizeof(float));
}

/* A training that ends a run may find nothing better than its start. One in between must move on, for experts
 * that are copies of each other would stay so; and early exits have learnt nothing at the start. */
static bool start_counts(const ef_tuner *t) {
  bool last = t->tuning->unit == EF_UNIT_TUNE || t->tuning->unit == EF_UNIT_PUBLIC_ONLY;
  return last && ef_dims_exit_count(&t->shard.dims) == 0;
}

static ef_status measure_start(ef_tuner *t) {
  EF_TRY(holdout_loss(t, &t->tuned->start_loss));
  if (start_counts(t)) keep_best(t, t->tuned->start_loss);
  return validate(t, t->tuned->before);
}

/* ---- steps --------------------------------------------------------------------------------------------- */

static ef_status next_batch(void *ctx, size_t micro, int32_t *ids, int32_t *targets) {
  const ef_tuner *t = ctx;
  return t->tuning->feed->batch(t->tuning->feed->ctx, t->step, micro, ids, targets);
}

static ef_step_spec spec_of(const ef_tuner *t) {
  const ef_deck *d = t->run->deck;
  const ef_feed *feed = t->tuning->feed;
  ef_schedule schedule = {d->tune.lr, d->tune.min_lr, (size_t)d->tune.warmup, t->steps};
  float mean = 1.0f / (float)((size_t)d->tune.batch * t->T);
  return (ef_step_spec){
      .labels = feed->labels,
      .ce_scale = feed->ce * mean,
      .kl_scale = feed->kl * mean,
      .tau = feed->tau,
      .teacher = feed->teacher,
      .exit_weights = t->exit_weights,
      .adamw = ef_adamw_of(ef_schedule_lr(&schedule, t->step), d->tune.weight_decay, t->step + 1),
      .clip = d->tune.clip};
}

/* Mean over the exits of their cross-entropy, NAN without exits. */
static float exits_loss(const ef_tuner *t, const ef_step_result *result) {
  size_t exits = ef_dims_exit_count(&t->shard.dims);
  double sum = 0.0;
  for (size_t e = 0; e < exits; e++) sum += result->exit_ce[e];
  return exits > 0 ? (float)(sum / (double)(exits * result->loss.tokens)) : NAN;
}

static void average_step(ef_tuner *t) {
  const ef_kernels *k = t->run->kernels;
  float decay = (float)t->run->deck->tune.average;
  size_t floats = t->shard.table.floats;
  if (!t->average) return;
  k->scale(floats, decay, t->average);
  k->axpy(floats, 1.0f - decay, t->shard.params, t->average);
}

static ef_status one_step(ef_tuner *t) {
  ef_step_spec spec = spec_of(t);
  ef_batches batches = {t, next_batch};
  ef_step_result result = {0};
  EF_TRY(ef_step_run(t->step_engine, &batches, &spec, &result));
  average_step(t);
  float *row = t->history.rows[t->step];
  double tokens = (double)result.loss.tokens;
  row[EF_HISTORY_CE] = (float)(result.loss.ce / tokens);
  row[EF_HISTORY_KL] = t->tuning->feed->teacher ? (float)(result.loss.kl / tokens) : NAN;
  row[EF_HISTORY_EXITS] = exits_loss(t, &result);
  row[EF_HISTORY_FM] = row[EF_HISTORY_HOLDOUT] = NAN;
  t->history.count = ++t->step;
  if (t->step % (size_t)t->run->deck->eval.look_every == 0 || t->step == t->steps) EF_TRY(look(t, row));
  ef_progress_step(t->run, t->tuning->name, t->step, t->steps, (double)row[EF_HISTORY_CE]);
  ef_stop_reached(&t->run->stop, t->tuning->name, t->step, t->steps);
  return EF_OK;
}

/* All ranks save together, so they ask together: the root's clock decides. */
static ef_status save_due(ef_tuner *t, bool *due) {
  *due = ef_par_root(t->run->par) && ef_run_checkpoint_due(t->run);
  return ef_bcast(t->run->par, 0, due, sizeof *due);
}

static ef_status walk(ef_tuner *t) {
  while (t->step < t->steps) {
    bool stop, due;
    ef_status status = one_step(t);
    if (status != EF_OK) return ef_context(status, "%s", t->tuning->name);
    EF_TRY(ef_stop_now(&t->run->stop, t->run->par, &stop));
    EF_TRY(save_due(t, &due));
    if (t->step == t->steps) break;
    if (stop || due) EF_TRY(ef_tuner_save(t, false));
    t->run->stopping = stop;
    if (stop) return EF_STOPPED;
  }
  take_kept(t);
  return EF_OK;
}

static ef_status train(ef_tuner *t) {
  ef_tuned *tuned = t->tuned;
  if (t->step == 0) EF_TRY(measure_start(t));
  EF_TRY(walk(t));
  EF_TRY(tuned->documents.count > 0 ? validate_documents(t) : validate(t, tuned->after));
  EF_TRY(holdout_loss(t, &tuned->loss));
  EF_TRY(ef_spread_load(&t->spread, tuned->load));
  return ef_tuner_save(t, true);
}

static ef_effort effort_of(const ef_tuner *t) {
  size_t steps = t->step - t->restored, tokens = steps * (size_t)t->run->deck->tune.batch * t->T;
  bool root = ef_par_root(t->run->par);
  if (!root) return (ef_effort){0};
  double flops = ef_dims_flops_per_token(&t->shard.dims, t->T);
  return (ef_effort){(double)tokens, (double)tokens * flops, (double)steps};
}

ef_part_key ef_tuning_part(const ef_tuning *tuning) {
  return (ef_part_key){.kind = tuning->unit, .index = tuning->index, .sections = tuning->sections};
}

ef_status ef_tune(ef_run *run, const ef_tuning *tuning, ef_tuned *tuned) {
  const ef_deck *deck = run->deck;
  ef_lap lap = ef_lap_begin(run);
  ef_tuner t = {.run = run,
                .tuning = tuning,
                .key = ef_tuning_part(tuning),
                .B = (size_t)deck->tune.micro_batch,
                .T = (size_t)deck->global.context,
                .steps = tuning->steps,
                .best_loss = INFINITY,
                .tuned = tuned};
  ef_status status = EF_OK;
  EF_GO(ef_agree(run->par, allocate_results(run, tuning, tuned)));
  EF_GO(create(&t));
  EF_GO(ef_tuner_restore(&t));
  if (!t.finished)
    status = train(&t);
  else if (tuned->documents.count > 0)
    status = validate_documents(&t);
  tuned->steps = t.step;
  tuned->kept = t.best_step;
  if (t.finished) tuned->loss = t.best_loss;
  ef_effort effort = effort_of(&t);
  if (status == EF_OK || status == EF_STOPPED) {
    ef_place place = tuning->unit == EF_UNIT_PUBLIC_ONLY ? EF_IN_CONTROL : EF_ON_SERVER;
    ef_status logged = ef_event_phase(run, tuning->name, place, &lap, &effort);
    if (status == EF_OK) status = logged;
  }
  if (ef_par_root(run->par)) run->steps += t.step;
done:
  release(&t);
  if (status == EF_STOPPED) return ef_run_meet(run, EF_STOPPED);
  return status;
}
