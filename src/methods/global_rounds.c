#include "methods/global_rounds.h"

#include "methods/recipes.h"
#include "rivals/rounds.h"
#include <string.h>

/* Tokens that the devices' steps saw; a round adds as many as it took steps. */
static size_t tokens_of(const ef_deck *deck, size_t steps) {
  return steps * (size_t)(deck->federation.batch * deck->global.context);
}

static ef_status add_stages(const ef_run *run, ef_outcome *o, const ef_rounds *rounds, ef_cost *cost) {
  for (size_t r = 0; r < rounds->count; r++) {
    const ef_quality *by_domain = rounds->validation + r * run->tokens.domain_count;
    cost->device_tokens += tokens_of(run->deck, rounds->steps[r]);
    EF_TRY(ef_outcome_stage(run, o, by_domain, cost, "round %zu", r + 1));
  }
  return EF_OK;
}

static ef_status train(ef_run *run, ef_outcome *o, const ef_rounds_plan *plan, ef_cost *cost) {
  ef_rounds rounds = {0};
  ef_status status = EF_OK;
  EF_GO(ef_rounds_run(run, &o->population, plan, &o->devices, &o->ledger, &rounds));
  memcpy(o->formula, rounds.formula, sizeof o->formula);
  EF_GO(ef_agree(run->par, add_stages(run, o, &rounds, cost)));
  EF_GO(ef_recipe_final(run, o, &rounds.last, cost, rounds.lineage));
done:
  ef_rounds_free(&rounds);
  return status;
}

ef_status ef_global_rounds(ef_run *run, ef_outcome *o, size_t held, bool common) {
  ef_rounds_plan plan = {.sections = EF_RIVAL_SECTIONS, .held = held, .common = common};
  ef_cost cost;
  EF_TRY(ef_agree(run->par, ef_outcome_open(run, o)));
  EF_TRY(ef_rounds_check(run, &o->population, held));
  EF_TRY(ef_recipe_server(run, o, ef_recipe_final_steps(run->deck), &plan.start, &cost));
  return train(run, o, &plan, &cost);
}
