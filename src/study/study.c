#include "study/study.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "market/networks.h"
#include <ctype.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

/* ---- names --------------------------------------------------------------------------------------------- */

/* The deck has checked the name. */
static ef_variant variant_of(const ef_deck *deck) {
  ef_variant variant = EF_VARIANT_T;
  ef_variant_find(deck->market.variant, &variant);
  return variant;
}

const char *ef_study_aeria(const ef_study *study) {
  return ef_mechanism_aeria(variant_of(study->deck))->name;
}

const char *ef_truth_text(ef_truth truth) {
  static const char *const texts[] = {"yes", "under consensus", "no"};
  return texts[truth];
}

const char *ef_price_text(ef_price price) {
  static const char *const texts[] = {"yes", "under consensus", "no"};
  return texts[price];
}

#define AT(member) offsetof(ef_summary_row, member)
const ef_study_column ef_summary_columns[] = {
    {"ratio_mean", "profit over F2, mean over the slots with F2 > 0", "1", AT(ratio_mean)},
    {"ratio_min", "profit over F2, least of the slots with F2 > 0", "1", AT(ratio_min)},
    {"revenue", "payments of a slot, mean", "money", AT(revenue)},
    {"profit", "payments less unit cost of the units used, mean of the slots", "money", AT(profit)},
    {"f", "omniscient single-price benchmark F, mean of the slots", "money", AT(f)},
    {"f2", "omniscient benchmark F2, mean of the slots", "money", AT(f2)},
    {"served", "share of the bidders that win", "1", AT(served)},
    {"utilisation", "share of the capacity that is sold", "1", AT(utilisation)},
    {"envy_rate", "share of the slots in which somebody envies another", "1", AT(envy_rate)},
    {"consensus_rate", "share of the slots in which one price was certain", "1", AT(consensus_rate)},
    {"latency_met", "share of the winners that are served in time", "1", AT(latency_met)},
    {"accuracy_met", "share of the winners that get the accuracy they ask for", "1", AT(accuracy_met)},
    {"welfare", "values of those served less unit cost, mean of the slots", "money", AT(welfare)},
    {"utility", "values of those served less payments, mean of the slots", "money", AT(utility)},
    {0}};
#undef AT

#define AT(member) offsetof(ef_slot_row, member)
const ef_study_column ef_slot_columns[] = {
    {"profit", "payments less unit cost of the units used", "money", AT(profit)},
    {"revenue", "payments", "money", AT(revenue)},
    {"f", "omniscient single-price benchmark F", "money", AT(f)},
    {"f2", "omniscient benchmark F2", "money", AT(f2)},
    {"ratio", "profit over F2; NaN where F2 is 0", "1", AT(ratio)},
    {"served", "share of the bidders that win", "1", AT(served)},
    {"utilisation", "share of the capacity that is sold", "1", AT(utilisation)},
    {"latency_met", "share of the winners that are served in time", "1", AT(latency_met)},
    {"accuracy_met", "share of the winners that get the accuracy they ask for", "1", AT(accuracy_met)},
    {"welfare", "values of those served less unit cost", "money", AT(welfare)},
    {"utility", "values of those served less payments", "money", AT(utility)},
    {0}};
#undef AT

/* ---- files ----------------------------------------------------------------------------------------------
 */

/* A relative name stands beside the deck, or where the command is run. */
static const char *resolve(const ef_deck *deck, const char *name, char path[PATH_BYTES]) {
  snprintf(path, PATH_BYTES, "%s/%s", deck->folder, name);
  if (name[0] == '/' || !ef_file_exists(path)) snprintf(path, PATH_BYTES, "%s", name);
  return path;
}

