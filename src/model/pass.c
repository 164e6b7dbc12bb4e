#include "base/memory.h"
#include "model/loss.h"
#include "model/pass_internal.h"
#include <string.h>

enum { HEAD_ROWS = 256, HEAD_ROWS_LEAST = 32, HEAD_FLOATS = 1 << 23 };

static size_t max_of(size_t a, size_t b) { return a > b ? a : b; }
static size_t min_of(size_t a, size_t b) { return a < b ? a : b; }

static int32_t *take_ints(ef_arena *arena, size_t n) { return ef_arena_take(arena, n, sizeof(int32_t)); }

static size_t qkv_width(const ef_dims *d) { return (d->H + 2 * d->G) * d->h; }

static void carve_moe(ef_pass *s, ef_arena *a, ef_moe_state *m) {
  const ef_dims *d = &s->dims;
  size_t R = s->max_B * s->max_T, N = R * d->K;
  m->logits = ef_arena_floats(a, R * d->E);
  m->probs = ef_arena_floats(a, R * d->E);
  m->weights = ef_arena_floats(a, N);
  m->experts = take_ints(a, N);
  m->source = take_ints(a, N);
  m->position = take_ints(a, N);
  m->ys = ef_arena_floats(a, N * d->D);
  if (s->experts_here) { /* one expert takes R rows at most */
    size_t rows = s->kind == EF_PASS_TRAIN ? N : R;
    m->gu = ef_arena_floats(a, rows * 2 * d->Fe);
    m->act = ef_arena_floats(a, rows * d->Fe);
  }
  m->shared_gu = ef_arena_floats(a, R * 2 * d->Fs);
  m->shared_act = ef_arena_floats(a, R * d->Fs);
  if (d->shared_gate) {
    m->shared_y = ef_arena_floats(a, R * d->D);
    m->gate = ef_arena_floats(a, R);
  }
}

/* Widest dense FFN of the layers [first, end); 0 if all have experts. */
static size_t widest_dense(const ef_dims *d, size_t first, size_t end) {
  size_t wide = 0;
  for (size_t l = first; l < end; l++) {
    if (!ef_dims_is_moe(d, l)) wide = max_of(wide, ef_dims_ffn_width(d, l));
  }
  return wide;
}

/* All of a layer but the residual stream. F: width of a dense FFN, 0 if there is none. */
static void carve_layer(ef_pass *s, ef_arena *a, ef_layer_state *st, size_t F, bool moe) {
  const ef_dims *d = &s->dims;
  size_t R = s->max_B * s->max_T;
  st->mean1 = ef_arena_floats(a, R);
  st->rstd1 = ef_arena_floats(a, R);
  st->xn1 = ef_arena_floats(a, R * d->D);
  st->qkv = ef_arena_floats(a, R * qkv_width(d));
  st->att = ef_arena_floats(a, R * d->D);
  st->lse = ef_arena_floats(a, R * d->H);
  st->mean2 = ef_arena_floats(a, R);
  st->rstd2 = ef_arena_floats(a, R);
  st->xn2 = ef_arena_floats(a, R * d->D);
  if (F) {
    st->gu = ef_arena_floats(a, R * F * (d->ffn == EF_SWIGLU ? 2 : 1));
    st->act = ef_arena_floats(a, R * F);
  }
  if (moe) carve_moe(s, a, &st->moe);
}

static void carve_layers(ef_pass *s, ef_arena *a, ef_layer_state *layers) {
  const ef_dims *d = &s->dims;
  size_t R = s->max_B * s->max_T;
  bool train = s->kind == EF_PASS_TRAIN, residuals = train || s->keep_residuals;
  bool moe = ef_dims_moe_count(d) > 0;
  ef_layer_state shared = {0};
  float *x = ef_arena_floats(a, R * d->D);
  if (!train) carve_layer(s, a, &shared, widest_dense(d, 0, d->L), moe);
  for (size_t l = 0; l < d->L; l++) {
    ef_layer_state st = shared;
    if (train) carve_layer(s, a, &st, widest_dense(d, l, l + 1), ef_dims_is_moe(d, l));
    st.x = x;
    st.next = residuals ? ef_arena_floats(a, R * d->D) : x;
    st.mid = train ? ef_arena_floats(a, R * d->D) : st.next;
    x = st.next;
    if (layers) layers[l] = st;
  }
}

static size_t widest_ffn(const ef_dims *d) {
  size_t wide = widest_dense(d, 0, d->L);
  return d->E ? max_of(wide, max_of(d->Fe, d->Fs)) : wide;
}

static size_t attention_floats(const ef_pass *s) {
  const ef_dims *d = &s->dims;
  ef_attention a = {.B = s->max_B, .Tq = s->max_T, .Tk = s->max_T, .H = d->H, .G = d->G, .h = d->h};
  size_t n = s->k->attention_workspace(&a);
  a.Tq = 1;
  return s->kind == EF_PASS_CACHE ? max_of(n, s->k->attention_workspace(&a)) : n;
}

