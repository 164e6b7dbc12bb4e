/* Seconds of each phase: its steps and looks, times the rates that were measured. Units are dealt as
 * ef_balance deals them, and the busiest rank counts. */
#include "base/memory.h"
#include "federation/local.h"
#include "fusion/answers.h"
#include "fusion/generated.h"
#include "methods/recipes.h"
#include "par/units.h"
#include "plan/plan_internal.h"
#include "rivals/rounds.h"
#include "rivals/transfer.h"
#include "train/measure.h"
#include "train/pretrain.h"

/* ---- building blocks ----------------------------------------------------------------------------------- */

static double looks(size_t steps, int64_t every) {
  size_t count = (steps + (size_t)every - 1) / (size_t)every;
  return (double)count;
}

static size_t at_most(size_t windows, size_t most) { return most > 0 && windows > most ? most : windows; }

static double holdout_windows(const ef_planner *p, size_t context) {
  size_t most;
  const ef_stream *stream = ef_run_look_at(p->run, &p->run->holdout, &most);
  return (double)at_most(ef_stream_windows(stream, context), most);
}

static double validation_windows(const ef_planner *p) {
  size_t sum = 0, context = (size_t)p->deck->global.context, most = (size_t)p->deck->eval.windows;
  for (size_t d = 0; d < p->run->tokens.domain_count; d++) {
    sum += at_most(ef_stream_windows(&p->run->validation[d], context), most);
  }
  return (double)sum;
}

/* ef_run_measure. */
static double measure(const ef_planner *p, const ef_rate *rate, bool validation) {
  double windows = holdout_windows(p, (size_t)p->deck->global.context);
  return rate->window * (windows + (validation ? validation_windows(p) : 0.0));
}

/* ef_pretrain_unit. */
static double pretraining(const ef_planner *p, const ef_rate *rate, int64_t steps, int64_t context) {
  size_t windows = p->run->holdout.count < 2 ? 0 : ef_stream_windows(&p->run->holdout, (size_t)context);
  double look = rate->window * (double)at_most(windows, EF_PRETRAIN_LOOK);
  return (double)steps * rate->step + looks((size_t)steps, p->deck->eval.look_every) * look;
}

/* A training on a device by ef_local_recipe: its looks are at a slice of its own text. */
static double local_training(const ef_planner *p, size_t device, const ef_rate *rate, size_t steps,
                             int64_t context) {
  const ef_stream slice = {.count = ef_local_slice(p->deck, ef_local_tokens(p->run, p->population, device))};
  size_t windows = slice.count < 2 ? 0 : ef_stream_windows(&slice, (size_t)context);
  double look = rate->window * (double)at_most(windows, EF_LOCAL_LOOK);
  return (double)steps * rate->step + looks(steps, p->deck->federation.eval_every) * look;
}

/* What takes so long when all ranks are at work, if `working` are. */
static double uncrowded(const ef_planner *p, double seconds, int working) {
  return seconds * ef_plan_crowd(p, working) / p->speeds->crowd;
}

/* Of the busiest rank, for units that take these seconds. */
static ef_status longest(const ef_planner *p, size_t units, const double *unit_seconds, double *seconds) {
  double *work = NULL;
  int *owner = NULL, working = 0;
  ef_status status = EF_OK;
  *seconds = 0.0;
  EF_GO(EF_NEW(work, (size_t)p->ranks));
  EF_GO(EF_NEW(owner, units));
  ef_balance(units, unit_seconds, p->ranks, owner, work);
  for (int r = 0; r < p->ranks; r++) {
    *seconds = work[r] > *seconds ? work[r] : *seconds;
    working += work[r] > 0.0;
  }
  *seconds = uncrowded(p, *seconds, working);
done:
  ef_free(work);
  ef_free(owner);
  return status;
}

typedef double unit_fn(const ef_planner *planner, size_t unit);

static ef_status longest_of(const ef_planner *p, size_t units, unit_fn *seconds_of, double *seconds) {
  double *each = NULL;
  EF_TRY(EF_NEW(each, units));
  for (size_t u = 0; u < units; u++) each[u] = seconds_of(p, u);
  ef_status status = longest(p, units, each, seconds);
  ef_free(each);
  return status;
}

static const ef_rate *rate_of(const ef_planner *p, size_t device) {
  return &p->speeds->family[p->population->entry[device]];
}

/* Of the entry that stands for proxies. */
static const ef_rate *proxy_rate(const ef_planner *p) {
  return &p->speeds->family[ef_plan_largest(p) - p->population->dims];
}

/* ---- devices with models of their own ------------------------------------------------------------------ */

static double family(const ef_planner *p, size_t entry) {
  return pretraining(p, &p->speeds->family[entry], p->deck->federation.pretrain_steps,
                     p->deck->federation.context);
}

ef_status ef_plan_families_time(const ef_planner *p, double *seconds) {
  return longest_of(p, p->population->entries, family, seconds);
}

static double device(const ef_planner *p, size_t n) {
  const ef_deck *d = p->deck;
  if (!ef_plan_trains(p, n)) return 0.0;
  return local_training(p, n, rate_of(p, n), ef_plan_local_steps(p, n), d->federation.context) +
         measure(p, rate_of(p, n), d->eval.devices);
}

ef_status ef_plan_devices_time(const ef_planner *p, double *seconds) {
  EF_TRY(longest_of(p, p->population->devices, device, seconds));
  *seconds *= (double)ef_plan_upload_rounds(p);
  return EF_OK;
}

/* ---- fusion -------------------------------------------------------------------------------------------- */

