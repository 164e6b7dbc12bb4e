#include "base/memory.h"
#include "par/tags.h"
#include "par/units.h"
#include "step/exchange_internal.h"

typedef enum leg { TOKENS, RESULTS, GRADIENTS, INPUT_GRADIENTS } leg;

static int tag_of(size_t layer, leg which) {
  return EF_TAG_EXCHANGE + EF_TAG_EXCHANGE_KINDS * (int)layer + (int)which;
}

/* ---- blocks of one micro-batch and the experts held here ---------------------------------------------- */

static size_t expert_count(const ef_exchange *x, size_t held, int rank) {
  return (size_t)x->flow.count[(size_t)rank * x->model->dims.E + x->model->table.expert_first + held];
}

/* Start of a held expert behind the shared tensors. */
static size_t expert_offset(const ef_exchange *x, size_t layer, size_t held) {
  const ef_table *t = &x->model->table;
  return (x->moe_index[layer] * t->expert_count + held) * t->expert_floats;
}

/* gu and act of the rows from `row` on: kept for backward, or one block's space used anew by each. */
static void inner(const ef_exchange *x, const ef_kept *kept, size_t row, float **gu, float **act) {
  size_t D = x->model->dims.D, Fe = x->model->dims.Fe;
  if (!x->train) {
    *gu = x->scratch.block + x->flow.others * D;
    *act = *gu + x->flow.widest * 2 * Fe;
    return;
  }
  float *first = kept->room.block + x->flow.others * D;
  *gu = first + row * 2 * Fe;
  *act = first + x->flow.rows * 2 * Fe + row * Fe;
}

static void forward_blocks(ef_exchange *x, size_t layer, const ef_kept *kept, int rank, const float *xs,
                           float *ys) {
  const ef_table *t = &x->model->table;
  size_t D = x->model->dims.D, Fe = x->model->dims.Fe, done = 0;
  for (size_t e = 0; e < t->expert_count; e++) {
    size_t n = expert_count(x, e, rank);
    if (n == 0) continue;
    const float *w = x->model->params + t->shared + expert_offset(x, layer, e);
    float *gu, *act;
    inner(x, kept, x->flow.from[rank].first + done, &gu, &act);
    ef_expert_forward(x->k, n, D, Fe, w, w + t->expert_down, xs + done * D, gu, act, ys + done * D);
    done += n;
  }
}

static void backward_blocks(ef_exchange *x, size_t layer, const ef_kept *kept, int rank, const float *xs,
                            const float *dys, float *dxs) {
  const ef_table *t = &x->model->table;
  size_t D = x->model->dims.D, Fe = x->model->dims.Fe, done = 0;
  float *dgu = x->scratch.block + 2 * x->flow.others * D, *dact = dgu + x->flow.widest * 2 * Fe;
  for (size_t e = 0; e < t->expert_count; e++) {
    size_t n = expert_count(x, e, rank), offset = expert_offset(x, layer, e);
    if (n == 0) continue;
    const float *w = x->model->params + t->shared + offset;
    float *gu, *act, *dw = x->leaf[rank] ? x->leaf[rank] + offset : NULL;
    inner(x, kept, x->flow.from[rank].first + done, &gu, &act);
    ef_expert_backward(x->k, n, D, Fe, w, w + t->expert_down, xs + done * D, gu, act, dys + done * D, dw,
                       dw ? dw + t->expert_down : NULL, dxs + done * D, dgu, dact);
    done += n;
  }
}

/* ---- one layer ---------------------------------------------------------------------------------------- */

static ef_kept *kept_of(const ef_exchange *x, size_t layer) {
  return &x->kept[x->train ? x->moe_index[layer] : 0];
}

static ef_status share_counts(ef_exchange *x, const size_t *count, int64_t *all) {
  size_t E = x->model->dims.E;
  for (size_t e = 0; e < E; e++) x->my_count[e] = (int64_t)count[e];
  return ef_allgather_i64(x->par, x->my_count, E, all);
}

static ef_status forward(void *ctx, size_t layer, size_t rows, const size_t *count, const float *xs,
                         float *ys) {
  ef_exchange *x = ctx;
  ef_kept *kept = kept_of(x, layer);
  size_t D = x->model->dims.D;
  int me = x->par->rank;
  ef_flow *f = &x->flow;
  EF_ASSERT(rows <= x->max_rows * x->model->dims.K);
  (void)rows;
  EF_TRY(share_counts(x, count, kept->count));
  ef_flow_read(x, kept->count);
  x->staged = ef_route_stages(x);
  EF_TRY(ef_rooms_grow(x, kept));
  float *in = kept->room.block, *out = x->scratch.block;
  if (!x->routed) EF_TRY(ef_route_choose(x, tag_of(layer, TOKENS), xs, in));
  EF_TRY(ef_rows_begin(x, tag_of(layer, TOKENS), f->to, xs, f->from, in));
  if (f->to[me].rows) forward_blocks(x, layer, kept, me, xs + f->to[me].first * D, ys + f->to[me].first * D);
  EF_TRY(ef_rows_end(x, tag_of(layer, TOKENS)));
  for (int r = 0; r < x->par->size; r++) {
    if (r == me || f->from[r].rows == 0) continue;
    forward_blocks(x, layer, kept, r, in + f->from[r].first * D, out + f->from[r].first * D);
  }
  EF_TRY(ef_rows_begin(x, tag_of(layer, RESULTS), f->from, out, f->to, ys));
  return ef_rows_end(x, tag_of(layer, RESULTS));
}

