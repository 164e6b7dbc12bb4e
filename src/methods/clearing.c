#include "methods/clearing.h"

#include "base/log.h"
#include "base/memory.h"
#include "methods/profile.h"
#include "study/study.h"
#include "train/checkpoint.h"
#include "train/events.h"
#include "train/model_file.h"
#include "train/model_hash.h"
#include "train/record.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the profile --------------------------------------------------------------------------------------- */

/* The thresholds of the deck, which has checked them. `room` has one place for each. */
static const double *thresholds_of(const ef_deck *deck, double *room, size_t *count) {
  const ef_list *list = &deck->market.thresholds;
  *count = list->count ? list->count : EF_PROFILE_THRESHOLDS;
  for (size_t i = 0; i < list->count; i++) room[i] = strtod(list->items[i], NULL);
  return list->count ? room : ef_profile_thresholds;
}

/* At least one window of each domain. */
static ef_status measure(ef_run *run, const ef_model *shard, ef_confidence *confidence, double *room) {
  const ef_deck *deck = run->deck;
  size_t count, domains = run->tokens.domain_count, most = (size_t)deck->market.profile_windows;
  const double *thresholds = thresholds_of(deck, room, &count);
  ef_confidence_text text = {.streams = run->validation,
                             .count = domains,
                             .B = (size_t)deck->eval.batch,
                             .T = (size_t)deck->global.context,
                             .most = (most + domains - 1) / domains};
  return ef_confidence_measure(run->par, run->kernels, shard, &text, thresholds, count, confidence);
}

/* The root hashes the file; every rank makes the same workload from the same counts. */
static ef_status make_workload(ef_run *run, const ef_model *shard, ef_clearing_run *c, ef_workload *w) {
  const ef_deck *deck = run->deck;
  double *room = NULL;
  char hash[EF_MODEL_HASH_BYTES] = "";
  ef_confidence confidence = {0};
  ef_status status = EF_NEW(room, deck->market.thresholds.count);
  if (status == EF_OK && ef_par_root(run->par)) status = ef_model_path_hash(c->checkpoint, hash);
  EF_GO(ef_agree(run->par, status));
  EF_GO(ef_bcast(run->par, 0, hash, sizeof hash));
  EF_GO(measure(run, shard, &confidence, room));
  double speed = ef_profile_speed(&shard->dims, &confidence, (size_t)deck->global.context);
  ef_profile profile = {.name = ef_family_name(shard->dims.family),
                        .autoregressive = true,
                        .prompt_tokens = (double)deck->market.prompt_tokens,
                        .decode_tokens = (double)deck->market.decode_tokens,
                        .checkpoint = hash,
                        .measured_flops = speed};
  c->tokens = confidence.tokens;
  EF_GO(ef_agree(run->par, ef_profile_workload(&shard->dims, &confidence, &profile, w)));
done:
  ef_confidence_free(&confidence);
  ef_free(room);
  return status;
}

static ef_status profile(ef_run *run, ef_clearing_run *c, ef_workload *w) {
  ef_model shard = {0};
  EF_TRY(ef_checkpoint_newest(run, c->checkpoint, sizeof c->checkpoint));
  EF_TRY(EF_CHECK(c->checkpoint[0], EF_CHECKPOINT, "%s/checkpoint: there is no checkpoint to profile",
                  run->folder));
  ef_status status = ef_agree(run->par, ef_model_load_shard(c->checkpoint, run->par, &shard));
  if (status == EF_OK) status = make_workload(run, &shard, c, w);
  ef_model_free(&shard);
  return status;
}

/* ---- requests and bids --------------------------------------------------------------------------------- */

enum { BID_FIELDS = 18, AWARD_FIELDS = 3 };

/* A device's request and demand as numbers; a demand beyond any capacity loses its last digits. */
static void pack_bid(void *ctx, size_t device, double *row) {
  const ef_clearing_run *c = ctx;
  const ef_user *u = &c->instance.users[device];
  const ef_demand *d = &c->demands[device];
  const double fields[BID_FIELDS] = {u->value,          u->bid,
                                     u->accuracy,       u->deadline,
                                     u->device_flops,   u->device_bytes,
                                     u->uplink_bps,     u->complexity,
                                     u->rate,           (double)d->need,
                                     d->flops,          (double)d->units,
                                     (double)d->choice, (double)d->partition,
                                     d->device_s,       d->network_s,
                                     d->edge_s,         d->accuracy};
  memcpy(row, fields, sizeof fields);
}

