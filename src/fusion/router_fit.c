#include "fusion/router_fit.h"

#include "base/memory.h"
#include "fusion/merge.h"
#include "train/source.h"
#include "train/unit.h"
#include <string.h>

enum { BATCHES = 2 }; /* of public windows that stand for a cluster */

typedef struct fitter {
  const ef_run *run;
  const ef_clusters *clusters;
  const ef_model *bases;
  ef_model *moe;
  ef_pass *pass;
  size_t B, T, R, K;               /* R = B*T rows of a batch, K clusters */
  int32_t *ids, *targets;          /* (R) */
  float *mu;                       /* (K,D) */
  float *routed, *shared, *wanted; /* (K*R,D) */
  float *gu, *act, *ys;            /* (R,2W), (R,W), (R,D), W the widest FFN */
  ef_arena arena;
} fitter;

static size_t widest(const ef_dims *d, const ef_dims *base) {
  size_t w = d->Fe > d->Fs ? d->Fe : d->Fs;
  return base->F > w ? base->F : w;
}

static void carve(ef_arena *arena, fitter *f) {
  size_t D = f->moe->dims.D, W = widest(&f->moe->dims, &f->bases[0].dims), rows = f->K * f->R;
  f->ids = ef_arena_take(arena, f->R, sizeof(int32_t));
  f->targets = ef_arena_take(arena, f->R, sizeof(int32_t));
  f->mu = ef_arena_floats(arena, f->K * D);
  f->routed = ef_arena_floats(arena, rows * D);
  f->shared = ef_arena_floats(arena, rows * D);
  f->wanted = ef_arena_floats(arena, rows * D);
  f->gu = ef_arena_floats(arena, f->R * 2 * W);
  f->act = ef_arena_floats(arena, f->R * W);
  f->ys = ef_arena_floats(arena, f->R * D);
}

/* Runs the merged model on one batch of a cluster's own public text. */
static ef_status run_batch(fitter *f, size_t cluster, size_t batch) {
  size_t domain = (size_t)f->clusters->clusters[cluster].domain;
  const ef_stream *own = &f->run->public_by_domain[domain];
  ef_source source = {.general = own->count >= 2 ? own : &f->run->public_text,
                      .seed = (uint64_t)f->run->deck->run.seed,
                      .unit = ef_unit(EF_UNIT_MERGED, cluster)};
  EF_TRY(ef_source_sample(&source, batch, 0, f->B, f->T, f->ids, f->targets));
  return ef_forward(f->pass, f->moe, f->ids, f->B, f->T);
}

/* mu_i: the mean router input of this layer over the cluster's windows. */
static ef_status mean_inputs(fitter *f, size_t layer) {
  size_t D = f->moe->dims.D;
  memset(f->mu, 0, f->K * D * sizeof *f->mu);
  for (size_t i = 0; i < f->K; i++) {
    for (size_t batch = 0; batch < BATCHES; batch++) {
      EF_TRY(run_batch(f, i, batch));
      f->run->kernels->bias_backward(f->R, D, ef_pass_ffn_input(f->pass, layer), D, f->mu + i * D);
    }
    f->run->kernels->scale(D, 1.0f / (float)(BATCHES * f->R), f->mu + i * D);
  }
  return EF_OK;
}

/* out (R,D) = SwiGLU FFN of these weights. */
static void feed_forward(fitter *f, size_t width, const float *gate_up, const float *down, const float *x,
                         float *out) {
  ef_expert_forward(f->run->kernels, f->R, f->moe->dims.D, width, gate_up, down, x, f->gu, f->act, out);
}

/* The routed part: every expert on all rows, taken where it was chosen. */
static void routed_part(fitter *f, size_t layer, const float *x, float *out) {
  const ef_dims *d = &f->moe->dims;
  ef_router_view view = ef_pass_router(f->pass, layer);
  memset(out, 0, f->R * d->D * sizeof *out);
  for (size_t e = 0; e < d->E; e++) {
    feed_forward(f, d->Fe, ef_model_tensor(f->moe, EF_T_EXPERT_GATE_W, (int)layer, (int)e),
                 ef_model_tensor(f->moe, EF_T_EXPERT_DOWN_W, (int)layer, (int)e), x, f->ys);
    for (size_t slot = 0; slot < f->R * d->K; slot++) {
      if (view.experts[slot] != (int32_t)e) continue;
      size_t r = slot / d->K;
      f->run->kernels->axpy(d->D, view.weights[slot], f->ys + r * d->D, out + r * d->D);
    }
  }
}

/* The shared part; Qwen's gate is 1/2 right after the merge, its vector being zero. */
static void shared_part(fitter *f, size_t layer, const float *x, float *out) {
  const ef_dims *d = &f->moe->dims;
  memset(out, 0, f->R * d->D * sizeof *out);
  if (d->Fs == 0) return;
  feed_forward(f, d->Fs, ef_model_tensor(f->moe, EF_T_SHARED_GATE_W, (int)layer, -1),
               ef_model_tensor(f->moe, EF_T_SHARED_DOWN_W, (int)layer, -1), x, out);
  if (d->shared_gate) f->run->kernels->scale(f->R * d->D, 0.5f, out);
}

static ef_status fit_scale(fitter *f, size_t layer) {
  size_t n = f->R * f->moe->dims.D;
  for (size_t i = 0; i < f->K; i++) {
    EF_TRY(run_batch(f, i, 0));
    const float *x = ef_pass_ffn_input(f->pass, layer);
    const ef_model *base = &f->bases[i];
    routed_part(f, layer, x, f->routed + i * n);
    shared_part(f, layer, x, f->shared + i * n);
    feed_forward(f, base->dims.F, ef_model_tensor(base, EF_T_GATE_W, (int)layer, -1),
                 ef_model_tensor(base, EF_T_DOWN_W, (int)layer, -1), x, f->wanted + i * n);
  }
  ef_routed_scale(f->moe, layer, f->K * f->R, f->routed, f->shared, f->wanted);
  return EF_OK;
}

ef_status ef_router_fit(const ef_run *run, const ef_clusters *clusters, const ef_model *bases,
                        ef_model *moe) {
  const ef_deck *deck = run->deck;
  bool prior = strcmp(deck->fusion.router, "prior") == 0;
  if (!prior && !deck->fusion.scale) return EF_OK;
  fitter f = {.run = run,
              .clusters = clusters,
              .bases = bases,
              .moe = moe,
              .B = (size_t)deck->fusion.batch,
              .T = (size_t)deck->global.context,
              .K = clusters->count};
  f.R = f.B * f.T;
  ef_status status = EF_OK;
  carve(&f.arena, &f);
  EF_GO(ef_arena_place(&f.arena));
  carve(&f.arena, &f);
  EF_GO(ef_pass_create(&moe->dims, run->kernels, EF_PASS_TRAIN, f.B, f.T, false, NULL, &f.pass));
  for (size_t layer = 0; layer < moe->dims.L; layer++) {
    if (!ef_dims_is_moe(&moe->dims, layer)) continue;
    if (prior) EF_GO(mean_inputs(&f, layer));
    if (prior) EF_GO(ef_router_prior(moe, layer, f.K, f.mu));
    if (deck->fusion.scale) EF_GO(fit_scale(&f, layer));
  }
done:
  ef_pass_free(f.pass);
  ef_arena_free(&f.arena);
  return status;
}
