#include "federation/local.h"
#include "fusion/features.h"
#include "fusion/generated.h"
#include "methods/plan_internal.h"
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

const ef_plan_phase ef_plan_phases[] = {
    {"family starts", EF_DOES_LOCAL, NULL, ef_plan_families_work, ef_plan_families_memory, EF_PLAN_OWNER,
     false},
    {"local training", EF_DOES_LOCAL, NULL, ef_plan_devices_work, ef_plan_devices_memory, EF_PLAN_OWNER,
     false},
    {"proxies", EF_DOES_FUSION, NULL, ef_plan_proxies_work, ef_plan_proxies_memory, EF_PLAN_ROOT, false},
    {"base start", 0, NULL, ef_plan_start_work, ef_plan_start_memory, EF_PLAN_ROOT, false},
    {"distillation", EF_DOES_FUSION, check_stages, ef_plan_distil_work, ef_plan_distil_memory, EF_PLAN_OWNER,
     false},
    {"merge of copies", 0, NULL, ef_plan_copies_work, ef_plan_copies_memory, EF_PLAN_ROOT, false},
    {"public only", EF_DOES_CONTROL, NULL, ef_plan_control_work, ef_plan_control_memory, EF_PLAN_ALL, true},
    {"merge", EF_DOES_FUSION, NULL, ef_plan_merge_work, ef_plan_merge_memory, EF_PLAN_ROOT, false},
    {"teachers' answers", EF_DOES_MENTORS, NULL, ef_plan_answers_work, ef_plan_answers_memory, EF_PLAN_ALL,
     false},
    {"server", EF_DOES_SERVER, NULL, ef_plan_server_work, ef_plan_server_memory, EF_PLAN_ALL, true},
    {"rounds", EF_DOES_ROUNDS, check_rounds, ef_plan_rounds_work, ef_plan_rounds_memory, EF_PLAN_OWNER,
     false},
    {"average", EF_DOES_ROUNDS, NULL, ef_plan_average_work, ef_plan_average_memory, EF_PLAN_ROOT, false},
    {"logits", EF_DOES_LOGITS, check_logits, ef_plan_logits_work, ef_plan_logits_memory, EF_PLAN_ROOT, false},
    {"transfer to devices", EF_DOES_LOGITS, NULL, ef_plan_transfer_work, ef_plan_transfer_memory,
     EF_PLAN_OWNER, false},
    {"tuning", 0, NULL, ef_plan_tuning_work, ef_plan_tuning_memory, EF_PLAN_ALL, true},
    {0},
};

bool ef_plan_has(const ef_planner *p, const ef_plan_phase *phase) {
  return phase->does == 0 || (p->method->does & phase->does) != 0;
}
