#include "federation/local.h"
#include "federation/upload.h"
#include "federation/wire.h"
#include "fusion/answers.h"
#include "fusion/generated.h"
#include "methods/recipes.h"
#include "plan/plan_internal.h"
#include "rivals/logits.h"
#include "rivals/pruned.h"
#include "rivals/rounds.h"
#include "rivals/transfer.h"

/* ---- building blocks ----------------------------------------------------------------------------------- */

static double cost(const ef_dims *dims, size_t steps, int64_t batch, int64_t context) {
  return ef_train_cost(dims, steps, (size_t)batch, (size_t)context);
}

static size_t model_part(const ef_dims *dims) { return ef_dims_params(dims) * sizeof(float); }

static size_t trainers(const ef_planner *p) {
  size_t n = 0;
  for (size_t i = 0; i < p->population->devices; i++) n += ef_plan_trains(p, i);
  return n;
}

/* Steps of the global model on the server. */
static void server_steps(const ef_planner *p, size_t steps, ef_plan *plan) {
  plan->total_steps += steps;
  plan->sequential_steps += steps;
  plan->server_tokens += (double)ef_recipe_tokens(p->deck, steps);
  plan->flops += cost(&p->global, steps, p->deck->tune.batch, p->deck->global.context);
}

/* ---- devices with models of their own ------------------------------------------------------------------ */

void ef_plan_families_work(const ef_planner *p, ef_plan *plan) {
  const ef_deck *d = p->deck;
  for (size_t i = 0; i < p->population->entries; i++) {
    const ef_dims *dims = &p->population->dims[i];
    plan->part_bytes += model_part(dims);
    plan->flops +=
        cost(dims, (size_t)d->federation.pretrain_steps, d->federation.batch, d->federation.context);
  }
}

size_t ef_plan_upload_rounds(const ef_planner *p) {
  return p->method->does & EF_DOES_FUSION ? (size_t)p->deck->federation.rounds : 1;
}

void ef_plan_devices_work(const ef_planner *p, ef_plan *plan) {
  const ef_deck *d = p->deck;
  size_t rounds = ef_plan_upload_rounds(p);
  for (size_t n = 0; n < p->population->devices; n++) {
    if (!ef_plan_trains(p, n)) continue;
    size_t steps = rounds * ef_plan_local_steps(p, n);
    plan->part_bytes += rounds * model_part(ef_plan_dims(p, n));
    plan->device_tokens += (double)(steps * (size_t)(d->federation.batch * d->federation.context));
    plan->flops += cost(ef_plan_dims(p, n), steps, d->federation.batch, d->federation.context);
  }
}

/* ---- fusion -------------------------------------------------------------------------------------------- */

static size_t base_units(const ef_planner *p) {
  return (size_t)(p->deck->federation.rounds * p->deck->fusion.clusters);
}

void ef_plan_proxies_work(const ef_planner *p, ef_plan *plan) {
  const ef_deck *d = p->deck;
  const ef_dims *proxy = ef_plan_largest(p);
  size_t units = base_units(p);
  for (size_t n = 0; n < p->population->devices; n++) {
    if (ef_plan_trains(p, n)) plan->upload_bytes += ef_upload_formula(d, ef_plan_dims(p, n));
  }
  plan->part_bytes += 2 * units * model_part(proxy);
  if (!ef_generated_on(d)) return;
  size_t length = ef_generated_length(d), samples = length / (size_t)d->federation.context;
  plan->flops += (double)units * cost(proxy, samples, 1, d->federation.context) / 3.0;
  plan->part_bytes += units * length * sizeof(int32_t);
}

void ef_plan_start_work(const ef_planner *p, ef_plan *plan) {
  const ef_deck *d = p->deck;
  plan->part_bytes += model_part(&p->base);
  plan->flops += cost(&p->base, (size_t)d->global.pretrain_steps, d->federation.batch, d->global.context);
}

void ef_plan_distil_work(const ef_planner *p, ef_plan *plan) {
  const ef_deck *d = p->deck;
  size_t units = base_units(p), steps = (size_t)d->fusion.steps;
  int64_t batch = d->fusion.batch, context = d->global.context;
  plan->total_steps += units * steps;
  plan->sequential_steps += (size_t)d->federation.rounds * steps;
  plan->server_tokens += (double)(units * steps * (size_t)(batch * context));
  plan->flops += (double)units * (cost(&p->base, steps, batch, context) +
                                  cost(ef_plan_largest(p), steps, batch, context) / 3.0);
  plan->part_bytes += units * model_part(&p->base);
}

void ef_plan_merge_work(const ef_planner *p, ef_plan *plan) { plan->part_bytes += model_part(&p->global); }

/* ---- trainings of the global model on the server ------------------------------------------------------- */

void ef_plan_copies_work(const ef_planner *p, ef_plan *plan) {
  if (ef_plan_copies(p)) plan->part_bytes += model_part(&p->global);
}

/* The control is work, but none that stands behind the result. */
void ef_plan_control_work(const ef_planner *p, ef_plan *plan) {
  if (!ef_plan_control(p)) return;
  size_t steps = ef_recipe_control_steps(p->deck);
  plan->flops += cost(&p->global, steps, p->deck->tune.batch, p->deck->global.context);
  plan->part_bytes += model_part(&p->global);
}

void ef_plan_server_work(const ef_planner *p, ef_plan *plan) {
  size_t steps = ef_recipe_server_steps(p->deck, p->method->final_steps(p->deck));
  server_steps(p, steps, plan);
  if (steps > 0) plan->part_bytes += model_part(&p->global);
}

