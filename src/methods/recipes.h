/* Trainings on the server that several methods share.
 *
 * Every method gives the server as many optimiser steps as DeepFusion's takes for its bases and the merged
 * model together. The others spend them on the global model itself, which they begin from copies of the
 * bases' common start, merged: before the devices take part, or after (rivals.server_steps, final_steps).
 */
#pragma once

#include "methods/outcome.h"

/* Optimiser steps of DeepFusion's server in all: K bases, then the merged model. Pure. */
size_t ef_recipe_steps(const ef_deck *deck);

/* Those of the other methods after the devices took part: none unless the deck asks for some; and of FedMKT,
 * whose server learns in every round: all. Pure. */
size_t ef_recipe_final_steps(const ef_deck *deck);
size_t ef_recipe_mutual_steps(const ef_deck *deck);
/* Those before, of a method that takes `last` after. Pure. */
size_t ef_recipe_server_steps(const ef_deck *deck, size_t last);

/* Of the last training of a fusion, of central, and of the control. Pure. */
size_t ef_recipe_tune_steps(const ef_deck *deck);
size_t ef_recipe_central_steps(const ef_deck *deck);
size_t ef_recipe_control_steps(const ef_deck *deck);

/* Tokens of `steps` steps of a global model on the server. Pure. */
size_t ef_recipe_tokens(const ef_deck *deck, size_t steps);

/* What stands behind a global model that took `steps` of them, and nothing else. Pure. */
ef_cost ef_recipe_cost(const ef_deck *deck, size_t steps);

/* Sections of the deck behind the server's trainings of the other methods, and behind the control. */
extern const char EF_RIVAL_SECTIONS[], EF_CONTROL_SECTIONS[];

/* Trains the whole global model on windows of `text`, from the random stream of `unit`, by cross-entropy
 * alone; `of` says the rest: unit, start, steps, name, sections, lineage. Collective. */
ef_status ef_recipe_train(ef_run *run, const ef_outcome *outcome, const ef_stream *text, uint64_t unit,
                          const ef_tuning *of, ef_tuned *tuned);

/* The control public_only, if the deck asks for it: as many steps as DeepFusion's server takes in all, or
 * control.public_steps. Needs ef_base_start. Collective. */
ef_status ef_recipe_public_only(ef_run *run, ef_outcome *outcome);

/* What the other methods share: common start, control, the global model trained on public text before the
 * devices take part, by a method that takes `last` steps after. `key` names the part that holds it, `cost`
 * what stands behind it; it is a stage
 * ("server") if it was trained at all. Collective. */
ef_status ef_recipe_server(ef_run *run, ef_outcome *outcome, size_t last, ef_part_key *key, ef_cost *cost);

/* The last training on public text, of the model in part `start` with `cost` behind it: outcome->tuned and
 * outcome->cost. lineage (E,N) or NULL. Collective. */
ef_status ef_recipe_final(ef_run *run, ef_outcome *outcome, const ef_part_key *start, const ef_cost *cost,
                          const float *lineage);