static size_t index_of(double x) { return x < 9e15 ? (size_t)x : SIZE_MAX; }

static void unpack_bid(void *ctx, size_t device, const double *row) {
  ef_clearing_run *c = ctx;
  ef_user *u = &c->instance.users[device];
  u->value = row[0];
  u->bid = row[1];
  u->accuracy = row[2];
  u->deadline = row[3];
  u->device_flops = row[4];
  u->device_bytes = row[5];
  u->uplink_bps = row[6];
  u->complexity = row[7];
  u->rate = row[8];
  c->demands[device] = (ef_demand){.need = (ef_need)row[9],
                                   .flops = row[10],
                                   .units = row[11] < 9e18 ? (int64_t)row[11] : INT64_MAX,
                                   .choice = index_of(row[12]),
                                   .partition = index_of(row[13]),
                                   .device_s = row[14],
                                   .network_s = row[15],
                                   .edge_s = row[16],
                                   .accuracy = row[17]};
}

static void pack_award(void *ctx, size_t device, double *row) {
  const ef_clearing_run *c = ctx;
  row[0] = (double)c->users[device].status;
  row[1] = c->users[device].unit_price;
  row[2] = c->users[device].payment;
}

static void unpack_award(void *ctx, size_t device, const double *row) {
  ef_clearing_run *c = ctx;
  c->users[device] = (ef_user_outcome){.demand = c->demands[device],
                                       .status = (ef_user_status)row[0],
                                       .unit_price = row[1],
                                       .payment = row[2]};
}

static ef_status name_users(ef_instance *instance) {
  for (size_t i = 0; i < instance->user_count; i++) {
    char id[32];
    snprintf(id, sizeof id, "device%zu", i);
    EF_TRY(EF_CHECK(instance->users[i].id = ef_strdup(id), EF_MACHINE, "out of memory"));
  }
  return EF_CHECK(instance->providers[0].id = ef_strdup("edge"), EF_MACHINE, "out of memory");
}

static ef_status allocate(size_t devices, ef_clearing_run *c) {
  ef_instance *instance = &c->instance;
  EF_TRY(EF_NEW(instance->workloads, 1));
  instance->workload_count = 1;
  EF_TRY(EF_NEW(instance->providers, 1));
  instance->provider_count = 1;
  instance->providers[0].share = 1.0;
  EF_TRY(EF_NEW(instance->users, devices));
  instance->user_count = devices;
  EF_TRY(EF_NEW(c->demands, devices));
  EF_TRY(EF_NEW(c->users, devices));
  return name_users(instance);
}

/* With market.capacity_ratio the forecast is of slots with as many users as there are devices. */
static ef_status capacity_of(const ef_scenario *scenario, size_t devices, int64_t *capacity) {
  double users = (double)devices;
  ef_scenario forecast = *scenario;
  forecast.arrivals = (ef_trace){.count = 1, .value = &users};
  return ef_scenario_capacity(&forecast, capacity);
}

/* Phase I on the ranks: the requests of the devices that live here. The market is a slot that no simulation
 * with the same deck has, with one user for each device. */
static ef_status find_demands(ef_run *run, size_t devices, const int *owner, ef_clearing_run *c) {
  ef_scenario scenario;
  ef_demand_table *table = NULL;
  int64_t capacity = 0;
  EF_TRY(ef_study_scenario(run->deck, &scenario));
  scenario.workload = c->instance.workloads[0];
  ef_status status = EF_OK;
  EF_GO(capacity_of(&scenario, devices, &capacity));
  c->instance.rules = ef_scenario_rules(&scenario, capacity, EF_CLEARING_SLOT);
  EF_GO(ef_demand_table_create(&c->instance.workloads[0], &table));
  for (size_t i = 0; i < devices; i++) {
    if (owner[i] != run->par->rank) continue;
    ef_user *user = &c->instance.users[i];
    char *id = user->id;
    ef_scenario_user(&scenario, table, &c->instance.rules, EF_CLEARING_SLOT, i, user, &c->demands[i]);
    user->id = id;
  }
done:
  ef_demand_table_free(table);
  ef_scenario_traces_free(&scenario);
  return status;
}

static ef_status gather(ef_run *run, size_t devices, const int *owner, ef_clearing_run *c) {
  ef_records bids = {.width = BID_FIELDS, .ctx = c, .pack = pack_bid, .unpack = unpack_bid};
  EF_TRY(ef_agree(run->par, find_demands(run, devices, owner, c)));
  return ef_records_share(run, &bids, devices, owner);
}

