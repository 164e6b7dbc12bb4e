/* Rounds of the global model and of logits (src/rivals). */
#include "federation/local.h"
#include "federation/wire.h"
#include "plan/plan_internal.h"
#include "rivals/logits.h"
#include "rivals/rounds.h"
#include "rivals/transfer.h"

/* ---- rounds of the global model ------------------------------------------------------------------------ */

/* The device whose trainer is largest: they differ by their text alone. */
static size_t most_tokens(const ef_planner *p) {
  size_t most = 0;
  for (size_t n = 0; n < p->population->devices; n++) {
    if (ef_plan_trains(p, n)) most = ef_plan_larger(most, ef_local_tokens(p->run, p->population, n));
  }
  return most;
}

size_t ef_plan_rounds_steps(const ef_planner *p, size_t device) {
  size_t tokens = ef_local_tokens(p->run, p->population, device);
  return ef_rounds_steps(p->deck, tokens - ef_local_slice(p->deck, tokens));
}

/* The model that a device received, its trainer and its text. */
static ef_status local_bytes(const ef_planner *p, size_t *bytes) {
  size_t tokens = most_tokens(p), model, trainer;
  ef_stream slice = {.count = ef_local_slice(p->deck, tokens)};
  ef_recipe recipe = ef_local_recipe(p->deck, p->deck->rivals.lr, slice.count >= 2 ? &slice : NULL);
  recipe.steps = ef_rounds_steps(p->deck, tokens - slice.count);
  recipe.context = (size_t)p->deck->global.context;
  EF_TRY(ef_plan_model_bytes(&p->local, &recipe, 0, &model, &trainer));
  *bytes = model + trainer + tokens * sizeof(int32_t) +
           2 * ef_dims_exit_count(&p->local) * p->local.D * sizeof(float);
  return EF_OK;
}

/* The server's model with what is made of it: the local one, or the common expert and the pass of the gate.
 */
static ef_status receiving_bytes(const ef_planner *p, size_t *bytes) {
  size_t global, local, common = 0;
  EF_TRY(ef_plan_model_bytes(&p->global, NULL, 0, &global, NULL));
  EF_TRY(ef_plan_model_bytes(&p->local, NULL, 0, &local, NULL));
  if (p->method->does & EF_DOES_PRUNED) {
    size_t gate = ef_pass_bytes(&p->base, EF_PASS_TRAIN, 1, (size_t)p->deck->global.context, false);
    EF_TRY(ef_plan_model_bytes(&p->base, NULL, 0, &common, NULL));
    common += ef_plan_larger(gate, ef_wire_bytes(p->deck, &p->base));
  }
  *bytes = most_tokens(p) * sizeof(int32_t) + global + ef_plan_larger(local, common);
  return EF_OK;
}

ef_status ef_plan_rounds_memory(const ef_planner *p, size_t *bytes) {
  size_t receiving, training;
  EF_TRY(receiving_bytes(p, &receiving));
  EF_TRY(local_bytes(p, &training));
  *bytes = ef_plan_larger(receiving, training + ef_plan_measure_bytes(p, &p->local));
  return EF_OK;
}

/* The root holds its model, twice that in sums, and an upload; beside them the message and the model that it
 * is filled from, then the evaluator. */
ef_status ef_plan_average_memory(const ef_planner *p, size_t *bytes) {
  size_t global, local;
  EF_TRY(ef_plan_model_bytes(&p->global, NULL, 0, &global, NULL));
  EF_TRY(ef_plan_model_bytes(&p->local, NULL, 0, &local, NULL));
  *bytes = 3 * global + local +
           ef_plan_larger(local + ef_wire_bytes(p->deck, &p->local), ef_plan_measure_bytes(p, &p->global));
  return EF_OK;
}

ef_status ef_plan_device_bytes(const ef_planner *p, size_t *bytes) {
  *bytes = 0;
  if (p->method->does & EF_DOES_ROUNDS) return local_bytes(p, bytes);
  return p->method->does & EF_DOES_LOCAL ? ef_plan_own_bytes(p, bytes) : EF_OK;
}

/* ---- rounds of logits ---------------------------------------------------------------------------------- */

/* Of a set, of its message, and of the numbers of the samples. */
static void set_bytes(const ef_planner *p, size_t *set, size_t *message, size_t *samples) {
  size_t tokens, windows, k = (size_t)p->deck->rivals.top_k;
  ef_transfer_samples(p->run, &tokens, &windows);
  *set = (size_t)ef_logit_set_formula(tokens, windows, k, false);
  *message = (size_t)ef_logit_set_formula(tokens, windows, k, ef_wire_number_bytes(p->deck) == 2);
  *samples = (windows + 1) * sizeof(size_t) + windows * sizeof(int32_t);
}

size_t ef_plan_targets_bytes(const ef_planner *p) {
  size_t set, message, samples;
  set_bytes(p, &set, &message, &samples);
  return set + samples;
}

/* What a set is made with, beside the model and its pass (rivals/logits_make.c). */
static size_t maker_bytes(const ef_planner *p) {
  size_t rows = (size_t)(p->deck->eval.batch * p->deck->global.context);
  return EF_LOGIT_ROWS * p->global.V * sizeof(float) + rows * (2 * sizeof(int32_t) + sizeof(float));
}

/* Of the global model, then of a device, then two on the way with a message. */
ef_status ef_plan_logits_memory(const ef_planner *p, size_t *bytes) {
  size_t B = (size_t)p->deck->eval.batch, T = (size_t)p->deck->global.context;
  size_t shared, routed, set, message, samples;
  set_bytes(p, &set, &message, &samples);
  EF_TRY(ef_plan_shard_floats(p, &shared, &routed));
  size_t making = (shared + routed) * sizeof(float) + ef_plan_spread_bytes(p, EF_PASS_EVAL, B, T);
  for (size_t i = 0; i < p->population->entries; i++) {
    const ef_dims *dims = &p->population->dims[i];
    size_t model;
    EF_TRY(ef_plan_model_bytes(dims, NULL, 0, &model, NULL));
    making = ef_plan_larger(making, model + ef_pass_bytes(dims, EF_PASS_EVAL, B, T, false));
  }
  *bytes = ef_plan_targets_bytes(p) + set + ef_plan_larger(making + maker_bytes(p), set + message);
  return EF_OK;
}

/* A device's model and trainer, the server's set and its own; the message before the trainer is there. */
ef_status ef_plan_transfer_memory(const ef_planner *p, size_t *bytes) {
  const ef_deck *d = p->deck;
  size_t set, message, samples, most = 0;
  ef_recipe recipe = {.steps = (size_t)d->rivals.device_steps,
                      .batch = (size_t)d->federation.batch,
                      .context = (size_t)d->global.context};
  if (d->rivals.device_steps == 0) return EF_OK;
  set_bytes(p, &set, &message, &samples);
  for (size_t i = 0; i < p->population->entries; i++) {
    size_t model, trainer;
    EF_TRY(ef_plan_model_bytes(&p->population->dims[i], &recipe, 0, &model, &trainer));
    most = ef_plan_larger(most, model + ef_plan_larger(trainer + set, message));
  }
  *bytes = ef_plan_targets_bytes(p) + set + most;
  return EF_OK;
}
