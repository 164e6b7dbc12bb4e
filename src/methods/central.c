#include "fusion/merged.h"
#include "methods/methods.h"
#include "methods/recipes.h"

/* Every document that some device or the server may train on, in the order of the token file. */
static ef_status all_text(const ef_run *run, ef_stream *all) {
  ef_stream hidden = {0};
  ef_status status = ef_stream_split(&run->tokens, EF_PRIVATE, -1, &hidden);
  if (status == EF_OK) status = ef_stream_join(&run->public_text, &hidden, all);
  ef_stream_free(&hidden);
  return status;
}

static ef_status train(ef_run *run, ef_outcome *o, const ef_stream *all) {
  ef_tuning tuning = {.unit = EF_UNIT_TUNE,
                      .steps = ef_recipe_central_steps(run->deck),
                      .name = "tuning",
                      .sections = EF_RIVAL_SECTIONS};
  EF_TRY(ef_starts_make(run, &tuning.start));
  EF_TRY(ef_recipe_train(run, o, all, ef_unit(EF_UNIT_TUNE, 0), &tuning, &o->tuned));
  o->cost = ef_recipe_cost(run->deck, tuning.steps);
  return EF_OK;
}

ef_status ef_central(ef_run *run, ef_outcome *o) {
  ef_stream all = {0};
  EF_TRY(ef_agree(run->par, ef_outcome_open(run, o)));
  EF_TRY(ef_base_start(run));
  EF_TRY(ef_recipe_public_only(run, o));
  ef_status status = ef_agree(run->par, all_text(run, &all));
  if (status == EF_OK) status = train(run, o, &all);
  ef_stream_free(&all);
  return status;
}
