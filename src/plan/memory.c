#include "plan/memory.h"

#include "federation/local.h"
#include "fusion/generated.h"
#include "fusion/views.h"
#include "plan/plan_internal.h"
#include <math.h>
#include <string.h>

/* What the encoder of data embeddings holds while devices are trained (federation/embedding.c). */
enum { ENCODER_BYTES = 2600000 };

/* Beside the blocks that are counted there is what the libraries touch only when they are used, measured with
 * every method on 1 to 4 ranks at 35 to 300 MB.
 * LIBRARY: buffers of OpenBLAS, 1.1 MB; HDF5's lists and its cache of metadata, 0.5 MB; code, 0.5 MB.
 * SHARED: code of parallel HDF5 and ompio. STREWN: chunks on their way through HDF5's filter into a shared
 * file are small blocks of the heap between those that HDF5 keeps in its free lists, so that the heap grows
 * by the file until there is room enough for the largest tensor. PEER: fragments and mailboxes of the
 * shared-memory transport of Open MPI, for each other rank of the node. The more ranks share a core, the
 * longer a message waits for its reader: 1.1 MB where it is 4, 1.9 MB where it is 8; more than a rank's
 * segment they cannot be. HEAP_SHARE: pages that blocks of the heap fill in part. */
enum { LIBRARY_BYTES = 2 << 20, SHARED_BYTES = 1 << 20, STREWN_MOST = 4 << 20 };
enum { PEER_LEAST = 1 << 19, PEER_WAITING = 1 << 18, PEER_MOST = 4 << 20 };
static const double HEAP_SHARE = 0.02;

/* ---- building blocks ---------------------------------------------------------------------------------- */

ef_status ef_plan_model_bytes(const ef_dims *dims, const ef_recipe *recipe, size_t extra, size_t *model,
                              size_t *trainer) {
  ef_model shape = {.dims = *dims};
  EF_TRY(ef_table_build(dims, 0, ef_dims_held(dims), &shape.table));
  *model = shape.table.floats * sizeof(float) + shape.table.count * (sizeof(ef_tensor) + sizeof(void *));
  if (recipe) *trainer = ef_trainer_bytes(&shape, recipe, extra);
  ef_table_free(&shape.table);
  return EF_OK;
}

static ef_status params_bytes(const ef_dims *dims, size_t *bytes) {
  return ef_plan_model_bytes(dims, NULL, 0, bytes, NULL);
}

size_t ef_plan_measure_bytes(const ef_planner *p, const ef_dims *dims) {
  size_t B = (size_t)p->deck->eval.batch, T = (size_t)p->deck->global.context;
  return ef_pass_bytes(dims, EF_PASS_EVAL, B, T, false) + B * T * (2 * sizeof(int32_t) + sizeof(float));
}

static const ef_stream *holdout(const ef_planner *p) {
  return p->run->holdout.count >= 2 ? &p->run->holdout : NULL;
}

static size_t peer_bytes(double crowd) {
  double bytes = fmax(crowd * PEER_WAITING, PEER_LEAST);
  return (size_t)fmin(bytes, PEER_MOST);
}

size_t ef_plan_resident(size_t counted, int peers, double crowd, size_t shared) {
  size_t libraries = LIBRARY_BYTES + (size_t)peers * peer_bytes(crowd);
  if (shared > 0) libraries += SHARED_BYTES + (shared < STREWN_MOST ? shared : STREWN_MOST);
  return libraries + counted + (size_t)(HEAP_SHARE * (double)counted);
}

/* ---- starts and devices ------------------------------------------------------------------------------- */

/* A common start: pretraining on public text. */
static ef_status start_bytes(const ef_planner *p, const ef_dims *dims, size_t steps, size_t context,
                             size_t *bytes) {
  ef_recipe recipe = {
      .steps = steps, .batch = (size_t)p->deck->federation.batch, .context = context, .holdout = holdout(p)};
  size_t model, trainer;
  EF_TRY(ef_plan_model_bytes(dims, &recipe, 0, &model, &trainer));
  *bytes = model + trainer;
  return EF_OK;
}

ef_status ef_plan_families_memory(const ef_planner *p, size_t *bytes) {
  for (size_t i = 0; i < p->population->entries; i++) {
    size_t one;
    EF_TRY(start_bytes(p, &p->population->dims[i], (size_t)p->deck->federation.pretrain_steps,
                       (size_t)p->deck->federation.context, &one));
    *bytes = ef_plan_larger(*bytes, one);
  }
  return EF_OK;
}

size_t ef_plan_local_steps(const ef_planner *p, size_t device) {
  size_t tokens = ef_local_tokens(p->run, p->population, device);
  return ef_local_steps(p->deck, tokens - ef_local_slice(p->deck, tokens));
}

/* One device while it trains, and with what the server adds when it measures the upload. */
static ef_status device_bytes(const ef_planner *p, size_t device, size_t *training, size_t *measured) {
  const ef_deck *d = p->deck;
  const ef_dims *dims = ef_plan_dims(p, device);
  size_t tokens = ef_local_tokens(p->run, p->population, device), model, trainer;
  ef_stream slice = {.count = ef_local_slice(d, tokens)};
  ef_recipe recipe = {.steps = ef_local_steps(d, tokens - slice.count),
                      .batch = (size_t)d->federation.batch,
                      .context = (size_t)d->federation.context,
                      .holdout = slice.count >= 2 ? &slice : NULL};
  EF_TRY(ef_plan_model_bytes(dims, &recipe, 0, &model, &trainer));
  *training = model + trainer + tokens * sizeof(int32_t);
  *measured = *training + ENCODER_BYTES + ef_plan_measure_bytes(p, dims);
  return EF_OK;
}

