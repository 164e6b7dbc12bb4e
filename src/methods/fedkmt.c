#include "base/memory.h"
#include "methods/methods.h"
#include "methods/recipes.h"
#include "rivals/transfer.h"
#include "train/checkpoint.h"

/* A run of FedMKT under way. */
typedef struct mutual {
  ef_run *run;
  ef_outcome *o;
  ef_transfer transfer;
  ef_part_key start; /* the global model before the current round, with `cost` behind it */
  ef_cost cost;
  ef_logit_set targets; /* of the current round; owned, as all below */
  int32_t *winner;      /* (windows) */
  double *won;          /* (N) windows that each device has won in all rounds */
  float *lineage;       /* (E,N) */
} mutual;

static size_t rounds_of(const mutual *m) { return (size_t)m->run->deck->rivals.rounds; }

static ef_status create(mutual *m) {
  const ef_transfer *t = &m->transfer;
  size_t N = m->o->population.devices;
  EF_TRY(ef_logit_set_create(&t->samples, t->recipe.k, &m->targets));
  EF_TRY(EF_NEW(m->winner, t->samples.windows));
  EF_TRY(EF_NEW(m->won, N));
  return EF_NEW(m->lineage, m->o->global.E * N);
}

static void release(mutual *m) {
  ef_logit_set_free(&m->targets);
  ef_free(m->winner);
  ef_free(m->won);
  ef_free(m->lineage);
  ef_transfer_close(&m->transfer);
}

/* ---- what stands behind the model ---------------------------------------------------------------------- */

/* Share of the windows of all rounds that each device has won, the same for all experts: every expert learns
 * from all of them, if the deck gives the second loss any weight. */
static void add_lineage(mutual *m, size_t round) {
  size_t N = m->o->population.devices, windows = m->transfer.samples.windows;
  for (size_t w = 0; w < windows; w++) {
    if (m->winner[w] != EF_WON_BY_SERVER) m->won[m->winner[w]] += 1.0;
  }
  for (size_t i = 0; m->run->deck->rivals.kl > 0.0 && i < m->o->global.E * N; i++) {
    m->lineage[i] = (float)(m->won[i % N] / (double)(windows * (round + 1)));
  }
}

/* Tokens that the devices which took part were trained on: their own text, and the public text in all rounds
 * so far, the last one included: what the method costs the devices. */
static size_t device_tokens(const mutual *m) {
  const ef_deck *d = m->run->deck;
  size_t tokens = 0, batch = (size_t)d->federation.batch;
  for (size_t n = 0; n < m->o->devices.count; n++) {
    if (m->transfer.rounds[n] == 0) continue;
    tokens += m->o->devices.records[n].steps * batch * (size_t)d->federation.context;
    tokens += m->transfer.steps[n] * batch * m->transfer.samples.T;
  }
  return tokens;
}

static void add_cost(mutual *m, size_t steps) {
  m->cost.total_steps += steps;
  m->cost.sequential_steps += steps;
  m->cost.server_tokens += ef_recipe_tokens(m->run->deck, steps);
  m->cost.device_tokens = device_tokens(m);
}

/* ---- one round ----------------------------------------------------------------------------------------- */

/* Steps of the server in a round; the last one takes what is left over. */
static size_t steps_of(const mutual *m, size_t round) {
  size_t steps = ef_recipe_mutual_steps(m->run->deck), rounds = rounds_of(m), each = steps / rounds;
  return round + 1 == rounds ? steps - each * (rounds - 1) : each;
}

