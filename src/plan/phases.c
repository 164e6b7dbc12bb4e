#include "federation/local.h"
#include "fusion/features.h"
#include "fusion/generated.h"
#include "plan/plan_internal.h"
#include "rivals/rounds.h"
#include "rivals/transfer.h"

/* ---- what the deck asks for ---------------------------------------------------------------------------- */

bool ef_plan_trains(const ef_planner *p, size_t device) {
  return ef_local_trains(p->run, p->population, device);
}

bool ef_plan_control(const ef_planner *p) {
  return (p->method->does & EF_DOES_CONTROL) && p->deck->control.public_only;
}

bool ef_plan_copies(const ef_planner *p) { return !(p->method->does & EF_DOES_FUSION) || ef_plan_control(p); }

bool ef_plan_mentors(const ef_planner *p) {
  return (p->method->does & EF_DOES_MENTORS) && p->deck->tune.kl > 0.0;
}

size_t ef_plan_generated(const ef_planner *p) {
  return ef_generated_on(p->deck) ? (size_t)p->deck->fusion.clusters * ef_generated_length(p->deck) : 0;
}

size_t ef_plan_held(const ef_planner *p) {
  return (size_t)(p->method->does & EF_DOES_PRUNED ? p->deck->rivals.experts : p->deck->global.experts);
}

const ef_dims *ef_plan_dims(const ef_planner *p, size_t device) {
  return &p->population->dims[p->population->entry[device]];
}

const ef_dims *ef_plan_largest(const ef_planner *p) {
  const ef_dims *most = &p->population->dims[0];
  for (size_t i = 1; i < p->population->entries; i++) {
    if (ef_dims_params(&p->population->dims[i]) > ef_dims_params(most)) most = &p->population->dims[i];
  }
  return most;
}

/* ---- checks -------------------------------------------------------------------------------------------- */

static ef_status check_stages(const ef_planner *p) {
  const ef_population *population = p->population;
  bool compared = ef_features_of(p->deck, 1, 1).kind != EF_FEATURES_NONE;
  size_t stages = compared ? (size_t)p->deck->fusion.stages : 0;
  for (size_t i = 0; i < population->entries; i++) {
    EF_TRY(
        EF_CHECK(stages <= population->dims[i].L && stages <= p->base.L, EF_DECK,
                 "fusion.stages = %zu, but the base has %zu layers and entry %zu of federation.families %zu",
                 stages, p->base.L, i, population->dims[i].L));
  }
  return EF_OK;
}

static ef_status check_rounds(const ef_planner *p) {
  return ef_rounds_check(p->run, p->population, ef_plan_held(p));
}

static ef_status check_logits(const ef_planner *p) { return ef_transfer_check(p->run); }

/* ---- the phases ---------------------------------------------------------------------------------------- */

/* Work, memory and time of a phase have its name. */
#define COUNTS(phase) .work = ef_plan_##phase##_work, .memory = ef_plan_##phase##_memory
#define TIMED(phase) COUNTS(phase), .time = ef_plan_##phase##_time

const ef_plan_phase ef_plan_phases[] = {
    {"family starts", EF_DOES_LOCAL, TIMED(families), .place = EF_PLAN_OWNER},
    {"local training", EF_DOES_LOCAL, TIMED(devices), .place = EF_PLAN_OWNER},
    {"proxies", EF_DOES_FUSION, TIMED(proxies), .place = EF_PLAN_ROOT, .events = "proxies|generated text"},
    {"base start", 0, TIMED(start), .place = EF_PLAN_ROOT},
    {"distillation", EF_DOES_FUSION, TIMED(distil), .place = EF_PLAN_OWNER, .check = check_stages},
    {"merge of copies", 0, COUNTS(copies), .place = EF_PLAN_ROOT},
    {"public only", EF_DOES_CONTROL, TIMED(control), .place = EF_PLAN_ALL, .together = true},
    {"merge", EF_DOES_FUSION, COUNTS(merge), .place = EF_PLAN_ROOT},
    {"teachers' answers", EF_DOES_MENTORS, TIMED(answers), .place = EF_PLAN_ALL},
    {"server", EF_DOES_SERVER, TIMED(server), .place = EF_PLAN_ALL, .together = true},
    {"rounds", EF_DOES_ROUNDS, TIMED(rounds), .place = EF_PLAN_OWNER, .check = check_rounds,
     .events = "round *"},
    {"average", EF_DOES_ROUNDS, TIMED(average), .place = EF_PLAN_ROOT},
    {"logits", EF_DOES_LOGITS, TIMED(logits), .place = EF_PLAN_ROOT, .check = check_logits,
     .events = "server's logits|devices' logits"},
    {"transfer to devices", EF_DOES_LOGITS, TIMED(transfer), .place = EF_PLAN_OWNER},
    {"tuning", 0, TIMED(tuning), .place = EF_PLAN_ALL, .together = true, .events = "tuning|round"},
    {0},
};

bool ef_plan_has(const ef_planner *p, const ef_plan_phase *phase) {
  return phase->does == 0 || (p->method->does & phase->does) != 0;
}
