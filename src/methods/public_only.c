#include "fusion/merged.h"
#include "methods/methods.h"
#include "methods/recipes.h"

/* The control as a run of its own: equal steps, text and bits, but the result is a checkpoint. */
ef_status ef_public_only(ef_run *run, ef_outcome *o) {
  ef_tuning tuning = {.unit = EF_UNIT_TUNE,
                      .steps = ef_recipe_control_steps(run->deck),
                      .name = "tuning",
                      .sections = EF_CONTROL_SECTIONS};
  EF_TRY(ef_agree(run->par, ef_outcome_open(run, o)));
  EF_TRY(ef_base_start(run));
  EF_TRY(ef_starts_make(run, &tuning.start));
  EF_TRY(ef_recipe_train(run, o, &run->public_text, ef_unit(EF_UNIT_PUBLIC_ONLY, 0), &tuning, &o->tuned));
  o->cost = ef_recipe_cost(run->deck, tuning.steps);
  return EF_OK;
}
