#include "methods/recipes.h"

#include "fusion/merged.h"

const char EF_RIVAL_SECTIONS[] = "text,federation,global,eval,fusion,tune,exits,rivals";
const char EF_CONTROL_SECTIONS[] = "text,federation,global,eval,fusion,tune,exits,control" EF_BEFORE_DEVICES;
static const char SERVER_SECTIONS[] =
    "text,federation,global,eval,fusion,tune,exits,rivals" EF_BEFORE_DEVICES
    ",-rivals.rounds,-rivals.steps,-rivals.lr,-rivals.experts,-rivals.central_steps,-rivals.kl,-rivals.top_k"
    ",-rivals.device_steps";

static int64_t base_steps(const ef_deck *deck) {
  return deck->federation.rounds * deck->fusion.clusters * deck->fusion.steps;
}

size_t ef_recipe_steps(const ef_deck *deck) { return (size_t)(base_steps(deck) + deck->tune.steps); }

size_t ef_recipe_final_steps(const ef_deck *deck) {
  int64_t steps = deck->rivals.final_steps;
  return (size_t)(steps >= 0 ? steps : 0);
}

size_t ef_recipe_mutual_steps(const ef_deck *deck) {
  int64_t steps = deck->rivals.final_steps;
  return steps >= 0 ? (size_t)steps : ef_recipe_steps(deck);
}

size_t ef_recipe_server_steps(const ef_deck *deck, size_t last) {
  int64_t steps = deck->rivals.server_steps;
  size_t all = ef_recipe_steps(deck);
  if (steps >= 0) return (size_t)steps;
  return all > last ? all - last : 0;
}

size_t ef_recipe_tune_steps(const ef_deck *deck) { return (size_t)deck->tune.steps; }

/* Equal tokens: the server's, and those of all local steps. */
size_t ef_recipe_central_steps(const ef_deck *deck) {
  int64_t steps = deck->rivals.central_steps;
  int64_t local = deck->federation.devices * deck->federation.rounds * deck->federation.steps;
  double windows = (double)local * (double)(deck->federation.batch * deck->federation.context);
  size_t more = (size_t)(windows / (double)(deck->tune.batch * deck->global.context));
  return steps ? (size_t)steps : ef_recipe_steps(deck) + more;
}

size_t ef_recipe_control_steps(const ef_deck *deck) {
  int64_t steps = deck->control.public_steps;
  return steps ? (size_t)steps : ef_recipe_steps(deck);
}

size_t ef_recipe_tokens(const ef_deck *deck, size_t steps) {
  return steps * (size_t)(deck->tune.batch * deck->global.context);
}

ef_cost ef_recipe_cost(const ef_deck *deck, size_t steps) {
  return (ef_cost){steps, steps, 0, ef_recipe_tokens(deck, steps)};
}

ef_status ef_recipe_train(ef_run *run, const ef_outcome *o, const ef_stream *text, uint64_t unit,
                          const ef_tuning *of, ef_tuned *tuned) {
  ef_text_feed windows = ef_text_feed_of(run, text, unit);
  ef_feed feed = ef_text_feed_plain(&windows);
  ef_tuning tuning = *of;
  tuning.global = &o->global;
  tuning.feed = &feed;
  tuning.train_experts = true;
  return ef_tune(run, &tuning, tuned);
}

/* What the server could have done with the public text alone. */
ef_status ef_recipe_public_only(ef_run *run, ef_outcome *o) {
  if (!run->deck->control.public_only) return EF_OK;
  ef_tuning control = {.unit = EF_UNIT_PUBLIC_ONLY,
                       .steps = ef_recipe_control_steps(run->deck),
                       .name = "public only",
                       .sections = EF_CONTROL_SECTIONS};
  EF_TRY(ef_starts_make(run, &control.start));
  return ef_recipe_train(run, o, &run->public_text, ef_unit(EF_UNIT_PUBLIC_ONLY, 0), &control,
                         &o->public_only);
}

static ef_status train_server(ef_run *run, ef_outcome *o, size_t steps, ef_part_key *key, ef_cost *cost) {
  ef_tuning tuning = {
      .unit = EF_UNIT_SERVER, .start = *key, .steps = steps, .name = "server", .sections = SERVER_SECTIONS};
  ef_tuned tuned = {0};
  ef_status status = ef_recipe_train(run, o, &run->public_text, ef_unit(EF_UNIT_SERVER, 0), &tuning, &tuned);
  *key = ef_tuning_part(&tuning);
  *cost = ef_recipe_cost(run->deck, steps);
  if (status == EF_OK) status = ef_outcome_stage(run, o, tuned.after, cost, "server");
  ef_tuned_free(&tuned);
  return status;
}

ef_status ef_recipe_server(ef_run *run, ef_outcome *o, size_t last, ef_part_key *key, ef_cost *cost) {
  size_t steps = ef_recipe_server_steps(run->deck, last);
  *cost = (ef_cost){0};
  EF_TRY(ef_base_start(run));
  EF_TRY(ef_recipe_public_only(run, o));
  EF_TRY(ef_starts_make(run, key));
  return steps > 0 ? train_server(run, o, steps, key, cost) : EF_OK;
}

ef_status ef_recipe_final(ef_run *run, ef_outcome *o, const ef_part_key *start, const ef_cost *cost,
                          const float *lineage) {
  size_t steps = ef_recipe_final_steps(run->deck);
  ef_tuning tuning = {.unit = EF_UNIT_TUNE,
                      .start = *start,
                      .steps = steps,
                      .lineage = lineage,
                      .name = "tuning",
                      .sections = EF_RIVAL_SECTIONS};
  EF_TRY(ef_recipe_train(run, o, &run->public_text, ef_unit(EF_UNIT_TUNE, 0), &tuning, &o->tuned));
  o->cost = *cost;
  o->cost.total_steps += steps;
  o->cost.sequential_steps += steps;
  o->cost.server_tokens += ef_recipe_tokens(run->deck, steps);
  return EF_OK;
}