/* The guard measures every proxy; the member that stands in for a worse one is not foreseen. Text is
 * generated at a token's share of a window. */
static double proxy(const ef_planner *p, size_t unit) {
  (void)unit;
  double seconds = measure(p, proxy_rate(p), true);
  if (!ef_generated_on(p->deck)) return seconds;
  return seconds +
         proxy_rate(p)->window * (double)ef_generated_length(p->deck) / (double)p->deck->federation.context;
}

ef_status ef_plan_proxies_time(const ef_planner *p, double *seconds) {
  EF_TRY(longest_of(p, (size_t)p->deck->fusion.clusters, proxy, seconds));
  *seconds *= (double)p->deck->federation.rounds;
  return EF_OK;
}

ef_status ef_plan_start_time(const ef_planner *p, double *seconds) {
  double alone = pretraining(p, &p->speeds->base, p->deck->global.pretrain_steps, p->deck->global.context);
  *seconds = uncrowded(p, alone, 1);
  return EF_OK;
}

/* A step of the base on fusion.batch windows, and the proxy's forward pass. */
static double base(const ef_planner *p, size_t unit) {
  (void)unit;
  const ef_deck *d = p->deck;
  double batch = (double)d->fusion.batch, share = batch / (double)d->federation.batch;
  double step = share * p->speeds->base.step + batch * proxy_rate(p)->window;
  return (double)d->fusion.steps * step + measure(p, &p->speeds->base, true);
}

ef_status ef_plan_distil_time(const ef_planner *p, double *seconds) {
  EF_TRY(longest_of(p, (size_t)p->deck->fusion.clusters, base, seconds));
  *seconds *= (double)p->deck->federation.rounds;
  return EF_OK;
}

/* All teachers read all windows; pieces of the text are dealt. */
ef_status ef_plan_answers_time(const ef_planner *p, double *seconds) {
  if (!ef_plan_mentors(p)) return EF_OK;
  size_t read = ef_answers_read(p->run, ef_plan_generated(p)) / (size_t)p->deck->global.context;
  bool uploads = ef_mentors_are_uploads(p->deck);
  double window = uploads ? 0.0 : (double)p->deck->fusion.clusters * proxy_rate(p)->window;
  for (size_t n = 0; uploads && n < p->population->devices; n++) {
    if (ef_plan_trains(p, n)) window += rate_of(p, n)->window;
  }
  *seconds = window * (double)read / (double)p->ranks;
  return EF_OK;
}

/* ---- trainings of the global model on the server (ef_tune) --------------------------------------------- */

static double tuning(const ef_planner *p, size_t steps) {
  const ef_rate *rate = &p->speeds->shared;
  double holdout = holdout_windows(p, (size_t)p->deck->global.context);
  double windows = holdout * (looks(steps, p->deck->eval.look_every) + 2.0) + 2.0 * validation_windows(p);
  return (double)steps * rate->step + windows * rate->window;
}

ef_status ef_plan_control_time(const ef_planner *p, double *seconds) {
  if (ef_plan_control(p)) *seconds = tuning(p, ef_recipe_control_steps(p->deck));
  return EF_OK;
}

ef_status ef_plan_server_time(const ef_planner *p, double *seconds) {
  size_t steps = ef_recipe_server_steps(p->deck, p->method->final_steps(p->deck));
  if (steps > 0) *seconds = tuning(p, steps);
  return EF_OK;
}

ef_status ef_plan_tuning_time(const ef_planner *p, double *seconds) {
  *seconds = tuning(p, p->method->final_steps(p->deck));
  return EF_OK;
}

/* ---- rounds -------------------------------------------------------------------------------------------- */

static double local(const ef_planner *p, size_t n) {
  if (!ef_plan_trains(p, n)) return 0.0;
  return local_training(p, n, &p->speeds->local, ef_plan_rounds_steps(p, n), p->deck->global.context) +
         measure(p, &p->speeds->local, false);
}

ef_status ef_plan_rounds_time(const ef_planner *p, double *seconds) {
  EF_TRY(longest_of(p, p->population->devices, local, seconds));
  *seconds *= (double)p->deck->rivals.rounds;
  return EF_OK;
}

/* The root measures the new model on its own. */
ef_status ef_plan_average_time(const ef_planner *p, double *seconds) {
  *seconds = (double)p->deck->rivals.rounds * uncrowded(p, measure(p, &p->speeds->local, true), 1);
  return EF_OK;
}

static double device_logits(const ef_planner *p, size_t n) {
  size_t tokens, windows;
  ef_transfer_samples(p->run, &tokens, &windows);
  return ef_plan_trains(p, n) ? rate_of(p, n)->window * (double)windows : 0.0;
}

ef_status ef_plan_logits_time(const ef_planner *p, double *seconds) {
  const ef_deck *d = p->deck;
  size_t tokens, windows, sets = (size_t)d->rivals.rounds + (d->rivals.device_steps > 0);
  ef_transfer_samples(p->run, &tokens, &windows);
  EF_TRY(longest_of(p, p->population->devices, device_logits, seconds));
  *seconds = (double)d->rivals.rounds * *seconds + (double)(sets * windows) * p->speeds->shared.window;
  return EF_OK;
}

static double transfer(const ef_planner *p, size_t n) {
  return ef_plan_trains(p, n) ? rate_of(p, n)->step * (double)p->deck->rivals.device_steps : 0.0;
}

ef_status ef_plan_transfer_time(const ef_planner *p, double *seconds) {
  EF_TRY(longest_of(p, p->population->devices, transfer, seconds));
  *seconds *= (double)p->deck->rivals.rounds;
  return EF_OK;
}
