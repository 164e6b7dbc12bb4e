#include "methods/plan.h"

#include "base/clock.h"
#include "fusion/features.h"
#include "fusion/generated.h"
#include "methods/plan_memory.h"
#include "methods/quality_json.h"
#include "train/events.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Beside the blocks that are counted: work space that BLAS, HDF5 and MPI touch only when they are used, and
 * what the heap loses between blocks. Measured on runs of 45 to 280 MB. */
enum { LIBRARY_BYTES = 3 << 20 };
static const double HEAP_SHARE = 0.05;

/* Resident bytes of this process now; its highest so far where the system does not tell. */
static size_t resident_bytes(void) {
  unsigned long long pages = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  bool known = file && fscanf(file, "%llu %llu", &pages, &resident) == 2;
  if (file) fclose(file);
  return known ? (size_t)resident * (size_t)sysconf(_SC_PAGESIZE) : (size_t)ef_peak_rss();
}

/* ---- checks ------------------------------------------------------------------------------------------- */

static size_t device_text(const ef_run *run, const ef_population *population, size_t device) {
  const size_t *documents;
  size_t n = ef_population_documents(population, device, &documents), tokens = 0;
  for (size_t i = 0; i < n; i++) {
    tokens += (size_t)(run->tokens.offset[documents[i] + 1] - run->tokens.offset[documents[i]]);
  }
  return tokens;
}

static bool uploads(const ef_run *run, const ef_population *population, size_t device) {
  return !population->fails[device] && device_text(run, population, device) >= 2;
}

/* What would be refused only after hours of local training. */
static ef_status check(const ef_run *run, const ef_population *population, const ef_dims *base) {
  const ef_deck *d = run->deck;
  bool compared = ef_features_of(d, 1, 1).kind != EF_FEATURES_NONE;
  size_t stages = compared ? (size_t)d->fusion.stages : 0;
  for (size_t i = 0; i < population->entries; i++) {
    EF_TRY(
        EF_CHECK(stages <= population->dims[i].L && stages <= base->L, EF_DECK,
                 "fusion.stages = %zu, but the base has %zu layers and entry %zu of federation.families %zu",
                 stages, base->L, i, population->dims[i].L));
  }
  return EF_OK;
}

/* ---- work and files ----------------------------------------------------------------------------------- */

static double cost(const ef_dims *dims, int64_t steps, int64_t batch, int64_t context) {
  return ef_train_cost(dims, (size_t)steps, (size_t)batch, (size_t)context);
}

static void plan_devices(const ef_run *run, const ef_population *population, ef_plan *plan) {
  const ef_deck *d = run->deck;
  for (size_t i = 0; i < population->entries; i++) {
    plan->part_bytes += ef_dims_params(&population->dims[i]) * sizeof(float);
    plan->flops +=
        cost(&population->dims[i], d->federation.pretrain_steps, d->federation.batch, d->federation.context);
  }
  for (size_t n = 0; n < population->devices; n++) {
    const ef_dims *dims = &population->dims[population->entry[n]];
    if (!uploads(run, population, n)) continue;
    int64_t steps = d->federation.rounds * d->federation.steps;
    plan->upload_bytes += ef_upload_formula(d, dims);
    plan->part_bytes += (size_t)d->federation.rounds * ef_dims_params(dims) * sizeof(float);
    plan->device_tokens += (double)(steps * d->federation.batch * d->federation.context);
    plan->flops += cost(dims, steps, d->federation.batch, d->federation.context);
  }
}

/* The largest entry stands for a proxy; a teacher's forward pass is a third of a training step. */
static const ef_dims *largest_entry(const ef_population *population) {
  const ef_dims *most = &population->dims[0];
  for (size_t i = 1; i < population->entries; i++) {
    if (ef_dims_params(&population->dims[i]) > ef_dims_params(most)) most = &population->dims[i];
  }
  return most;
}

static void plan_server(const ef_deck *d, const ef_dims *proxy, const ef_dims *global, const ef_dims *base,
                        ef_plan *plan) {
  int64_t units = d->federation.rounds * d->fusion.clusters, context = d->global.context;
  int64_t K = d->fusion.clusters, all_steps = units * d->fusion.steps + d->tune.steps;
  bool control = d->control.public_only;
  plan->total_steps = (size_t)all_steps;
  plan->sequential_steps = (size_t)(d->federation.rounds * d->fusion.steps + d->tune.steps);
  plan->server_tokens =
      (double)((units * d->fusion.steps * d->fusion.batch + d->tune.steps * d->tune.batch) * context);
  plan->flops += cost(base, d->global.pretrain_steps, d->federation.batch, context);
  plan->flops += (double)units * cost(base, d->fusion.steps, d->fusion.batch, context);
  plan->flops += (double)units * cost(proxy, d->fusion.steps, d->fusion.batch, context) / 3.0;
  if (ef_generated_on(d)) {
    plan->flops +=
        (double)units *
        cost(proxy, (int64_t)ef_generated_length(d) / d->federation.context, 1, d->federation.context) / 3.0;
    plan->part_bytes += (size_t)units * ef_generated_length(d) * sizeof(int32_t);
  }
  plan->flops += cost(global, d->tune.steps, d->tune.batch, context);
  if (d->tune.kl > 0.0) plan->flops += (double)K * cost(proxy, d->tune.steps, d->tune.batch, context) / 3.0;
  int64_t control_steps = d->control.public_steps ? d->control.public_steps : all_steps;
  if (control) plan->flops += cost(global, control_steps, d->tune.batch, context);
  size_t of_proxy = ef_dims_params(proxy), of_base = ef_dims_params(base), of_moe = ef_dims_params(global);
  plan->part_bytes += sizeof(float) * (2 * (size_t)units * of_proxy + (1 + (size_t)units) * of_base +
                                       (control ? 3 : 1) * of_moe);
  size_t frozen = d->tune.experts ? 0 : ef_dims_moe_count(global) * global->E * 3 * global->D * global->Fe;
  plan->checkpoint_bytes = sizeof(float) * (2 * of_moe + 2 * (of_moe - frozen));
}

