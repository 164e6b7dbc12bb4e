#include "fusion/merge.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- dims --------------------------------------------------------------------------------------------- */

static size_t leading_dense(const ef_dims *global) {
  size_t l = 0;
  while (l < global->L && !ef_dims_is_moe(global, l)) l++;
  return l;
}

static ef_status check_dense(const ef_dims *global, size_t first, size_t F) {
  for (size_t l = first; l < global->L; l++) {
    EF_TRY(
        EF_CHECK(ef_dims_is_moe(global, l) || global->F == F, EF_DECK,
                 "layer %zu of the global model is dense with width %zu, behind a layer with experts; a base "
                 "has width %zu there: set global.dense_width to %zu",
                 l, global->F, F, F));
  }
  return EF_OK;
}

ef_status ef_base_dims(const ef_dims *global, size_t clusters, ef_dims *base) {
  EF_TRY(EF_CHECK(global->E > 0, EF_DECK,
                  "the global model (%s) has no experts: there is nothing to merge into",
                  ef_family_name(global->family)));
  EF_TRY(EF_CHECK(
      clusters > 0 && global->E % clusters == 0, EF_DECK,
      "global.experts is %zu, not a multiple of fusion.clusters %zu: every base becomes equally many "
      "experts",
      global->E, clusters));
  size_t F = global->E / clusters * global->Fe, first = leading_dense(global);
  EF_TRY(check_dense(global, first, F));
  *base = *global;
  base->family = global->family == EF_DEEPSEEK ? EF_LLAMA : EF_QWEN2;
  base->F = F;
  base->first = first;
  base->F_first = first > 0 ? global->F : 0;
  base->E = base->K = base->Fe = base->Fs = 0;
  base->shared_gate = base->norm_topk = false;
  base->norm_topk_eps = base->aux_coef = 0.0f;
  base->aux = EF_AUX_NONE;
  memset(base->moe_layers, 0, sizeof base->moe_layers);
  memset(base->exits, 0, sizeof base->exits);
  return EF_OK;
}

/* ---- means -------------------------------------------------------------------------------------------- */

/* out = mean over the bases of one of their tensors. */
static ef_status mean_tensor(const ef_model *bases, size_t K, ef_role role, int layer, size_t count,
                             float *out) {
  for (size_t b = 0; b < K; b++) {
    const ef_tensor *t = ef_table_find(&bases[b].table, role, layer, -1);
    EF_TRY(EF_CHECK(t && t->count == count, EF_FAULT,
                    "base %zu has not the tensor %d of layer %d (%zu numbers)", b, (int)role, layer, count));
  }
  const ef_tensor *t = ef_table_find(&bases[0].table, role, layer, -1); /* equal dims: equal offsets */
  for (size_t i = 0; i < count; i++) {
    double sum = 0.0;
    for (size_t b = 0; b < K; b++) sum += (double)bases[b].params[t->offset + i];
    out[i] = (float)(sum / (double)K);
  }
  return EF_OK;
}

static bool is_special(ef_role role) {
  return role == EF_T_ROUTER_W || role == EF_T_SHARED_ROUTER_W || role == EF_T_SHARED_GATE_W ||
         role == EF_T_SHARED_UP_W || role == EF_T_SHARED_DOWN_W;
}

static bool is_exit(ef_role role) { return role == EF_T_EXIT_NORM_W || role == EF_T_EXIT_NORM_B; }

/* No base has exits: their norms start as those of a new model. */
static void start_exit(const ef_tensor *t, float *out) {
  for (size_t i = 0; i < t->count; i++) out[i] = t->init == EF_INIT_ONE ? 1.0f : 0.0f;
}

static ef_status merge_means(const ef_model *bases, size_t K, ef_model *moe) {
  for (size_t i = 0; i < moe->table.count; i++) {
    const ef_tensor *t = &moe->table.tensors[i];
    float *out = moe->params + t->offset;
    if (t->role == EF_T_SHARED_ROUTER_W) memset(out, 0, t->count * sizeof *out);
    if (is_exit(t->role)) start_exit(t, out);
    if (t->expert >= 0 || is_special(t->role) || is_exit(t->role)) continue;
    EF_TRY(mean_tensor(bases, K, t->role, t->layer, t->count, out));
  }
  return EF_OK;
}

/* ---- routed experts ----------------------------------------------------------------------------------- */

/* Columns [from, from + width) of (rows, all) into (rows, width). */
static void copy_columns(size_t rows, size_t all, size_t from, size_t width, const float *in, float *out) {
  for (size_t r = 0; r < rows; r++) memcpy(out + r * width, in + r * all + from, width * sizeof *out);
}

static void cut_base(const ef_model *base, int layer, size_t first_expert, size_t g, ef_model *moe) {
  size_t D = moe->dims.D, Fe = moe->dims.Fe;
  const float *gate = ef_model_tensor(base, EF_T_GATE_W, layer, -1);
  const float *up = ef_model_tensor(base, EF_T_UP_W, layer, -1);
  const float *down = ef_model_tensor(base, EF_T_DOWN_W, layer, -1);
  for (size_t j = 0; j < g; j++) {
    int expert = (int)(first_expert + j);
    memcpy(ef_model_tensor(moe, EF_T_EXPERT_GATE_W, layer, expert), gate + j * Fe * D, Fe * D * sizeof *gate);
    memcpy(ef_model_tensor(moe, EF_T_EXPERT_UP_W, layer, expert), up + j * Fe * D, Fe * D * sizeof *up);
    copy_columns(D, g * Fe, j * Fe, Fe, down, ef_model_tensor(moe, EF_T_EXPERT_DOWN_W, layer, expert));
  }
}