static ef_status devices_bytes(const ef_planner *p, size_t *most, size_t *most_measured) {
  *most = *most_measured = 0;
  for (size_t n = 0; n < p->population->devices; n++) {
    size_t training, measured;
    if (!ef_plan_trains(p, n)) continue;
    EF_TRY(device_bytes(p, n, &training, &measured));
    *most = ef_plan_larger(*most, training);
    *most_measured = ef_plan_larger(*most_measured, measured);
  }
  return EF_OK;
}

ef_status ef_plan_devices_memory(const ef_planner *p, size_t *bytes) {
  size_t training;
  return devices_bytes(p, &training, bytes);
}

ef_status ef_plan_own_bytes(const ef_planner *p, size_t *bytes) {
  size_t measured;
  return devices_bytes(p, bytes, &measured);
}

ef_status ef_plan_start_memory(const ef_planner *p, size_t *bytes) {
  return start_bytes(p, &p->base, (size_t)p->deck->global.pretrain_steps, (size_t)p->deck->global.context,
                     bytes);
}

/* ---- fusion ------------------------------------------------------------------------------------------- */

static size_t text_bytes(const ef_planner *p) {
  return ef_generated_on(p->deck) ? ef_generated_length(p->deck) * sizeof(int32_t) : 0;
}

/* What a proxy that writes holds beside itself: its text, a cache for samples side by side, their logits. */
static size_t writer_bytes(const ef_planner *p, const ef_dims *proxy) {
  size_t T = (size_t)p->deck->federation.context;
  return text_bytes(p) + ef_pass_bytes(proxy, EF_PASS_CACHE, EF_GENERATED_ROWS, T, false) +
         EF_GENERATED_ROWS * (T * sizeof(int32_t) + proxy->V * sizeof(float)) + proxy->V * sizeof(double);
}

/* The root holds mean and upload, the message, and the model that it is read from; later proxy and evaluator,
 * or a proxy that writes.
 */
ef_status ef_plan_proxies_memory(const ef_planner *p, size_t *bytes) {
  for (size_t i = 0; i < p->population->entries; i++) {
    size_t model;
    EF_TRY(params_bytes(&p->population->dims[i], &model));
    *bytes = ef_plan_larger(
        *bytes, ef_plan_larger(4 * model, model + ef_plan_measure_bytes(p, &p->population->dims[i])));
    if (ef_generated_on(p->deck))
      *bytes = ef_plan_larger(*bytes, model + writer_bytes(p, &p->population->dims[i]));
  }
  return EF_OK;
}

/* A base and its trainer, its proxy, the proxy's pass, the loss on features and its taps, the evaluator at
 * the end.
 */
static ef_status distil_bytes(const ef_planner *p, const ef_dims *proxy, size_t *bytes) {
  const ef_deck *d = p->deck;
  size_t B = (size_t)d->fusion.batch, T = (size_t)d->global.context, extra, features, model, trainer, teacher;
  ef_recipe recipe = {.steps = (size_t)d->fusion.steps, .batch = B, .context = T};
  ef_features_spec spec = ef_features_of(d, p->base.D, proxy->D);
  ef_features_size(&spec, B, T, &features, &extra);
  if (features) features += spec.shape.J * B * T * p->base.D * sizeof(float);
  EF_TRY(ef_plan_model_bytes(&p->base, &recipe, extra, &model, &trainer));
  EF_TRY(params_bytes(proxy, &teacher));
  *bytes = model + trainer + features + teacher + text_bytes(p) +
           ef_pass_bytes(proxy, EF_PASS_EVAL, B, T, true) +
           ef_plan_larger(ef_plan_measure_bytes(p, &p->base), ef_views_bytes(d, p->base.D, proxy->D));
  return EF_OK;
}

ef_status ef_plan_distil_memory(const ef_planner *p, size_t *bytes) {
  for (size_t i = 0; i < p->population->entries; i++) {
    size_t one;
    EF_TRY(distil_bytes(p, &p->population->dims[i], &one));
    *bytes = ef_plan_larger(*bytes, one);
  }
  return EF_OK;
}

/* The root holds all bases and the whole MoE. */
static ef_status merge_bytes(const ef_planner *p, size_t *bytes) {
  size_t base, moe;
  EF_TRY(params_bytes(&p->base, &base));
  EF_TRY(params_bytes(&p->global, &moe));
  *bytes = (size_t)p->deck->fusion.clusters * base + moe;
  return EF_OK;
}

ef_status ef_plan_copies_memory(const ef_planner *p, size_t *bytes) {
  return ef_plan_copies(p) ? merge_bytes(p, bytes) : EF_OK;
}

/* And a training pass of the MoE where routers or scales are fitted. */
ef_status ef_plan_merge_memory(const ef_planner *p, size_t *bytes) {
  const ef_deck *d = p->deck;
  size_t B = (size_t)d->tune.micro_batch, T = (size_t)d->global.context;
  EF_TRY(merge_bytes(p, bytes));
  if (strcmp(d->fusion.router, "prior") == 0 || d->fusion.scale) {
    *bytes += ef_pass_bytes(&p->global, EF_PASS_TRAIN, B, T, false) +
              3 * (size_t)d->fusion.clusters * B * T * p->global.D * sizeof(float);
  }
  return EF_OK;
}