/* FLOPs of all teachers on one token. The families of proxies are not known yet: the largest stands for all.
 */
static double mentors_flops(const ef_planner *p) {
  size_t context = (size_t)p->deck->global.context;
  double sum = 0.0;
  if (!ef_mentors_are_uploads(p->deck))
    return (double)p->deck->fusion.clusters * ef_forward_flops_per_token(ef_plan_largest(p), context);
  for (size_t n = 0; n < p->population->devices; n++) {
    if (ef_plan_trains(p, n)) sum += ef_forward_flops_per_token(ef_plan_dims(p, n), context);
  }
  return sum;
}

void ef_plan_answers_work(const ef_planner *p, ef_plan *plan) {
  if (!ef_plan_mentors(p)) return;
  size_t generated = ef_plan_generated(p);
  plan->flops += mentors_flops(p) * (double)ef_answers_read(p->run, generated);
  plan->part_bytes += ef_answers_bytes(p->run, generated);
}

void ef_plan_tuning_work(const ef_planner *p, ef_plan *plan) {
  const ef_deck *d = p->deck;
  size_t steps = p->method->final_steps(d), moe = ef_dims_params(&p->global);
  bool frozen = (p->method->does & EF_DOES_FUSION) && !d->tune.experts;
  size_t still = frozen ? ef_dims_moe_count(&p->global) * p->global.E * 3 * p->global.D * p->global.Fe : 0;
  server_steps(p, steps, plan);
  size_t copies = d->tune.average > 0.0 ? 3 : 2; /* with the best so far, and the average */
  plan->checkpoint_bytes = sizeof(float) * (copies * moe + 2 * (moe - still));
}

/* ---- rounds of the global model ------------------------------------------------------------------------ */

/* A model down and one up in every round; the common expert goes down once: 2 R sum |M_loc| + N |m_c|. */
void ef_plan_rounds_work(const ef_planner *p, ef_plan *plan) {
  const ef_deck *d = p->deck;
  size_t N = trainers(p), rounds = (size_t)d->rivals.rounds, steps = 0;
  for (size_t n = 0; n < p->population->devices; n++) {
    if (ef_plan_trains(p, n)) steps += rounds * ef_plan_rounds_steps(p, n);
  }
  uint64_t width = ef_wire_number_bytes(d), local = width * ef_pruned_numbers(&p->global, ef_plan_held(p));
  uint64_t common = p->method->does & EF_DOES_PRUNED ? width * ef_dims_params(&p->base) : 0;
  plan->upload_bytes += N * rounds * local;
  plan->download_bytes += N * (rounds * local + common);
  plan->device_tokens += (double)(steps * (size_t)(d->federation.batch * d->global.context));
  plan->flops += cost(&p->local, steps, d->federation.batch, d->global.context);
  plan->part_bytes += N * model_part(&p->local); /* of one round at a time */
}

void ef_plan_average_work(const ef_planner *p, ef_plan *plan) {
  plan->part_bytes += (size_t)p->deck->rivals.rounds * model_part(&p->global);
}

/* ---- rounds of logits ---------------------------------------------------------------------------------- */

typedef struct logits {
  size_t devices, rounds, windows, set; /* set: bytes of one in a file */
  uint64_t message;                     /* bytes of one on the wire */
  bool down;
} logits;

static logits logits_of(const ef_planner *p) {
  const ef_deck *d = p->deck;
  size_t tokens, windows, k = (size_t)d->rivals.top_k;
  ef_transfer_samples(p->run, &tokens, &windows);
  return (logits){.devices = trainers(p),
                  .rounds = (size_t)d->rivals.rounds,
                  .windows = windows,
                  .set = (size_t)ef_logit_set_formula(tokens, windows, k, false),
                  .message = ef_logit_set_formula(tokens, windows, k, ef_wire_number_bytes(d) == 2),
                  .down = d->rivals.device_steps > 0};
}

/* The server's sets and the targets stay, those of the devices are there for one round. */
void ef_plan_logits_work(const ef_planner *p, ef_plan *plan) {
  logits l = logits_of(p);
  int64_t context = p->deck->global.context;
  size_t of_server = l.rounds + l.down;
  plan->upload_bytes += l.devices * l.rounds * l.message;
  plan->part_bytes += (of_server + l.rounds + l.devices) * l.set + (l.rounds - 1) * model_part(&p->global);
  plan->flops += (double)of_server * cost(&p->global, l.windows, 1, context) / 3.0;
  for (size_t n = 0; n < p->population->devices; n++) {
    if (!ef_plan_trains(p, n)) continue;
    plan->flops += (double)l.rounds * cost(ef_plan_dims(p, n), l.windows, 1, context) / 3.0;
  }
}

void ef_plan_transfer_work(const ef_planner *p, ef_plan *plan) {
  const ef_deck *d = p->deck;
  logits l = logits_of(p);
  size_t steps = l.rounds * (size_t)d->rivals.device_steps;
  if (!l.down) return;
  plan->download_bytes += l.devices * l.rounds * l.message;
  plan->device_tokens += (double)(l.devices * steps * (size_t)(d->federation.batch * d->global.context));
  for (size_t n = 0; n < p->population->devices; n++) {
    if (!ef_plan_trains(p, n)) continue;
    plan->flops += cost(ef_plan_dims(p, n), steps, d->federation.batch, d->global.context);
    plan->part_bytes += l.rounds * model_part(ef_plan_dims(p, n));
  }
}
