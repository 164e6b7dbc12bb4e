#include "step/step.h"

#include "base/memory.h"
#include "model/exits.h"
#include "par/units.h"

#include <math.h>
#include <string.h>

/* What is told of one micro-batch, as doubles: counts are exact up to 2^53. The CE of every early exit
 * follows. */
enum { CE, KL, AUX, TOKENS, HITS, FACTS };

struct ef_step {
  ef_par *par;
  const ef_kernels *k;
  ef_model *model;
  ef_step_shape shape;
  size_t first, count, slots; /* micro-batches of this rank; slots of a step */
  ef_exchange *exchange;      /* NULL: dense */
  ef_pass *pass;
  ef_tree *shared, *experts;     /* gradients; experts NULL if there are none or they are frozen */
  int32_t *ids, *targets;        /* (B,T) */
  float *dfinal;                 /* (B*T,D) */
  size_t exits, facts;           /* early exits of the model; FACTS and their CE */
  float *taps;                   /* (exits,B*T,D) gradients of the exits on the residual stream ... */
  const float **tap_at;          /* (L+1) ... and where each enters */
  double *exit_ce;               /* (exits) */
  float *m, *v;                  /* moments */
  size_t trained;                /* floats of the moments */
  double *mine, *all;            /* (slots,facts), (size,slots,facts) */
  double *series;                /* (M) */
  size_t held_most;              /* most experts that a rank holds */
  double *squares, *squares_all; /* (MoE layers,held_most), of this rank and (size) of all */
};

/* ---- create and free ---------------------------------------------------------------------------------- */

static ef_status create_sums(ef_step *s) {
  const ef_table *t = &s->model->table;
  size_t size = (size_t)s->par->size, layers = ef_dims_moe_count(&s->model->dims), E = s->model->dims.E;
  EF_TRY(ef_tree_create(s->shape.M, t->shared, 1, &s->shared));
  if (E && s->shape.train_experts) EF_TRY(ef_tree_create(s->shape.M, t->floats - t->shared, 1, &s->experts));
  s->trained = s->experts ? t->floats : t->shared;
  s->held_most = (E + size - 1) / size;
  EF_TRY(EF_NEW(s->m, s->trained));
  EF_TRY(EF_NEW(s->v, s->trained));
  EF_TRY(EF_NEW(s->mine, s->slots * s->facts));
  EF_TRY(EF_NEW(s->all, size * s->slots * s->facts));
  EF_TRY(EF_NEW(s->series, s->shape.M));
  EF_TRY(EF_NEW(s->squares, layers * s->held_most));
  return EF_NEW(s->squares_all, size * layers * s->held_most);
}

static ef_status create_taps(ef_step *s) {
  const ef_dims *d = &s->model->dims;
  size_t n = s->shape.B * s->shape.T * d->D;
  s->exits = ef_dims_exit_count(d);
  s->facts = FACTS + s->exits;
  EF_TRY(EF_NEW(s->taps, s->exits * n));
  EF_TRY(EF_NEW(s->tap_at, d->L + 1));
  EF_TRY(EF_NEW(s->exit_ce, s->exits));
  for (size_t e = 0; e < s->exits; e++) s->tap_at[ef_dims_exit_after(d, e)] = s->taps + e * n;
  return EF_OK;
}

static ef_status create_pass(ef_step *s) {
  const ef_dims *d = &s->model->dims;
  size_t R = s->shape.B * s->shape.T;
  ef_experts experts = {0};
  if (s->exchange) experts = ef_exchange_experts(s->exchange);
  EF_TRY(EF_NEW(s->ids, R));
  EF_TRY(EF_NEW(s->targets, R));
  EF_TRY(EF_NEW(s->dfinal, R * d->D));
  return ef_pass_create(d, s->k, EF_PASS_TRAIN, s->shape.B, s->shape.T, false, s->exchange ? &experts : NULL,
                        &s->pass);
}

static ef_status create_parts(ef_step *s) {
  size_t R = s->shape.B * s->shape.T;
  if (s->model->dims.E) EF_TRY(ef_exchange_create(s->par, s->k, s->model, R, true, &s->exchange));
  ef_status status = create_pass(s);
  if (status == EF_OK) status = create_taps(s);
  if (status == EF_OK) status = create_sums(s);
  return ef_agree(s->par, status);
}