static ef_status backward(void *ctx, size_t layer, size_t rows, const size_t *count, const float *xs,
                          const float *dys, float *dxs) {
  ef_exchange *x = ctx;
  const ef_kept *kept = kept_of(x, layer);
  size_t D = x->model->dims.D;
  int me = x->par->rank;
  ef_flow *f = &x->flow;
  (void)rows;
  (void)count;
  EF_TRY(EF_CHECK(x->train, EF_FAULT, "backward of an exchange that is not for training"));
  ef_flow_read(x, kept->count);
  const float *in = kept->room.block;
  float *din = x->scratch.block, *dout = din ? din + f->others * D : NULL;
  EF_TRY(ef_rows_begin(x, tag_of(layer, GRADIENTS), f->to, dys, f->from, din));
  size_t own = f->to[me].first * D;
  if (f->to[me].rows) backward_blocks(x, layer, kept, me, xs + own, dys + own, dxs + own);
  EF_TRY(ef_rows_end(x, tag_of(layer, GRADIENTS)));
  for (int r = 0; r < x->par->size; r++) {
    size_t at = f->from[r].first * D;
    if (r != me && f->from[r].rows) backward_blocks(x, layer, kept, r, in + at, din + at, dout + at);
  }
  EF_TRY(ef_rows_begin(x, tag_of(layer, INPUT_GRADIENTS), f->from, dout, f->to, dxs));
  return ef_rows_end(x, tag_of(layer, INPUT_GRADIENTS));
}

/* ---- the handle --------------------------------------------------------------------------------------- */

static ef_status check_shard(const ef_par *par, const ef_model *model) {
  const ef_table *t = &model->table;
  size_t first = ef_block_first(model->dims.E, par->size, par->rank);
  size_t count = ef_block_first(model->dims.E, par->size, par->rank + 1) - first;
  return EF_CHECK(t->expert_first == first && t->expert_count == count, EF_FAULT,
                  "the shard holds experts %zu to %zu where %zu to %zu are due", t->expert_first,
                  t->expert_first + t->expert_count, first, first + count);
}

ef_status ef_exchange_create(ef_par *par, const ef_kernels *kernels, const ef_model *model, size_t rows,
                             bool train, ef_exchange **exchange) {
  *exchange = NULL;
  ef_exchange *x = NULL;
  ef_status status = check_shard(par, model);
  if (status == EF_OK) status = EF_NEW(x, 1);
  if (status == EF_OK) {
    *x = (ef_exchange){.par = par, .k = kernels, .model = model, .train = train, .max_rows = rows};
    status = ef_exchange_lists(x);
  }
  status = ef_agree(par, status);
  if (status != EF_OK) {
    ef_exchange_free(x);
    return status;
  }
  *exchange = x;
  return EF_OK;
}

void ef_exchange_free(ef_exchange *x) {
  if (!x) return;
  ef_exchange_release(x);
  ef_free(x);
}

ef_experts ef_exchange_experts(ef_exchange *exchange) {
  return (ef_experts){.ctx = exchange, .forward = forward, .backward = backward};
}

/* ---- a slot ------------------------------------------------------------------------------------------- */

ef_status ef_exchange_slot(ef_exchange *x, size_t unit, ef_tree *tree) {
  int64_t mine = unit == SIZE_MAX ? -1 : (int64_t)unit;
  EF_TRY(ef_allgather_i64(x->par, &mine, 1, x->units));
  x->tree = tree;
  ef_status status = EF_OK;
  for (int r = 0; r < x->par->size; r++) {
    x->leaf[r] = NULL;
    if (tree && status == EF_OK && x->units[r] >= 0) status = ef_tree_leaf(tree, &x->leaf[r]);
  }
  return tree ? ef_agree(x->par, status) : EF_OK;
}

ef_status ef_exchange_serve(ef_exchange *x, bool with_backward) {
  const ef_dims *d = &x->model->dims;
  float none[1] = {0.0f};
  for (size_t l = 0; l < d->L; l++) {
    if (ef_dims_is_moe(d, l)) EF_TRY(forward(x, l, 0, x->zeros, none, none));
  }
  for (size_t l = d->L; with_backward && l-- > 0;) {
    if (ef_dims_is_moe(d, l)) EF_TRY(backward(x, l, 0, x->zeros, none, none, none));
  }
  return EF_OK;
}

ef_status ef_exchange_close(ef_exchange *x) {
  for (int r = 0; r < x->par->size; r++) {
    if (!x->leaf[r]) continue;
    EF_TRY(ef_tree_add(x->tree, (size_t)x->units[r], x->leaf[r]));
    x->leaf[r] = NULL;
  }
  return EF_OK;
}