ef_study_trace ef_study_trace_at(const ef_study *study, size_t i) {
  const ef_scenario *s = &study->scenario;
  const ef_study_trace traces[EF_STUDY_TRACES] = {
      {"arrivals", "users that bid in each slot", "user", study->deck->market.arrivals_file, &s->arrivals},
      {"price", "electricity price of each slot, in the unit of its source", "1",
       study->deck->market.price_file, &s->price},
      {"uplink", "uplinks that users draw from", "bit/s", study->deck->market.uplink_file, &s->uplink},
      {"device", "device speeds that users draw from", "FLOP/s", study->deck->market.device_file, &s->device},
  };
  return traces[i];
}

static ef_status read_trace(const ef_deck *deck, const char *file, const char *column, double least,
                            ef_trace *trace) {
  char path[PATH_BYTES];
  return *file ? ef_trace_read(resolve(deck, file, path), column, least, 1e18, trace) : EF_OK;
}

/* Surplus hours have prices below zero; nobody pays a user for taking units, so that a unit is free then. */
static void lift_prices(const char *file, ef_trace *price) {
  size_t below = 0;
  for (size_t i = 0; i < price->count; i++) {
    if (price->value[i] >= 0.0) continue;
    price->value[i] = 0.0;
    below++;
  }
  if (below) ef_warn("%s: %zu of %zu prices are below 0 and count as 0", file, below, price->count);
}

/* ---- setting --------------------------------------------------------------------------------------------
 */

static ef_scenario scenario_of(const ef_deck *deck) {
  ef_scenario s = ef_scenario_default();
  s.slots = (size_t)deck->market.slots;
  s.capacity_flops = deck->market.capacity_flops;
  s.capacity_ratio = deck->market.capacity_ratio;
  s.unit_flops = deck->market.unit_flops;
  s.unit_bytes = deck->market.unit_bytes;
  s.unit_cost = deck->market.unit_cost;
  s.margin = deck->market.margin;
  s.max_share = deck->market.max_share;
  s.rtt = deck->market.rtt;
  s.device_intensity = deck->market.device_intensity;
  s.deadline_least = deck->market.deadline_least;
  s.deadline_most = deck->market.deadline_most;
  s.scale_least = deck->market.scale_least;
  s.scale_most = deck->market.scale_most;
  s.rate_least = deck->market.rate_least;
  s.rate_most = deck->market.rate_most;
  s.value_exponent = deck->market.value_exponent;
  s.value_sigma = deck->market.value_sigma;
  s.training_slots = (size_t)deck->market.training_slots;
  s.setting.aeria.c = deck->market.c;
  s.setting.aeria.vickrey_prob = deck->market.vickrey_prob;
  s.setting.aeria.variant = variant_of(deck);
  s.seed = (uint64_t)deck->run.seed;
  return s;
}

static ef_status make_traces(const ef_deck *deck, ef_scenario *s) {
  EF_TRY(read_trace(deck, deck->market.arrivals_file, deck->market.arrivals_column, 0.0, &s->arrivals));
  EF_TRY(read_trace(deck, deck->market.price_file, deck->market.price_column, -1e18, &s->price));
  EF_TRY(read_trace(deck, deck->market.uplink_file, deck->market.uplink_column, 1e-3, &s->uplink));
  EF_TRY(read_trace(deck, deck->market.device_file, deck->market.device_column, 0.0, &s->device));
  lift_prices(deck->market.price_file, &s->price);
  const ef_trace_ranges ranges = {.slot_s = deck->market.slot_seconds,
                                  .users_least = deck->market.users_least,
                                  .users_most = deck->market.users_most,
                                  .volatility = deck->market.price_volatility,
                                  .uplink_least = deck->market.uplink_least,
                                  .uplink_most = deck->market.uplink_most,
                                  .device_least = deck->market.device_flops_least,
                                  .device_most = deck->market.device_flops_most,
                                  .entries = (size_t)deck->market.population};
  return ef_scenario_generate(s, &ranges);
}

ef_status ef_study_scenario(const ef_deck *deck, ef_scenario *scenario) {
  *scenario = scenario_of(deck);
  ef_status status = make_traces(deck, scenario);
  if (status != EF_OK) ef_scenario_traces_free(scenario);
  return status;
}