ef_status ef_step_create(ef_par *par, const ef_kernels *kernels, ef_model *model, const ef_step_shape *shape,
                         ef_step **step) {
  *step = NULL;
  EF_TRY(EF_CHECK(shape->M > 0 && shape->B > 0 && shape->T > 0, EF_FAULT, "a step without micro-batches"));
  size_t size = (size_t)par->size, first = ef_block_first(shape->M, par->size, par->rank);
  ef_step *s = NULL;
  ef_status status = EF_NEW(s, 1);
  EF_TRY(ef_agree(par, status));
  *s = (ef_step){.par = par, .k = kernels, .model = model, .shape = *shape, .first = first};
  s->count = ef_block_first(shape->M, par->size, par->rank + 1) - first;
  s->slots = (shape->M + size - 1) / size;
  status = create_parts(s);
  if (status != EF_OK) {
    ef_step_free(s);
    return status;
  }
  *step = s;
  return EF_OK;
}

void ef_step_free(ef_step *s) {
  if (!s) return;
  ef_pass_free(s->pass);
  ef_exchange_free(s->exchange);
  ef_tree_free(s->shared);
  ef_tree_free(s->experts);
  void *blocks[] = {s->ids, s->targets, s->dfinal, s->taps,   s->tap_at,  s->exit_ce,    s->m,
                    s->v,   s->mine,    s->all,    s->series, s->squares, s->squares_all};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) ef_free(blocks[i]);
  ef_free(s);
}

void ef_step_moments(ef_step *s, float **m, float **v, size_t *floats) {
  *m = s->m;
  *v = s->v;
  *floats = s->trained;
}

/* ---- gradients ---------------------------------------------------------------------------------------- */

/* Losses of the early exits: their gradients go into `grads` and the taps, their sums into ce (exits). */
static void exit_losses(ef_step *s, const ef_step_spec *spec, double *ce, float *grads) {
  size_t n = s->shape.B * s->shape.T * s->model->dims.D;
  for (size_t e = 0; e < s->exits; e++) {
    const ef_loss_spec loss = {
        .targets = s->targets, .labels = spec->labels, .ce_scale = spec->ce_scale * spec->exit_weights[e]};
    ef_loss_sums sums = {0};
    memset(s->taps + e * n, 0, n * sizeof *s->taps);
    ef_exit_loss(s->pass, s->model, e, &loss, grads, s->taps + e * n, NULL, &sums);
    ce[e] = sums.ce;
  }
}

/* Forward, loss and backward of the batch in ids and targets; `grads` (shared) +=. */
static ef_status micro_batch(ef_step *s, const ef_step_spec *spec, size_t slot, float *grads) {
  const ef_loss_spec loss = {.targets = s->targets,
                             .labels = spec->labels,
                             .ce_scale = spec->ce_scale,
                             .kl_scale = spec->kl_scale,
                             .tau = spec->tau,
                             .top_k = spec->top_k,
                             .teacher = spec->teacher};
  ef_loss_sums sums = {0};
  EF_TRY(ef_forward(s->pass, s->model, s->ids, s->shape.B, s->shape.T));
  ef_loss(s->pass, s->model, &loss, grads, s->dfinal, NULL, &sums);
  double *told = s->mine + slot * s->facts;
  const ef_taps taps = {.at = s->tap_at};
  if (spec->exit_weights) exit_losses(s, spec, told + FACTS, grads);
  EF_TRY(ef_backward(s->pass, s->model, s->dfinal, spec->exit_weights ? &taps : NULL,
                     1.0f / (float)s->shape.M, grads));
  const double facts[FACTS] = {[CE] = sums.ce,
                               [KL] = sums.kl,
                               [AUX] = ef_pass_aux_weighted(s->pass),
                               [TOKENS] = (double)sums.tokens,
                               [HITS] = (double)sums.hits};
  for (size_t i = 0; i < FACTS; i++) told[i] = facts[i];
  return EF_OK;
}

static ef_status run_slot(ef_step *s, const ef_batches *batches, const ef_step_spec *spec, size_t slot) {
  bool busy = slot < s->count;
  size_t unit = busy ? s->first + slot : SIZE_MAX;
  float *grads = NULL;
  ef_status status = EF_OK;
  if (busy) status = batches->batch(batches->ctx, unit, s->ids, s->targets);
  if (busy && status == EF_OK) status = ef_tree_leaf(s->shared, &grads);
  EF_TRY(ef_agree(s->par, status));
  if (s->exchange) EF_TRY(ef_exchange_slot(s->exchange, unit, s->experts));
  if (busy) EF_TRY(micro_batch(s, spec, slot, grads));
  if (!busy && s->exchange) EF_TRY(ef_exchange_serve(s->exchange, true));
  if (s->exchange) EF_TRY(ef_exchange_close(s->exchange));
  return busy ? ef_tree_add(s->shared, unit, grads) : EF_OK;
}

/* ---- metrics ------------------------------------------------------------------------------------------ */