/* ---- shared expert ------------------------------------------------------------------------------------ */

/* One hidden unit of the mean FFN and the product of the squared norms of its up row and down column. */
typedef struct unit {
  double strength;
  size_t index;
} unit;

static int stronger(const void *left, const void *right) {
  const unit *a = left, *b = right;
  if (a->strength != b->strength) return a->strength > b->strength ? -1 : 1;
  return (a->index > b->index) - (a->index < b->index);
}

static int earlier(const void *left, const void *right) {
  const unit *a = left, *b = right;
  return (a->index > b->index) - (a->index < b->index);
}

/* The mean FFN of one layer, F units. */
typedef struct mean_ffn {
  size_t D, F;
  float *gate, *up, *down; /* (F,D), (F,D), (D,F) */
  unit *units;             /* (F) */
} mean_ffn;

/* Puts the Fs strongest units first, in their order. */
static void choose_units(mean_ffn *f, size_t Fs) {
  for (size_t u = 0; u < f->F; u++) {
    double up = 0.0, down = 0.0;
    for (size_t c = 0; c < f->D; c++) {
      up += (double)f->up[u * f->D + c] * (double)f->up[u * f->D + c];
      down += (double)f->down[c * f->F + u] * (double)f->down[c * f->F + u];
    }
    f->units[u] = (unit){up * down, u};
  }
  qsort(f->units, f->F, sizeof *f->units, stronger);
  qsort(f->units, Fs, sizeof *f->units, earlier);
}

static void write_shared(const mean_ffn *f, int layer, ef_model *moe) {
  size_t D = f->D, Fs = moe->dims.Fs;
  float *gate = ef_model_tensor(moe, EF_T_SHARED_GATE_W, layer, -1);
  float *up = ef_model_tensor(moe, EF_T_SHARED_UP_W, layer, -1);
  float *down = ef_model_tensor(moe, EF_T_SHARED_DOWN_W, layer, -1);
  for (size_t u = 0; u < Fs; u++) {
    size_t from = f->units[u].index;
    memcpy(gate + u * D, f->gate + from * D, D * sizeof *gate);
    memcpy(up + u * D, f->up + from * D, D * sizeof *up);
    for (size_t c = 0; c < D; c++) down[c * Fs + u] = f->down[c * f->F + from];
  }
}

static ef_status merge_shared(const ef_model *bases, size_t K, int layer, mean_ffn *f, ef_model *moe) {
  size_t count = f->D * f->F;
  EF_TRY(mean_tensor(bases, K, EF_T_GATE_W, layer, count, f->gate));
  EF_TRY(mean_tensor(bases, K, EF_T_UP_W, layer, count, f->up));
  EF_TRY(mean_tensor(bases, K, EF_T_DOWN_W, layer, count, f->down));
  choose_units(f, moe->dims.Fs);
  write_shared(f, layer, moe);
  return EF_OK;
}

/* ---- whole -------------------------------------------------------------------------------------------- */

static ef_status check_bases(const ef_model *bases, size_t K, const ef_model *moe) {
  ef_dims wanted;
  EF_TRY(ef_base_dims(&moe->dims, K, &wanted));
  EF_TRY(EF_CHECK(
      moe->dims.Fs <= wanted.F, EF_DECK,
      "global.shared_width is %zu, but a base has only %zu hidden units (experts / clusters * expert "
      "width): set it to at most that",
      moe->dims.Fs, wanted.F));
  for (size_t b = 0; b < K; b++) {
    const ef_dims *d = &bases[b].dims;
    bool equal = d->family == wanted.family && d->D == wanted.D && d->L == wanted.L && d->V == wanted.V &&
                 d->F == wanted.F && d->first == wanted.first && d->F_first == wanted.F_first &&
                 d->tied == wanted.tied && bases[b].table.floats == bases[0].table.floats;
    EF_TRY(EF_CHECK(equal, EF_FAULT, "base %zu is not a base of this global model", b));
  }
  return EF_CHECK(moe->table.expert_count == moe->dims.E, EF_FAULT,
                  "merging needs all %zu experts in one place, not %zu", moe->dims.E,
                  moe->table.expert_count);
}

static ef_status merge_layer(const ef_model *bases, size_t K, int layer, mean_ffn *f, ef_model *moe) {
  size_t g = moe->dims.E / K;
  for (size_t b = 0; b < K; b++) cut_base(&bases[b], layer, b * g, g, moe);
  return moe->dims.Fs > 0 ? merge_shared(bases, K, layer, f, moe) : EF_OK;
}

ef_status ef_merge(const ef_model *bases, size_t K, ef_model *moe) {
  EF_TRY(check_bases(bases, K, moe));
  ef_status status = EF_OK;
  mean_ffn f = {.D = moe->dims.D, .F = bases[0].dims.F};
  EF_GO(EF_NEW(f.gate, f.D * f.F));
  EF_GO(EF_NEW(f.up, f.D * f.F));
  EF_GO(EF_NEW(f.down, f.D * f.F));
  EF_GO(EF_NEW(f.units, f.F));
  EF_GO(merge_means(bases, K, moe));
  for (size_t l = 0; l < moe->dims.L; l++) {
    if (ef_dims_is_moe(&moe->dims, l)) EF_GO(merge_layer(bases, K, (int)l, &f, moe));
  }
done:
  ef_free(f.gate);
  ef_free(f.up);
  ef_free(f.down);
  ef_free(f.units);
  return status;
}
