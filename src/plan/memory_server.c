/* The global model on the server, its experts spread over the ranks (step/step.h, fusion/tune.h). */
#include "base/memory.h"
#include "fusion/answers.h"
#include "methods/recipes.h"
#include "par/tree.h"
#include "par/units.h"
#include "plan/memory.h"
#include "plan/plan_internal.h"
#include "step/exchange.h"
#include <math.h>

/* ---- tuning ------------------------------------------------------------------------------------------- */

/* Open nodes when each of the first `ranks` of `size` has added so many of its leaves, in order. */
static size_t open_nodes(size_t units, int size, int ranks, size_t added) {
  size_t count = 0, start = 0, end = 0; /* a row of leaves without gaps */
  for (int r = 0; r < ranks; r++) {
    size_t first = ef_block_first(units, size, r), next = ef_block_first(units, size, r + 1);
    if (first != end) {
      count += ef_tree_open_nodes(units, start, end);
      start = first;
    }
    end = first + added < next ? first + added : next;
  }
  return count + ef_tree_open_nodes(units, start, end);
}

size_t ef_plan_tree_buffers(size_t units, int ranks, bool all) {
  size_t most = 0, slots = (units + (size_t)ranks - 1) / (size_t)ranks;
  int adding = all ? ranks : 1;
  for (size_t slot = 0; slot < slots; slot++) {
    size_t leaves = 0;
    for (int r = 0; r < adding; r++) {
      leaves += ef_block_first(units, ranks, r) + slot < ef_block_first(units, ranks, r + 1);
    }
    most = ef_plan_larger(most, open_nodes(units, ranks, adding, slot) + leaves);
  }
  return most;
}

/* ---- passes -------------------------------------------------------------------------------------------- */

/* A router that has learnt nothing yet loads some ranks more than others: the busiest one is taken to compute
 * this many times its even share of the rows. Buffers on 4 ranks with untrained routers were 2.4 times those
 * of even shares. */
static const double BUSIEST = 2.5;

/* Part of all routed rows that the busiest rank computes. A token meets an expert once, so that the experts
 * of a rank cannot take more than held / K of them. */
static double busiest_share(const ef_planner *p) {
  double E = (double)p->global.E, held = (double)ef_block_first(p->global.E, p->ranks, 1);
  if (p->global.E == 0) return 0.0;
  double most = held < (double)p->global.K ? held / (double)p->global.K : 1.0, share = BUSIEST * held / E;
  return share < most ? share : most;
}

/* Ranks that have a micro-batch of a step at once; in evaluations all have one. */
static double busy_ranks(const ef_planner *p, bool train) {
  int64_t units = p->deck->tune.batch / p->deck->tune.micro_batch;
  return (double)(train && units < p->ranks ? units : p->ranks);
}

/* Buffers of the exchange for micro-batches of `rows` tokens on the busiest rank (step/exchange_buffers.c);
 * they are made a quarter larger than the first need. The widest block is an expert that every token chose.
 */
static size_t exchange_bytes(const ef_planner *p, size_t rows, bool train) {
  const ef_dims *g = &p->global;
  double layers = train ? (double)ef_dims_moe_count(g) : 1.0, N = (double)(rows * g->K);
  double own = busiest_share(p) * N, others = own * fmin(busy_ranks(p, train), (double)p->ranks - 1.0);
  double D = (double)g->D, inner = 3.0 * (double)g->Fe;
  double kept = others * D + (train ? (own + others) * inner : 0.0);
  double scratch = others * D * (train ? 2.0 : 1.0) + (double)rows * inner;
  return (size_t)(1.25 * (layers * kept + scratch) * sizeof(float));
}

/* What the leader of a node may stage for the two-level way, with what it sends itself
 * (step/exchange_route.c). */
static size_t staging_bytes(const ef_planner *p, size_t rows) {
  size_t own = (size_t)(1.25 * (double)(rows * p->global.K * p->global.D) * sizeof(float));
  return p->peers + 1 < p->ranks ? own + EF_STAGING_MOST / 4 * 5 : 0;
}

/* A pass whose experts are computed by the exchange: without the inner activations of the experts. */
static size_t pass_bytes(const ef_planner *p, ef_pass_kind kind, size_t B, size_t T) {
  const ef_dims *g = &p->global;
  size_t rows = B * T, inner = kind == EF_PASS_TRAIN ? ef_dims_moe_count(g) * rows * g->K : rows;
  return ef_pass_bytes(g, kind, B, T, false) - inner * 3 * g->Fe * sizeof(float);
}

size_t ef_plan_spread_bytes(const ef_planner *p, ef_pass_kind kind, size_t B, size_t T) {
  return pass_bytes(p, kind, B, T) + exchange_bytes(p, B * T, kind == EF_PASS_TRAIN);
}

ef_status ef_plan_shard_floats(const ef_planner *p, size_t *shared, size_t *routed) {
  ef_table table;
  EF_TRY(ef_table_build(&p->global, 0, ef_block_first(p->global.E, p->ranks, 1), &table));
  *shared = table.shared;
  *routed = table.floats - table.shared;
  ef_table_free(&table);
  return EF_OK;
}