/* One fact of every micro-batch, folded in the order of the tree. */
static double fold_fact(ef_step *s, size_t fact) {
  for (size_t unit = 0; unit < s->shape.M; unit++) {
    int rank = ef_block_owner(s->shape.M, s->par->size, unit);
    size_t slot = unit - ef_block_first(s->shape.M, s->par->size, rank);
    s->series[unit] = s->all[((size_t)rank * s->slots + slot) * s->facts + fact];
  }
  return ef_tree_fold(s->shape.M, s->series);
}

static ef_status gather_metrics(ef_step *s, bool exits, ef_step_result *result) {
  EF_TRY(ef_allgather_f64(s->par, s->mine, s->slots * s->facts, s->all));
  result->loss = (ef_loss_sums){.ce = fold_fact(s, CE),
                                .kl = fold_fact(s, KL),
                                .tokens = (size_t)fold_fact(s, TOKENS),
                                .hits = (size_t)fold_fact(s, HITS)};
  result->aux = fold_fact(s, AUX) / (double)s->shape.M;
  for (size_t e = 0; exits && e < s->exits; e++) s->exit_ce[e] = fold_fact(s, FACTS + e);
  result->exit_ce = exits && s->exits > 0 ? s->exit_ce : NULL;
  return EF_OK;
}

/* Sum of squares of all gradients: the shared ones, then every expert of every layer in order, whoever holds
 * it. */
static ef_status gather_squares(ef_step *s, const float *shared, const float *experts, double *sum) {
  const ef_table *t = &s->model->table;
  size_t layers = s->experts ? ef_dims_moe_count(&s->model->dims) : 0, per_rank = layers * s->held_most;
  for (size_t i = 0; i < layers * t->expert_count; i++) {
    s->squares[i / t->expert_count * s->held_most + i % t->expert_count] =
        s->k->sum_squares(t->expert_floats, experts + i * t->expert_floats);
  }
  EF_TRY(ef_allgather_f64(s->par, s->squares, per_rank, s->squares_all));
  *sum = s->k->sum_squares(t->shared, shared);
  for (size_t i = 0; i < layers * s->model->dims.E; i++) {
    size_t layer = i / s->model->dims.E, e = i % s->model->dims.E;
    int rank = ef_block_owner(s->model->dims.E, s->par->size, e);
    size_t held = e - ef_block_first(s->model->dims.E, s->par->size, rank);
    *sum += s->squares_all[(size_t)rank * per_rank + layer * s->held_most + held];
  }
  return EF_OK;
}

static ef_status check_finite(const ef_step *s, const ef_step_result *r, uint64_t step) {
  bool finite = isfinite(r->loss.ce) && isfinite(r->loss.kl) && isfinite(r->aux);
  for (size_t e = 0; r->exit_ce && e < s->exits; e++) finite = finite && isfinite(r->exit_ce[e]);
  EF_TRY(EF_CHECK(finite, EF_NUMBERS, "step %llu: the loss is not finite; lower the learning rate",
                  (unsigned long long)step));
  return EF_CHECK(isfinite(r->grad_norm), EF_NUMBERS,
                  "step %llu: the gradient is not finite; lower the learning rate", (unsigned long long)step);
}

/* ---- the step ----------------------------------------------------------------------------------------- */

/* Each expert is one call, so that no bit depends on how many stand side by side. */
static void update(ef_step *s, const ef_adamw *adamw, const float *shared, const float *experts) {
  const ef_table *t = &s->model->table;
  s->k->adamw(adamw, t->shared, s->model->params, shared, s->m, s->v);
  if (!s->experts) return;
  for (size_t at = 0; at < t->floats - t->shared; at += t->expert_floats) {
    size_t p = t->shared + at;
    s->k->adamw(adamw, t->expert_floats, s->model->params + p, experts + at, s->m + p, s->v + p);
  }
}

ef_status ef_step_run(ef_step *s, const ef_batches *batches, const ef_step_spec *spec,
                      ef_step_result *result) {
  const float *shared = NULL, *experts = NULL;
  double squares = 0.0;
  ef_tree_reset(s->shared);
  if (s->experts) ef_tree_reset(s->experts);
  for (size_t slot = 0; slot < s->slots; slot++) EF_TRY(run_slot(s, batches, spec, slot));
  EF_TRY(ef_tree_sum_all(s->shared, s->par, &shared));
  if (s->experts) EF_TRY(ef_tree_sum(s->experts, &experts));
  EF_TRY(gather_metrics(s, spec->exit_weights != NULL, result));
  EF_TRY(gather_squares(s, shared, experts, &squares));
  result->grad_norm = sqrt(squares);
  EF_TRY(check_finite(s, result, spec->adamw.step));
  ef_adamw adamw = spec->adamw;
  adamw.grad_scale = ef_clip_factor(squares, spec->clip);
  update(s, &adamw, shared, experts);
  return EF_OK;
}