static void carve_scratch(ef_pass *s, ef_arena *a) {
  const ef_dims *d = &s->dims;
  ef_scratch *w = &s->scratch;
  bool moe = ef_dims_moe_count(d) > 0;
  size_t R = s->max_B * s->max_T, N = moe ? R * d->K : 0, wide = widest_ffn(d);
  w->attention = ef_arena_floats(a, attention_floats(s));
  w->xs = ef_arena_floats(a, N * d->D);
  if (s->kind != EF_PASS_TRAIN) return;
  w->dx = ef_arena_floats(a, R * d->D);
  w->dxn = ef_arena_floats(a, R * d->D);
  w->datt = ef_arena_floats(a, R * d->D);
  w->dqkv = ef_arena_floats(a, R * qkv_width(d));
  w->dgu = ef_arena_floats(a, R * 2 * wide);
  w->dact = ef_arena_floats(a, R * wide);
  if (!moe) return;
  w->dys = ef_arena_floats(a, N * d->D);
  w->dxs = ef_arena_floats(a, N * d->D);
  w->dweights = ef_arena_floats(a, N);
  w->dlogits = ef_arena_floats(a, R * d->E);
  w->dgate = ef_arena_floats(a, R);
  w->dshared = ef_arena_floats(a, d->shared_gate ? R * d->D : 0);
}

static void carve_aux(ef_pass *s, ef_arena *a) {
  const ef_dims *d = &s->dims;
  ef_aux_state *x = &s->aux;
  size_t moe = ef_dims_moe_count(d);
  bool none = d->aux == EF_AUX_NONE || moe == 0 || s->kind == EF_PASS_CACHE;
  x->groups = d->aux == EF_AUX_SEQUENCE ? s->max_B : 1;
  x->slots = none ? 0 : d->aux == EF_AUX_POOLED ? 1 : moe;
  x->count = ef_arena_take(a, x->slots * x->groups * d->E, sizeof *x->count);
  x->probs = ef_arena_take(a, x->slots * x->groups * d->E, sizeof *x->probs);
  x->coef = ef_arena_floats(a, none ? 0 : x->groups * d->E);
}

/* Blocks of the head are bounded in bytes where the vocabulary is large. */
static void carve_head(ef_pass *s, ef_arena *a) {
  const ef_dims *d = &s->dims;
  ef_head_state *w = &s->head;
  if (s->kind == EF_PASS_CACHE) return;
  size_t fitting = max_of(HEAD_ROWS_LEAST, min_of(HEAD_ROWS, HEAD_FLOATS / d->V));
  w->rows = min_of(fitting, s->max_B * s->max_T);
  w->top_k = min_of(d->V, EF_TOP_K_MAX);
  w->logits = ef_arena_floats(a, w->rows * d->V);
  w->teacher = ef_arena_floats(a, w->rows * d->V);
  w->dlogits = ef_arena_floats(a, s->kind == EF_PASS_TRAIN ? w->rows * d->V : 0);
  w->losses = ef_arena_floats(a, w->rows);
  w->top_value = ef_arena_floats(a, w->rows * w->top_k);
  w->top_index = take_ints(a, w->rows * w->top_k);
  w->hits = ef_arena_take(a, w->rows, sizeof *w->hits);
}

static void carve_exit(ef_pass *s, ef_arena *a) {
  ef_exit_state *e = &s->exit;
  bool train = s->kind == EF_PASS_TRAIN, kept = train || s->keep_residuals;
  size_t R = kept && ef_dims_exit_count(&s->dims) > 0 ? s->max_B * s->max_T : 0;
  if (R == 0) return;
  e->hidden = ef_arena_floats(a, R * s->dims.D);
  e->mean = ef_arena_floats(a, R);
  e->rstd = ef_arena_floats(a, R);
  e->dhidden = ef_arena_floats(a, train ? R * s->dims.D : 0);
}

static void carve_cache(ef_pass *s, ef_arena *a) {
  const ef_dims *d = &s->dims;
  float **cache = ef_arena_take(a, d->L, sizeof *cache);
  for (size_t l = 0; l < d->L; l++) {
    float *kv = ef_arena_floats(a, s->max_B * s->max_T * 2 * d->G * d->h);
    if (cache) cache[l] = kv;
  }
  s->cache = cache;
}