static ef_status choose_mechanisms(ef_study *study) {
  const ef_list *names = &study->deck->market.mechanisms;
  size_t all = 0;
  while (ef_mechanisms[all].name) all++;
  EF_TRY(EF_NEW(study->mechanisms, names->count ? names->count : all));
  for (; !names->count && study->mechanism_count < all; study->mechanism_count++)
    study->mechanisms[study->mechanism_count] = &ef_mechanisms[study->mechanism_count];
  for (size_t i = 0; i < names->count; i++) {
    const ef_mechanism *m = ef_mechanism_find(names->items[i]);
    EF_TRY(EF_CHECK(m, EF_DECK, "market.mechanisms: %s: no such mechanism; edgefuse knows: %s",
                    names->items[i], ef_mechanism_names()));
    for (size_t k = 0; k < i; k++)
      EF_TRY(EF_CHECK(study->mechanisms[k] != m, EF_DECK, "market.mechanisms: %s is named twice", m->name));
    study->mechanisms[study->mechanism_count++] = m;
  }
  return EF_OK;
}

static ef_status find_sweeps(ef_study *study) {
  const ef_list *names = &study->deck->market.sweeps;
  EF_TRY(EF_NEW(study->sweeps, names->count));
  for (size_t i = 0; i < names->count; i++) {
    const ef_sweep *sweep = ef_sweep_find(names->items[i]);
    EF_TRY(EF_CHECK(sweep, EF_DECK, "market.sweeps: %s: no such sweep; edgefuse knows: %s", names->items[i],
                    ef_sweep_names()));
    for (size_t k = 0; k < i; k++)
      EF_TRY(EF_CHECK(study->sweeps[k].sweep != sweep, EF_DECK, "market.sweeps: %s is named twice",
                      sweep->name));
    study->sweeps[study->sweep_count++].sweep = sweep;
  }
  return EF_OK;
}

/* ---- workloads ------------------------------------------------------------------------------------------
 */

/* "runs/my model.json" becomes "my_model". */
static void name_case(const char *item, char name[EF_STUDY_NAME]) {
  const char *slash = strrchr(item, '/'), *base = slash ? slash + 1 : item, *dot = strrchr(base, '.');
  size_t n = dot && dot != base ? (size_t)(dot - base) : strlen(base);
  if (n >= EF_STUDY_NAME) n = EF_STUDY_NAME - 1;
  for (size_t i = 0; i < n; i++) {
    unsigned char ch = (unsigned char)base[i];
    name[i] = isalnum(ch) || strchr("-_.", ch) ? (char)ch : '_';
  }
  name[n] = '\0';
}

static ef_status fail_workload(const char *item) {
  ef_nearest near = ef_nearest_to(item);
  for (const ef_network *network = ef_networks; network->name; network++)
    ef_nearest_try(&near, "", network->name, 0);
  return ef_fail(EF_DECK, __FILE__, __LINE__,
                 "market.workloads: %s: no such network and no such file; edgefuse knows: %s%s", item,
                 ef_network_names(), near.text);
}

static ef_status load_case(const ef_deck *deck, const char *item, ef_study_case *c) {
  const ef_network *network = ef_network_find(item);
  char path[PATH_BYTES];
  name_case(item, c->name);
  if (network) {
    snprintf(c->name, sizeof c->name, "%s", network->name);
    return network->make(1.0, &c->workload);
  }
  if (!ef_file_exists(resolve(deck, item, path))) return fail_workload(item);
  return ef_workload_read(path, &c->workload);
}

