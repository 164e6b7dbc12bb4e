#include "sim/work.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/rng.h"
#include "sim/kernels.h"
#include "step/optimiser.h"
#include "step/shard.h"

#include <math.h>

enum { RUN_SEED = 20 };

typedef struct job {
  ef_par *par;
  const ef_sim_options *options;
  ef_step_shape shape;
  ef_model model;
  ef_step *step;
  uint32_t number; /* of the step, from 1 */
  double loss;
} job;

/* Windows of independent tokens: routing and time do not ask for sense. */
static ef_status batch(void *ctx, size_t micro, int32_t *ids, int32_t *targets) {
  const job *j = ctx;
  ef_rng rng = ef_rng_stream(RUN_SEED, EF_RNG_BATCH, micro, j->number);
  for (size_t i = 0; i < j->shape.B * j->shape.T; i++) {
    ids[i] = (int32_t)ef_rng_below(&rng, (uint64_t)j->options->vocabulary);
  }
  ef_shift_labels(j->shape.B, j->shape.T, ids, targets);
  return EF_OK;
}

static ef_status run_step(job *j) {
  double counted = (double)(j->shape.M * j->shape.B * (j->shape.T - 1));
  ef_step_result result;
  j->number++;
  const ef_step_spec spec = {.ce_scale = (float)(1.0 / counted),
                             .tau = 1.0f,
                             .adamw = ef_adamw_of(1e-3, 0.0, j->number),
                             .clip = 1.0};
  EF_TRY(ef_step_run(j->step, &(ef_batches){j, batch}, &spec, &result));
  j->loss = result.loss.ce / counted;
  return EF_OK;
}

/* After one step in which routes are tried and buffers grow. */
static ef_status measure(job *j, ef_sim_spent *spent) {
  EF_TRY(run_step(j));
  EF_TRY(ef_barrier(j->par));
  ef_traffic before = j->par->traffic;
  double start = ef_clock(), kernels = ef_sim_kernel_seconds(), steps = j->options->steps;
  for (size_t step = 0; step < (size_t)steps; step++) EF_TRY(run_step(j));
  ef_traffic traffic = ef_traffic_since(j->par, &before);
  spent->seconds = (ef_clock() - start) / steps;
  spent->exchange = traffic.exchange_seconds / steps;
  spent->wait = traffic.wait_seconds / steps;
  spent->compute = spent->seconds - spent->exchange - spent->wait;
  spent->bytes = (double)traffic.bytes / steps;
  spent->micro = (ef_sim_kernel_seconds() - kernels) / steps * j->par->size / (double)j->shape.M;
  return EF_OK;
}

/* Mean and largest of each of some figures over ranks. */
static ef_status gather(ef_par *par, size_t count, const double *mine, double *mean, double *most) {
  double *all = NULL;
  EF_TRY(ef_agree(par, EF_NEW(all, (size_t)par->size * count)));
  ef_status status = ef_allgather_f64(par, mine, count, all);
  for (size_t i = 0; i < count; i++) {
    mean[i] = most[i] = 0.0;
    for (size_t r = 0; r < (size_t)par->size; r++) {
      mean[i] += all[r * count + i] / par->size;
      most[i] = fmax(most[i], all[r * count + i]);
    }
  }
  ef_free(all);
  return status;
}

/* Every layer has its own busiest rank, for whom all wait. Even is what a rank with the most experts has
 * under even routing: some ranks have none where there are fewer experts than ranks. */
static ef_status find_skew(ef_par *par, const ef_dims *dims, double *skew) {
  size_t layers = ef_dims_moe_count(dims), N = (size_t)par->size, held_most = (dims->E + N - 1) / N;
  double mine[EF_SIM_LAYERS], mean[EF_SIM_LAYERS], most[EF_SIM_LAYERS], mean_sum = 0.0, most_sum = 0.0;
  for (size_t l = 0; l < layers; l++) mine[l] = ef_sim_expert_seconds(l);
  EF_TRY(gather(par, layers, mine, mean, most));
  for (size_t l = 0; l < layers; l++) {
    mean_sum += mean[l];
    most_sum += most[l];
  }
  double even = mean_sum * (double)(N * held_most) / (double)dims->E;
  *skew = most_sum / even - 1.0;
  return EF_OK;
}

ef_status ef_sim_work(ef_par *par, const ef_sim_options *options, const ef_dims *dims,
                      ef_sim_outcome *outcome) {
  job j = {.par = par, .options = options, .shape = ef_sim_shape(options, par->size)};
  ef_sim_spent spent;
  ef_status status = ef_agree(par, ef_shard_create(par, dims, &j.model));
  if (status != EF_OK) return status;
  ef_model_init(&j.model, RUN_SEED, 0);
  EF_GO(ef_step_create(par, ef_sim_kernels(options->adam_seconds, ef_dims_moe_count(dims)), &j.model,
                       &j.shape, &j.step));
  EF_GO(measure(&j, &spent));
  EF_GO(gather(par, EF_SIM_SPENT_FIELDS, (const double *)&spent, (double *)&outcome->mean,
               (double *)&outcome->most));
  EF_GO(find_skew(par, dims, &outcome->skew));
  outcome->loss = j.loss;
done:
  ef_step_free(j.step);
  ef_model_free(&j.model);
  return status;
}