static void carve(ef_pass *s, ef_arena *a) {
  const ef_dims *d = &s->dims;
  size_t R = s->max_B * s->max_T, half = d->position == EF_ROPE ? d->h / 2 : 0;
  s->layers = ef_arena_take(a, d->L, sizeof *s->layers);
  s->moe_index = ef_arena_take(a, d->L, sizeof *s->moe_index);
  s->load = ef_arena_take(a, ef_dims_moe_count(d) * d->E, sizeof *s->load);
  s->ids = take_ints(a, R);
  s->positions = take_ints(a, R);
  s->cos = ef_arena_floats(a, s->max_T * half);
  s->sin = ef_arena_floats(a, s->max_T * half);
  s->slopes = ef_arena_floats(a, d->H);
  s->embedded = ef_arena_floats(a, d->embed_norm ? R * d->D : 0);
  s->embed_mean = ef_arena_floats(a, R);
  s->embed_rstd = ef_arena_floats(a, R);
  s->final = ef_arena_floats(a, R * d->D);
  s->final_mean = ef_arena_floats(a, R);
  s->final_rstd = ef_arena_floats(a, R);
  carve_layers(s, a, s->layers);
  carve_scratch(s, a);
  carve_aux(s, a);
  carve_head(s, a);
  carve_exit(s, a);
  if (s->kind == EF_PASS_CACHE) carve_cache(s, a);
}

static void fill_constants(ef_pass *s) {
  size_t index = 0;
  for (size_t l = 0; l < s->dims.L; l++) {
    s->moe_index[l] = index;
    index += ef_dims_is_moe(&s->dims, l);
  }
  if (s->dims.position == EF_ROPE) ef_rope_tables(&s->dims, s->max_T, s->cos, s->sin);
  if (s->dims.position == EF_ALIBI) ef_alibi_slopes(s->dims.H, s->slopes);
}

static ef_pass describe(const ef_dims *dims, const ef_kernels *kernels, ef_pass_kind kind, size_t B, size_t T,
                        bool keep_residuals, bool experts_here) {
  return (ef_pass){.dims = *dims,
                   .k = kernels,
                   .kind = kind,
                   .keep_residuals = keep_residuals,
                   .max_B = B,
                   .max_T = T,
                   .last_moe = SIZE_MAX,
                   .experts_here = experts_here};
}

ef_status ef_pass_create(const ef_dims *dims, const ef_kernels *kernels, ef_pass_kind kind, size_t B,
                         size_t T, bool keep_residuals, const ef_experts *experts, ef_pass **pass) {
  ef_status status = EF_OK;
  ef_pass *s = NULL;
  *pass = NULL;
  EF_GO(ef_dims_check(dims));
  EF_GO(EF_CHECK(B > 0 && T > 0, EF_INPUT, "a batch of %zu sequences of %zu tokens", B, T));
  EF_GO(EF_CHECK(T <= dims->max_positions, EF_INPUT,
                 "sequences of %zu tokens, but the model has %zu positions", T, dims->max_positions));
  EF_GO(EF_NEW(s, 1));
  *s = describe(dims, kernels, kind, B, T, keep_residuals, !experts);
  EF_GO(ef_weights_resolve(dims, &s->at));
  carve(s, &s->arena);
  EF_GO(ef_arena_place(&s->arena));
  carve(s, &s->arena);
  fill_constants(s);
  s->local.pass = s;
  s->experts = experts ? *experts : ef_experts_local(&s->local);
  *pass = s;
done:
  if (status != EF_OK) ef_pass_free(s);
  return status;
}

void ef_pass_free(ef_pass *s) {
  if (!s) return;
  ef_weights_free(&s->at);
  ef_arena_free(&s->arena);
  ef_free(s);
}

size_t ef_pass_bytes(const ef_dims *dims, ef_pass_kind kind, size_t B, size_t T, bool keep_residuals) {
  ef_pass s = describe(dims, ef_kernels_find("blas"), kind, B, T, keep_residuals, true);
  ef_arena arena = {0};
  carve(&s, &arena);
  return arena.used;
}

const float *ef_pass_final(const ef_pass *s) { return s->final; }

const float *ef_pass_residual(const ef_pass *s, size_t layer) {
  if (s->kind != EF_PASS_TRAIN && !s->keep_residuals) return NULL;
  return layer < s->dims.L ? s->layers[layer].x : s->layers[s->dims.L - 1].next;
}

const float *ef_pass_ffn_input(const ef_pass *s, size_t layer) {
  return s->kind == EF_PASS_TRAIN ? s->layers[layer].xn2 : NULL;
}

ef_router_view ef_pass_router(const ef_pass *s, size_t layer) {
  bool kept = ef_dims_is_moe(&s->dims, layer) && (s->kind == EF_PASS_TRAIN || layer == s->last_moe);
  if (!kept) return (ef_router_view){0};
  const ef_moe_state *m = &s->layers[layer].moe;
  return (ef_router_view){
      .logits = m->logits, .probs = m->probs, .weights = m->weights, .experts = m->experts};
}

const size_t *ef_pass_load(const ef_pass *s, size_t layer) {
  return ef_dims_is_moe(&s->dims, layer) ? s->load + s->moe_index[layer] * s->dims.E : NULL;
}

void ef_pass_reset(ef_pass *s) { s->cached = 0; }
size_t ef_pass_cached(const ef_pass *s) { return s->cached; }