static ef_status load_cases(ef_study *study) {
  static const char *const papers[] = {"alexnet", "resnet34", "vgg16", "bart_base"};
  const ef_list *list = &study->deck->market.workloads;
  size_t count = list->count ? list->count : sizeof papers / sizeof *papers;
  EF_TRY(EF_NEW(study->cases, count));
  for (size_t i = 0; i < count; i++) {
    ef_study_case *c = &study->cases[i];
    study->case_count = i + 1;
    EF_TRY(load_case(study->deck, list->count ? list->items[i] : papers[i], c));
    for (size_t k = 0; k < i; k++)
      EF_TRY(EF_CHECK(strcmp(study->cases[k].name, c->name) != 0, EF_DECK,
                      "market.workloads: two workloads would be called %s; rename one", c->name));
  }
  return EF_OK;
}

/* ---- the runs -------------------------------------------------------------------------------------------
 */

static ef_status run_case(ef_study *study, ef_study_case *c) {
  ef_scenario scenario = study->scenario;
  double started = ef_clock();
  scenario.workload = c->workload;
  scenario.record = true;
  ef_status status = ef_simulate(&scenario, study->mechanisms, study->mechanism_count, &c->simulation);
  if (status != EF_OK) return ef_context(status, "%s", c->name);
  ef_log(EF_LOG_INFO, "market: %s: %zu slots, %zu mechanisms, %.1f s", c->name, scenario.slots,
         study->mechanism_count, ef_clock() - started);
  return EF_OK;
}

static ef_status run_point(const ef_study *study, const ef_scenario *base, const ef_sweep *sweep, double x,
                           ef_summary_row *summary) {
  ef_scenario scenario;
  ef_simulation simulation = {0};
  EF_TRY(ef_scenario_vary(base, sweep->kind, x, &scenario));
  ef_status status = ef_simulate(&scenario, study->mechanisms, study->mechanism_count, &simulation);
  if (status == EF_OK) memcpy(summary, simulation.summary, study->mechanism_count * sizeof *summary);
  ef_simulation_free(&simulation);
  return status;
}

static ef_status run_sweep(const ef_study *study, ef_study_sweep *s) {
  size_t points = s->sweep->count, M = study->mechanism_count;
  double started = ef_clock();
  EF_TRY(EF_NEW(s->summary, study->case_count * points * M));
  for (size_t i = 0; i < study->case_count; i++) {
    ef_scenario base = study->scenario;
    base.workload = study->cases[i].workload;
    base.slots = (size_t)study->deck->market.sweep_slots;
    for (size_t p = 0; p < points; p++) {
      ef_status status =
          run_point(study, &base, s->sweep, s->sweep->points[p], s->summary + (i * points + p) * M);
      if (status != EF_OK)
        return ef_context(status, "%s, sweep %s at %g", study->cases[i].name, s->sweep->name,
                          s->sweep->points[p]);
    }
  }
  ef_log(EF_LOG_INFO, "market: sweep of %s: %zu points, %.1f s", s->sweep->name, points,
         ef_clock() - started);
  return EF_OK;
}

static ef_status run_all(ef_study *study) {
  EF_TRY(choose_mechanisms(study));
  EF_TRY(find_sweeps(study));
  EF_TRY(load_cases(study));
  EF_TRY(ef_study_scenario(study->deck, &study->scenario));
  for (size_t i = 0; i < study->case_count; i++) EF_TRY(run_case(study, &study->cases[i]));
  for (size_t i = 0; i < study->sweep_count; i++) EF_TRY(run_sweep(study, &study->sweeps[i]));
  return EF_OK;
}

ef_status ef_study_run(const ef_deck *deck, ef_study *study) {
  *study = (ef_study){.deck = deck};
  ef_status status = run_all(study);
  if (status != EF_OK) ef_study_free(study);
  return status;
}

void ef_study_free(ef_study *study) {
  for (size_t i = 0; i < study->case_count; i++) {
    ef_simulation_free(&study->cases[i].simulation);
    ef_workload_free(&study->cases[i].workload);
  }
  for (size_t i = 0; i < study->sweep_count; i++) ef_free(study->sweeps[i].summary);
  ef_free(study->cases);
  ef_free(study->sweeps);
  ef_free(study->mechanisms);
  ef_scenario_traces_free(&study->scenario);
  *study = (ef_study){0};
}