static ef_status tune(mutual *m, const ef_feed *feed, size_t round) {
  bool last = round + 1 == rounds_of(m);
  ef_tuning tuning = {.unit = last ? EF_UNIT_TUNE : EF_UNIT_ROUND,
                      .index = last ? 0 : round,
                      .start = m->start,
                      .global = &m->o->global,
                      .feed = feed,
                      .steps = steps_of(m, round),
                      .train_experts = true,
                      .lineage = m->lineage,
                      .name = last ? "tuning" : "round",
                      .sections = EF_TRANSFER_SECTIONS};
  ef_tuned between = {0};
  ef_status status = ef_tune(m->run, &tuning, last ? &m->o->tuned : &between);
  add_cost(m, tuning.steps);
  if (!last) m->start = ef_tuning_part(&tuning);
  if (!last && status == EF_OK) {
    status = ef_agree(m->run->par,
                      ef_outcome_stage(m->run, m->o, between.after, &m->cost, "round %zu", round + 1));
  }
  ef_tuned_free(&between);
  return status;
}

/* The server learns from the best logits of every window. */
static ef_status train_server(mutual *m, size_t round) {
  const ef_deck *d = m->run->deck;
  ef_run *run = m->run;
  bool last = round + 1 == rounds_of(m);
  ef_soft_labels labels = {0};
  EF_TRY(ef_agree(run->par, ef_transfer_load_targets(&m->transfer, round, &m->targets, m->winner)));
  add_lineage(m, round);
  EF_TRY(ef_agree(run->par,
                  ef_soft_labels_create(&m->transfer.samples, &m->targets, NULL, run->tokens.vocabulary,
                                        (size_t)d->tune.micro_batch, d->rivals.kl, &labels)));
  ef_feed feed = ef_soft_labels_feed(&labels, (uint64_t)d->run.seed,
                                     last ? ef_unit(EF_UNIT_TUNE, 0) : ef_unit(EF_UNIT_ROUND, round));
  ef_status status = tune(m, &feed, round);
  ef_soft_labels_free(&labels);
  return status;
}

/* The set of the global model before `round`, or after all rounds. */
static ef_status server_set(mutual *m, size_t round) {
  char path[4096];
  if (round < rounds_of(m)) {
    ef_part_path(m->run, &m->start, false, path, sizeof path);
  } else {
    EF_TRY(ef_checkpoint_newest(m->run, path, sizeof path));
  }
  return ef_transfer_server_set(&m->transfer, round, path);
}

static ef_status run_round(mutual *m, size_t round) {
  ef_transfer *t = &m->transfer;
  bool settled, down = m->run->deck->rivals.device_steps > 0;
  EF_TRY(ef_transfer_settled(t, round, &settled));
  if (!settled) EF_TRY(server_set(m, round));
  if (!settled) EF_TRY(ef_transfer_device_sets(t, round));
  EF_TRY(ef_transfer_targets(t, round));
  EF_TRY(train_server(m, round));
  if (!settled && down) EF_TRY(server_set(m, round + 1));
  return ef_transfer_distil(t, round);
}

static ef_status run_rounds(mutual *m) {
  EF_TRY(ef_agree(m->run->par, create(m)));
  for (size_t round = 0; round < rounds_of(m); round++) EF_TRY(run_round(m, round));
  m->o->cost = m->cost;
  m->o->cost.device_tokens = device_tokens(m);
  ef_transfer_formula(&m->transfer, m->o->formula);
  return EF_OK;
}

ef_status ef_fedkmt(ef_run *run, ef_outcome *o) {
  mutual m = {.run = run, .o = o};
  ef_status status = EF_OK;
  EF_TRY(ef_agree(run->par, ef_outcome_open(run, o)));
  EF_TRY(ef_transfer_check(run));

  /* On the devices: common starts and local training; nothing of the models goes up. */
  EF_TRY(ef_families_pretrain(run, &o->population));
  EF_TRY(ef_devices_train(run, &o->population, &o->devices));

  /* On the server: the global model, trained on public text; then both learn from each other. */
  EF_TRY(ef_recipe_server(run, o, ef_recipe_mutual_steps(run->deck), &m.start, &m.cost));
  EF_GO(ef_transfer_open(run, &o->population, &o->devices, &o->ledger, &m.transfer));
  EF_GO(run_rounds(&m));
done:
  release(&m);
  return status;
}