/* ---- trainings ----------------------------------------------------------------------------------------- */

/* Parameters, the best so far, their average, two moments, sums of gradients, and both passes. */
static ef_status tune_bytes(const ef_planner *p, size_t steps, bool train_experts, size_t *bytes) {
  const ef_deck *d = p->deck;
  size_t B = (size_t)d->tune.micro_batch, T = (size_t)d->global.context, M = (size_t)d->tune.batch / B;
  size_t shared, routed;
  EF_TRY(ef_plan_shard_floats(p, &shared, &routed));
  size_t trained = train_experts ? routed : 0, heads = 1 + ef_dims_exit_count(&p->global);
  size_t copies = d->tune.average > 0.0 ? 3 : 2; /* of all parameters */
  size_t trees = shared * ef_plan_tree_buffers(M, p->ranks, false) +
                 (trained > 0 ? trained * ef_plan_tree_buffers(M, p->ranks, true) : 0);
  if (p->ranks > 1) trees += shared; /* segments that come from the others */
  *bytes = (copies * (shared + routed) + 2 * (shared + trained) + trees + heads * B * T * p->global.D +
            steps * EF_HISTORY_COLUMNS) *
           sizeof(float);
  *bytes += ef_plan_spread_bytes(p, EF_PASS_TRAIN, B, T);
  *bytes += ef_plan_spread_bytes(p, EF_PASS_EVAL, (size_t)d->eval.batch, T);
  *bytes += staging_bytes(p, (size_t)d->eval.batch * T);
  return EF_OK;
}

ef_status ef_plan_control_memory(const ef_planner *p, size_t *bytes) {
  return ef_plan_control(p) ? tune_bytes(p, ef_recipe_control_steps(p->deck), true, bytes) : EF_OK;
}

ef_status ef_plan_server_memory(const ef_planner *p, size_t *bytes) {
  size_t steps = ef_recipe_server_steps(p->deck, p->method->final_steps(p->deck));
  return steps > 0 ? tune_bytes(p, steps, true, bytes) : EF_OK;
}

/* A teacher with its last hidden states. */
static ef_status mentor_bytes(const ef_planner *p, const ef_dims *dims, size_t *bytes) {
  size_t rows = (size_t)p->deck->global.context;
  EF_TRY(ef_plan_model_bytes(dims, NULL, 0, bytes, NULL));
  *bytes += rows * dims->D * sizeof(float);
  return EF_OK;
}

/* The teachers, and a pass for each family entry. The families of proxies are not known yet: the largest
 * stands for all. */
static ef_status mentors_bytes(const ef_planner *p, size_t *bytes) {
  size_t T = (size_t)p->deck->global.context, passes = 0;
  for (size_t i = 0; i < p->population->entries; i++)
    passes += ef_pass_bytes(&p->population->dims[i], EF_PASS_EVAL, 1, T, false);
  if (!ef_mentors_are_uploads(p->deck)) {
    EF_TRY(mentor_bytes(p, ef_plan_largest(p), bytes));
    *bytes = *bytes * (size_t)p->deck->fusion.clusters + passes;
    return EF_OK;
  }
  *bytes = passes;
  for (size_t n = 0; n < p->population->devices; n++) {
    size_t one;
    if (!ef_plan_trains(p, n)) continue;
    EF_TRY(mentor_bytes(p, ef_plan_dims(p, n), &one));
    *bytes += one;
  }
  return EF_OK;
}

ef_status ef_plan_answers_memory(const ef_planner *p, size_t *bytes) {
  size_t generated = ef_plan_generated(p);
  if (!ef_plan_mentors(p)) return EF_OK;
  EF_TRY(mentors_bytes(p, bytes));
  *bytes += generated * sizeof(int32_t) + ef_answers_piece_bytes(p->run, generated);
  return EF_OK;
}

/* What a fusion adds: the answers, and the text that was generated. */
static size_t fusion_bytes(const ef_planner *p) {
  size_t generated = ef_plan_generated(p);
  return generated * sizeof(int32_t) + (ef_plan_mentors(p) ? ef_answers_bytes(p->run, generated) : 0);
}

/* Public and private text in one block. */
static size_t all_text_bytes(const ef_planner *p) {
  const ef_tokens *t = &p->run->tokens;
  size_t tokens = p->run->public_text.count;
  for (size_t i = 0; i < t->documents; i++) {
    if (t->split[i] == EF_PRIVATE) tokens += (size_t)(t->offset[i + 1] - t->offset[i]);
  }
  return tokens * sizeof(int32_t);
}

ef_status ef_plan_tuning_memory(const ef_planner *p, size_t *bytes) {
  unsigned does = p->method->does;
  bool fusion = does & EF_DOES_FUSION;
  size_t beside = 0;
  EF_TRY(tune_bytes(p, p->method->final_steps(p->deck), !fusion || p->deck->tune.experts, bytes));
  if (fusion) beside = fusion_bytes(p);
  if (does & EF_DOES_CENTRAL) beside = all_text_bytes(p);
  if (does & EF_DOES_LOGITS) beside = ef_plan_targets_bytes(p);
  *bytes += beside;
  return EF_OK;
}
