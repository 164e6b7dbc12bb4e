#include "rivals/rounds.h"

#include "base/memory.h"
#include "federation/local.h"
#include "federation/wire.h"
#include "fusion/bases.h"
#include "rivals/pruned.h"
#include "rivals/rounds_internal.h"
#include <stdio.h>
#include <string.h>

/* ---- checks -------------------------------------------------------------------------------------------- */

ef_status ef_rounds_check(const ef_run *run, const ef_population *population, size_t held) {
  const ef_deck *d = run->deck;
  size_t E = (size_t)d->global.experts, K = (size_t)d->global.top_k, able = 0;
  EF_TRY(EF_CHECK(held <= E, EF_DECK, "rivals.experts (%zu) must be at most global.experts (%zu)", held, E));
  EF_TRY(EF_CHECK(held >= K, EF_DECK,
                  "rivals.experts (%zu) must be at least global.top_k (%zu), the experts of one token", held,
                  K));
  for (size_t n = 0; n < population->devices; n++) {
    able += ef_local_trains(run, population, n);
  }
  return EF_CHECK(
      able > 0, EF_DECK,
      "all %zu devices are left out: each fails (federation.fail, fail_probability) or has no text",
      population->devices);
}

/* ---- one round ----------------------------------------------------------------------------------------- */

static ef_status open_round(ef_run *run, const ef_population *population, const ef_rounds_plan *plan,
                            ef_round *r) {
  size_t N = population->devices;
  ef_dims base;
  *r = (ef_round){.run = run, .population = population, .plan = plan, .start = plan->start};
  EF_TRY(ef_global_dims(run, &r->global, &base));
  EF_TRY(ef_pruned_dims(&r->global, plan->held, &r->local));
  r->layers = ef_dims_moe_count(&r->global);
  EF_TRY(EF_NEW(r->devices, N));
  EF_TRY(EF_NEW(r->orders, N * r->layers * r->global.E));
  EF_TRY(EF_NEW(r->owner, N));
  return EF_NEW(r->validation, run->tokens.domain_count);
}

static void close_round(ef_round *r) {
  ef_free(r->devices);
  ef_free(r->orders);
  ef_free(r->owner);
  ef_free(r->validation);
}

/* Nothing is known of the devices; all experts in their order. */
static void begin_round(ef_round *r, size_t number) {
  size_t E = r->global.E, cells = r->layers * E;
  if (number > 0) r->start = ef_round_key(r, number - 1);
  r->number = number;
  snprintf(r->name, sizeof r->name, "round %zu", number + 1);
  for (size_t n = 0; n < r->population->devices; n++) {
    r->devices[n] = (ef_round_device){.order = r->orders + n * cells};
    for (size_t i = 0; i < cells; i++) r->devices[n].order[i] = (int32_t)(i % E);
  }
}

/* What the devices sent up stands in the round's part now. */
static void forget_uploads(const ef_round *r) {
  for (size_t n = 0; n < r->population->devices; n++) {
    ef_part_key key = ef_round_local_key(r, n);
    ef_part_remove(r->run, &key);
  }
}

static size_t steps_of(const ef_round *r) {
  size_t steps = 0;
  for (size_t n = 0; n < r->population->devices; n++) steps += r->devices[n].steps;
  return steps;
}

static ef_status restore(ef_round *r) {
  EF_TRY(ef_round_restore(r));
  if (ef_par_root(r->run->par)) r->run->steps += steps_of(r);
  return EF_OK;
}

static ef_status run_round(ef_round *r) {
  ef_part_key key = ef_round_key(r, r->number);
  bool there;
  EF_TRY(ef_part_there(r->run, &key, &there));
  if (there) {
    EF_TRY(restore(r));
  } else {
    EF_TRY(ef_round_train(r));
    EF_TRY(ef_round_average(r));
  }
  if (ef_par_root(r->run->par)) forget_uploads(r);
  return EF_OK;
}

/* ---- what the rounds add up to ------------------------------------------------------------------------- */

static bool received(const ef_round_device *d) {
  return d->state == EF_DEVICE_OK || d->state == EF_DEVICE_NUMBERS;
}

/* Closed formula: a model down, one up, the common expert once. */
static void add_formula(const ef_round *r, const ef_dims *common, uint64_t *formula) {
  uint64_t width = ef_wire_number_bytes(r->run->deck);
  uint64_t local = width * ef_pruned_numbers(&r->global, r->plan->held);
  bool delivers = r->plan->common && r->number == 0;
  for (size_t n = 0; n < r->population->devices; n++) {
    const ef_round_device *d = &r->devices[n];
    if (received(d)) formula[EF_DOWN] += local + (delivers ? width * ef_dims_params(common) : 0);
    if (d->state == EF_DEVICE_OK) formula[EF_UP] += local;
  }
}

