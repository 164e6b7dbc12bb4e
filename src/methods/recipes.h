/* Trainings on the server that several methods share.
 *
 * Every method gives the server as many optimiser steps: fusion.clusters * fusion.steps before, times
 * federation.rounds, and tune.steps at the end, unless the deck's section `rivals` says otherwise. DeepFusion
 * spends the former on its bases, the others on the global model itself, which they begin from copies of the
 * bases' common start, merged.
 */
#pragma once

#include "methods/outcome.h"

/* Optimiser steps of DeepFusion's server in all: K bases, then the merged model. Pure. */
size_t ef_recipe_steps(const ef_deck *deck);

/* Those of the other methods before the devices take part and after. Pure. */
size_t ef_recipe_server_steps(const ef_deck *deck);
size_t ef_recipe_final_steps(const ef_deck *deck);

/* Of the last training of a fusion, of central, and of the control. Pure. */
size_t ef_recipe_tune_steps(const ef_deck *deck);
size_t ef_recipe_central_steps(const ef_deck *deck);
size_t ef_recipe_control_steps(const ef_deck *deck);

/* Tokens of `steps` steps of a global model on the server. Pure. */
size_t ef_recipe_tokens(const ef_deck *deck, size_t steps);

/* The control public_only, if the deck asks for it: as many steps as DeepFusion's server takes in all, or
 * control.public_steps. Needs ef_base_start. Collective. */
ef_status ef_recipe_public_only(ef_run *run, ef_outcome *outcome);

/* What the other methods share: common start, control, the global model trained on public text before the
 * devices take part. `key` names the part that holds it, `cost` what stands behind it; it is a stage
 * ("server") if it was trained at all. Collective. */
ef_status ef_recipe_server(ef_run *run, ef_outcome *outcome, ef_part_key *key, ef_cost *cost);

/* The last training on public text, of the model in part `start` with `cost` behind it: outcome->tuned and
 * outcome->cost. lineage (E,N) or NULL. Collective. */
ef_status ef_recipe_final(ef_run *run, ef_outcome *outcome, const ef_part_key *start, const ef_cost *cost,
                          const float *lineage);