/* ---- clearing ------------------------------------------------------------------------------------------ */

static ef_status audit(const ef_instance *instance, ef_clearing_run *c) {
  ef_book book = {0};
  EF_TRY(ef_book_make(instance, c->demands, 0, &book));
  ef_audit_spec spec = {
      .mechanism = ef_mechanism_aeria(instance->rules.variant),
      .setting = {.aeria = {instance->rules.c, instance->rules.vickrey_prob, instance->rules.variant}},
      .coin = c->outcome.coin,
      .coins = 4,
      .seed = 1,
      .most_users = 64,
      .most_points = 64};
  ef_status status = book.market.n > 0 ? ef_audit_market(&book.market, &spec, &c->audit) : EF_OK;
  c->audited = book.market.n > 0 && status == EF_OK;
  ef_book_free(&book);
  return status;
}

static ef_status clear(const ef_run *run, ef_clearing_run *c) {
  char path[4096];
  EF_TRY(ef_market_solve(&c->instance, &(ef_solving){.expect = true, .demands = c->demands}, &c->outcome));
  memcpy(c->users, c->outcome.users, c->instance.user_count * sizeof *c->users);
  EF_TRY(audit(&c->instance, c));
  ef_run_path(run, path, sizeof path, "workload.json");
  EF_TRY(ef_workload_write(&c->instance.workloads[0], path));
  ef_run_path(run, path, sizeof path, "market.json");
  return ef_instance_write(&c->instance, path);
}

/* The root's outcome becomes known to the ranks that host the devices. */
static ef_status scatter(ef_run *run, ef_clearing_run *c) {
  size_t count = c->instance.user_count;
  int *root = NULL;
  ef_records awards = {.width = AWARD_FIELDS, .ctx = c, .pack = pack_award, .unpack = unpack_award};
  ef_status status = ef_agree(run->par, EF_NEW(root, count));
  if (status == EF_OK) status = ef_records_share(run, &awards, count, root);
  ef_free(root);
  return status;
}

static ef_status make(ef_run *run, size_t devices, const int *owner, ef_clearing_run *c) {
  EF_TRY(ef_agree(run->par, allocate(devices, c)));
  EF_TRY(profile(run, c, &c->instance.workloads[0]));
  EF_TRY(gather(run, devices, owner, c));
  EF_TRY(ef_agree(run->par, ef_par_root(run->par) ? clear(run, c) : EF_OK));
  return scatter(run, c);
}

/* Whether there is a window of validation text, the same on all ranks. */
static bool can_profile(const ef_run *run) {
  size_t windows = 0;
  for (size_t d = 0; d < run->tokens.domain_count; d++)
    windows += ef_stream_windows(&run->validation[d], (size_t)run->deck->global.context);
  if (windows == 0)
    ef_warn("market: there is no validation text to measure the exits on; no market is cleared");
  return windows > 0;
}

ef_status ef_clearing_make(ef_run *run, size_t devices, const int *owner, ef_clearing_run *c) {
  *c = (ef_clearing_run){0};
  if (!run->deck->market.clear || !can_profile(run)) return EF_OK;
  ef_lap lap = ef_lap_begin(run);
  ef_status status = make(run, devices, owner, c);
  if (status != EF_OK) {
    ef_clearing_free(c);
    return ef_context(status, "market");
  }
  c->done = true;
  return ef_event_phase(run, "market", EF_ON_SERVER, &lap, &(ef_effort){0});
}

/* All but the workload is known before the training: one that costs nothing stands for it. */
ef_status ef_clearing_check(const ef_deck *deck) {
  static char name[] = "model";
  ef_layer_cost layer = {.name = name};
  ef_exit exit = {.after = 1};
  ef_scenario scenario;
  if (!deck->market.clear) return EF_OK;
  EF_TRY(ef_study_scenario(deck, &scenario));
  scenario.workload =
      (ef_workload){.name = name, .layers = &layer, .layer_count = 1, .exits = &exit, .exit_count = 1};
  ef_status status = ef_scenario_check(&scenario);
  ef_scenario_traces_free(&scenario);
  return status;
}

void ef_clearing_free(ef_clearing_run *c) {
  ef_market_outcome_free(&c->outcome);
  ef_instance_free(&c->instance);
  ef_free(c->demands);
  ef_free(c->users);
  *c = (ef_clearing_run){0};
}
