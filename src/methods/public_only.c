#include "fusion/merged.h"
#include "methods/methods.h"
#include "methods/recipes.h"

/* The control as a run of its own: equal steps, text and bits, but the result is a checkpoint. */
ef_status ef_public_only(ef_run *run, ef_outcome *o) {
  ef_text_feed text = ef_text_feed_of(run, &run->public_text, ef_unit(EF_UNIT_PUBLIC_ONLY, 0));
  ef_feed feed = ef_text_feed_plain(&text);
  ef_tuning tuning = {.unit = EF_UNIT_TUNE,
                      .global = &o->global,
                      .feed = &feed,
                      .steps = ef_recipe_control_steps(run->deck),
                      .train_experts = true,
                      .name = "tuning",
                      .sections = "text,federation,global,eval,fusion,tune,exits,control"};
  EF_TRY(ef_agree(run->par, ef_outcome_open(run, o)));
  EF_TRY(ef_base_start(run));
  EF_TRY(ef_starts_make(run, &tuning.start));
  EF_TRY(ef_tune(run, &tuning, &o->tuned));
  o->cost = (ef_cost){tuning.steps, tuning.steps, 0, ef_recipe_tokens(run->deck, tuning.steps)};
  return EF_OK;
}