static void add_devices(const ef_round *r, ef_devices *devices, ef_ledger *ledger) {
  for (size_t n = 0; n < r->population->devices; n++) {
    const ef_round_device *d = &r->devices[n];
    ef_device_record *record = &devices->records[n];
    record->state = d->state;
    record->steps += d->steps;
    record->kept_step = d->kept_step;
    record->tokens = d->tokens;
    record->holdout_loss = d->holdout_loss;
    if (d->peak_bytes > record->peak_bytes) record->peak_bytes = d->peak_bytes;
    if (!ef_par_root(r->run->par)) continue;
    ef_ledger_count(ledger, n, EF_DOWN, EF_MSG_WEIGHTS, d->down_bytes);
    ef_ledger_count(ledger, n, EF_UP, EF_MSG_WEIGHTS, d->up_bytes);
  }
}

static bool holds(const ef_round *r, const ef_round_device *d, size_t layer, size_t expert) {
  const int32_t *order = d->order + layer * r->global.E;
  for (size_t i = 0; i < r->plan->held; i++) {
    if (order[i] == (int32_t)expert) return true;
  }
  return false;
}

static void fill_lineage(const ef_round *r, float *lineage) {
  size_t N = r->population->devices;
  for (size_t e = 0; e < r->global.E; e++) {
    for (size_t l = 0; l < r->layers; l++) {
      double all = 0.0;
      for (size_t n = 0; n < N; n++) {
        const ef_round_device *d = &r->devices[n];
        if (d->state == EF_DEVICE_OK && holds(r, d, l, e)) all += (double)d->tokens;
      }
      for (size_t n = 0; n < N; n++) {
        const ef_round_device *d = &r->devices[n];
        if (d->state != EF_DEVICE_OK || !holds(r, d, l, e)) continue;
        lineage[e * N + n] += (float)((double)d->tokens / (all * (double)r->layers));
      }
    }
  }
}

/* ---- all rounds ---------------------------------------------------------------------------------------- */

static ef_status open_results(const ef_run *run, const ef_round *r, ef_devices *devices, ef_rounds *rounds) {
  size_t N = r->population->devices, domains = run->tokens.domain_count;
  devices->count = N;
  EF_TRY(EF_NEW(devices->owner, N));
  EF_TRY(EF_NEW(devices->records, N));
  EF_TRY(EF_NEW(devices->validation, N * domains));
  rounds->count = (size_t)run->deck->rivals.rounds;
  EF_TRY(EF_NEW(rounds->validation, rounds->count * domains));
  EF_TRY(EF_NEW(rounds->steps, rounds->count));
  return EF_NEW(rounds->lineage, r->global.E * N);
}

ef_status ef_rounds_run(ef_run *run, const ef_population *population, const ef_rounds_plan *plan,
                        ef_devices *devices, ef_ledger *ledger, ef_rounds *rounds) {
  size_t domains = run->tokens.domain_count;
  ef_round r = {0};
  ef_dims global, common;
  *devices = (ef_devices){0};
  *rounds = (ef_rounds){0};
  ef_status status = EF_OK;
  EF_GO(ef_rounds_check(run, population, plan->held));
  EF_GO(ef_agree(run->par, open_round(run, population, plan, &r)));
  EF_GO(ef_agree(run->par, open_results(run, &r, devices, rounds)));
  EF_GO(ef_global_dims(run, &global, &common));
  for (size_t i = 0; i < rounds->count; i++) {
    begin_round(&r, i);
    EF_GO(run_round(&r));
    add_devices(&r, devices, ledger);
    add_formula(&r, &common, rounds->formula);
    rounds->steps[i] = steps_of(&r);
    memcpy(rounds->validation + i * domains, r.validation, domains * sizeof *r.validation);
  }
  fill_lineage(&r, rounds->lineage);
  memcpy(devices->owner, r.owner, population->devices * sizeof *r.owner);
  rounds->last = ef_round_key(&r, rounds->count - 1);
done:
  close_round(&r);
  return status;
}

void ef_rounds_free(ef_rounds *rounds) {
  ef_free(rounds->validation);
  ef_free(rounds->steps);
  ef_free(rounds->lineage);
  *rounds = (ef_rounds){0};
}