/* ---- memory ------------------------------------------------------------------------------------------- */

static void plan_peak(const ef_plan_memory *memory, ef_plan *plan) {
  plan->start_bytes = resident_bytes();
  plan->peak_bytes = (size_t)ef_peak_rss();
  plan->peak_phase = "text";
  for (size_t i = 0; i < EF_PLAN_PHASES; i++) {
    size_t working = (size_t)((1.0 + HEAP_SHARE) * (double)memory->phases[i].bytes);
    size_t bytes = plan->start_bytes + LIBRARY_BYTES + working;
    if (bytes <= plan->peak_bytes) continue;
    plan->peak_bytes = bytes;
    plan->peak_phase = memory->phases[i].name;
  }
}

ef_status ef_plan_make(const ef_run *run, int ranks, ef_plan *plan) {
  ef_dims global, base;
  ef_population population = {0};
  ef_plan_memory memory;
  *plan = (ef_plan){0};
  ef_status status = EF_OK;
  EF_GO(ef_global_dims(run, &global, &base));
  EF_GO(ef_population_make(run, &population));
  EF_GO(check(run, &population, &base));
  EF_GO(ef_plan_memory_make(run, &population, &global, &base, ranks, &memory));
  plan->params = ef_dims_params(&global);
  plan->active_params = ef_dims_active_params(&global);
  plan->device_bytes = memory.device_bytes;
  plan_devices(run, &population, plan);
  plan_server(run->deck, largest_entry(&population), &global, &base, plan);
  plan_peak(&memory, plan);
done:
  ef_population_free(&population);
  return status;
}

static ef_status note(const ef_run *run) {
  ef_plan plan;
  EF_TRY(ef_plan_make(run, run->par->size, &plan));
  return ef_event(run, "plan", "\"ranks\": %d, \"peak_bytes\": %zu, \"peak_phase\": \"%s\"", run->par->size,
                  plan.peak_bytes, plan.peak_phase);
}

ef_status ef_plan_note(const ef_run *run) {
  return ef_agree(run->par, ef_par_root(run->par) ? note(run) : EF_OK);
}

/* ---- printing ----------------------------------------------------------------------------------------- */

static void print_json(const ef_plan *p, FILE *out) {
  fprintf(
      out,
      "{\"params\": %zu, \"active_params\": %zu, \"peak_bytes\": %zu, \"peak_phase\": \"%s\", "
      "\"start_bytes\": %zu, "
      "\"device_bytes\": %zu, \"upload_bytes\": %llu, \"checkpoint_bytes\": %zu, \"part_bytes\": %zu, "
      "\"total_steps\": %zu, \"sequential_steps\": %zu, \"device_tokens\": %.0f, \"server_tokens\": %.0f, "
      "\"flops\": %.6g}\n",
      p->params, p->active_params, p->peak_bytes, p->peak_phase, p->start_bytes, p->device_bytes,
      (unsigned long long)p->upload_bytes, p->checkpoint_bytes, p->part_bytes, p->total_steps,
      p->sequential_steps, p->device_tokens, p->server_tokens, p->flops);
}

void ef_plan_print(const ef_plan *p, bool json, FILE *out) {
  if (json) {
    print_json(p, out);
    return;
  }
  fprintf(out, "global model     %zu parameters, %zu active for a token\n", p->params, p->active_params);
  fprintf(out, "memory           %.1f MB on the largest rank, reached in: %s\n", (double)p->peak_bytes / 1e6,
          p->peak_phase);
  fprintf(out, "                 of which %.1f MB are there from the start (libraries, MPI, text)\n",
          (double)p->start_bytes / 1e6);
  fprintf(out, "largest device   %.1f MB while it trains\n", (double)p->device_bytes / 1e6);
  fprintf(out, "uploads          %llu bytes from all devices\n", (unsigned long long)p->upload_bytes);
  fprintf(out, "disk             %.1f MB for a checkpoint, %.1f MB for all parts\n",
          (double)p->checkpoint_bytes / 1e6, (double)p->part_bytes / 1e6);
  fprintf(out, "server steps     %zu in all, %zu in sequence, %.0f tokens\n", p->total_steps,
          p->sequential_steps, p->server_tokens);
  fprintf(out, "devices          %.0f tokens at most\n", p->device_tokens);
  fprintf(out, "work             %.3g FLOP at most, evaluation aside\n", p->flops);
}
