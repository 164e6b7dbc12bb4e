/* Three steps on any number of ranks leave the parameters that a plain loop on one rank leaves, bit for bit:
 * all experts in one model, computed by the pass itself, gradients in one tree over micro-batches. */
#include "base/memory.h"
#include "base/rng.h"
#include "model/exits.h"
#include "step/shard.h"
#include "step/step.h"
#include "support/mpi_test.h"
#include <math.h>
#include <string.h>

enum { B = 2, T = 9, R = B * T, V = 37, D = 16, STEPS = 3, MOST_M = 4, MOST_EXITS = 2 };

static ef_par par;
static const ef_kernels *k;

typedef struct stream {
  uint32_t step;
  size_t fails_at; /* micro-batch, SIZE_MAX: none */
} stream;

static ef_status batch(void *ctx, size_t micro, int32_t *ids, int32_t *targets) {
  const stream *s = ctx;
  int32_t labels[R];
  ef_rng rng = ef_rng_stream(17, EF_RNG_TEST, micro, s->step);
  for (size_t i = 0; i < R; i++) labels[i] = ids[i] = (int32_t)ef_rng_below(&rng, V);
  labels[micro % R] = EF_IGNORE;
  ef_shift_labels(B, T, labels, targets);
  return EF_CHECK(micro != s->fails_at, EF_INPUT, "no batch %zu", micro);
}

/* A teacher that knows nothing but the row. */
static void teach(void *ctx, size_t row, size_t rows, const float *student, float *out) {
  (void)student;
  (void)ctx;
  for (size_t i = 0; i < rows * V; i++) out[i] = sinf((float)(row * V + i));
}
static const ef_teacher teacher = {.logits = teach};

static const float exit_weights[MOST_EXITS] = {0.3f, 0.7f};

static ef_step_spec spec_of(uint32_t step, size_t M, bool distil) {
  const float scale = 1.0f / (float)(M * (R - B));
  return (ef_step_spec){
      .ce_scale = scale,
      .kl_scale = distil ? 0.5f * scale : 0.0f,
      .tau = 2.0f,
      .teacher = distil ? &teacher : NULL,
      .exit_weights = exit_weights,
      .adamw = {.lr = 1e-2f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .decay = 0.1f, .step = step},
      .clip = step == 2 ? 0.0 : 0.7};
}

/* ---- the plain loop ----------------------------------------------------------------------------------- */

typedef struct plain {
  ef_model model;
  ef_pass *pass;
  ef_tree *tree;
  float *m, *v;
  ef_step_result last;
  double exit_ce[MOST_EXITS];
} plain;

/* Facts of the micro-batches of a step. */
typedef struct facts {
  double ce[MOST_M], kl[MOST_M], aux[MOST_M], exits[MOST_EXITS][MOST_M];
} facts;

/* Losses of the early exits, each with a zeroed tap of its own. */
static void plain_exits(plain *p, const ef_step_spec *spec, const int32_t *targets, size_t micro, facts *told,
                        float *grads, float *taps, const float **at) {
  for (size_t e = 0; e < ef_dims_exit_count(&p->model.dims); e++) {
    const ef_loss_spec loss = {.targets = targets, .ce_scale = spec->ce_scale * spec->exit_weights[e]};
    ef_loss_sums sums = {0};
    at[ef_dims_exit_after(&p->model.dims, e)] = taps + e * R * D;
    ef_exit_loss(p->pass, &p->model, e, &loss, grads, taps + e * R * D, NULL, &sums);
    told->exits[e][micro] = sums.ce;
  }
}

static ef_status plain_micro(plain *p, const ef_step_spec *spec, size_t M, size_t micro, uint32_t step,
                             facts *told) {
  int32_t ids[R], targets[R];
  float *grads, dfinal[R * D], exits[MOST_EXITS * R * D] = {0};
  const float *at[4] = {NULL};
  const ef_taps taps = {.at = at};
  stream s = {step, SIZE_MAX};
  EF_TRY(batch(&s, micro, ids, targets));
  const ef_loss_spec loss = {.targets = targets,
                             .ce_scale = spec->ce_scale,
                             .kl_scale = spec->kl_scale,
                             .tau = spec->tau,
                             .teacher = spec->teacher};
  ef_loss_sums sums = {0};
  EF_TRY(ef_tree_leaf(p->tree, &grads));
  EF_TRY(ef_forward(p->pass, &p->model, ids, B, T));
  ef_loss(p->pass, &p->model, &loss, grads, dfinal, NULL, &sums);
  plain_exits(p, spec, targets, micro, told, grads, exits, at);
  EF_TRY(ef_backward(p->pass, &p->model, dfinal, &taps, 1.0f / (float)M, grads));
  told->ce[micro] = sums.ce;
  told->kl[micro] = sums.kl;
  told->aux[micro] = ef_pass_aux_weighted(p->pass);
  p->last.loss.tokens += sums.tokens;
  p->last.loss.hits += sums.hits;
  return ef_tree_add(p->tree, micro, grads);
}

static ef_status plain_step(plain *p, const ef_step_spec *spec, size_t M, bool frozen, uint32_t step) {
  const ef_table *t = &p->model.table;
  facts told;
  double squares;
  const float *g;
  ef_tree_reset(p->tree);
  p->last = (ef_step_result){0};
  for (size_t m = 0; m < M; m++) EF_TRY(plain_micro(p, spec, M, m, step, &told));
  EF_TRY(ef_tree_sum(p->tree, &g));
  squares = k->sum_squares(t->shared, g);
  for (size_t at = t->shared; at < t->floats && !frozen; at += t->expert_floats) {
    squares += k->sum_squares(t->expert_floats, g + at);
  }
  p->last.loss.ce = ef_tree_fold(M, told.ce);
  p->last.loss.kl = ef_tree_fold(M, told.kl);
  p->last.aux = ef_tree_fold(M, told.aux) / (double)M;
  size_t exits = ef_dims_exit_count(&p->model.dims);
  for (size_t e = 0; e < exits; e++) p->exit_ce[e] = ef_tree_fold(M, told.exits[e]);
  p->last.exit_ce = exits > 0 ? p->exit_ce : NULL;
  p->last.grad_norm = sqrt(squares);
  ef_adamw a = spec->adamw;
  a.grad_scale = ef_clip_factor(squares, spec->clip);
  k->adamw(&a, t->shared, p->model.params, g, p->m, p->v);
  for (size_t at = t->shared; at < t->floats && !frozen; at += t->expert_floats) {
    k->adamw(&a, t->expert_floats, p->model.params + at, g + at, p->m + at, p->v + at);
  }
  return EF_OK;
}

static ef_status plain_create(plain *p, const ef_dims *dims, size_t M) {
  *p = (plain){0};
  EF_TRY(ef_model_create(dims, &p->model));
  ef_model_init(&p->model, 5, 0);
  EF_TRY(ef_tree_create(M, p->model.table.floats, 2, &p->tree));
  EF_TRY(EF_NEW(p->m, p->model.table.floats));
  EF_TRY(EF_NEW(p->v, p->model.table.floats));
  return ef_pass_create(dims, k, EF_PASS_TRAIN, B, T, false, NULL, &p->pass);
}

static void plain_free(plain *p) {
  ef_pass_free(p->pass);
  ef_tree_free(p->tree);
  ef_free(p->m);
  ef_free(p->v);
  ef_model_free(&p->model);
}

/* ---- comparison --------------------------------------------------------------------------------------- */

static bool same_floats(const float *a, const float *b, size_t n) {
  return n == 0 || memcmp(a, b, n * sizeof *a) == 0;
}

/* The shard against the same parts of a block with all experts. */
static bool same_block(const ef_model *shard, const float *mine, const ef_model *full, const float *all,
                       bool experts) {
  const ef_table *s = &shard->table, *f = &full->table;
  if (!same_floats(mine, all, s->shared)) return false;
  size_t layers = experts ? ef_dims_moe_count(&full->dims) : 0, n = s->expert_count * s->expert_floats;
  for (size_t l = 0; l < layers; l++) {
    size_t at = f->shared + (l * f->expert_count + s->expert_first) * f->expert_floats;
    if (!same_floats(mine + s->shared + l * n, all + at, n)) return false;
  }
  return true;
}

static bool same_result(const ef_dims *dims, const ef_step_result *a, const ef_step_result *b) {
  bool exits = (a->exit_ce != NULL) == (b->exit_ce != NULL);
  for (size_t e = 0; exits && a->exit_ce && e < ef_dims_exit_count(dims); e++) {
    exits = a->exit_ce[e] == b->exit_ce[e] && a->exit_ce[e] > 0.0;
  }
  if (!exits) return false;
  return a->loss.ce == b->loss.ce && a->loss.kl == b->loss.kl && a->loss.tokens == b->loss.tokens &&
         a->loss.hits == b->loss.hits && a->aux == b->aux && a->grad_norm == b->grad_norm;
}

static ef_status shard_of(const ef_dims *dims, ef_model *shard) {
  EF_TRY(ef_shard_create(&par, dims, shard));
  ef_model_init(shard, 5, 0);
  return EF_OK;
}

static void check(const ef_dims *dims, size_t M, bool frozen, bool distil) {
  plain p;
  ef_model shard;
  ef_step *step = NULL;
  ef_step_shape shape = {.B = B, .T = T, .M = M, .train_experts = !frozen};
  cr_assert(mpi_all(plain_create(&p, dims, M) == EF_OK && shard_of(dims, &shard) == EF_OK), "%s",
            ef_message());
  cr_assert(mpi_all(ef_step_create(&par, k, &shard, &shape, &step) == EF_OK), "%s", ef_message());
  size_t bytes = 0;
  for (uint32_t n = 1; n <= STEPS; n++) {
    ef_step_spec spec = spec_of(n, M, distil);
    stream s = {n, SIZE_MAX};
    ef_step_result result;
    ef_status status = ef_step_run(step, &(ef_batches){&s, batch}, &spec, &result);
    if (status == EF_OK) status = plain_step(&p, &spec, M, frozen, n);
    cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
    cr_assert(mpi_all(same_result(dims, &result, &p.last)),
              "step %u, M %zu: ce %.17g %.17g, norm %.17g %.17g", n, M, result.loss.ce, p.last.loss.ce,
              result.grad_norm, p.last.grad_norm);
    cr_assert(mpi_all(same_block(&shard, shard.params, &p.model, p.model.params, true)), "step %u, M %zu", n,
              M);
    if (n == 1) bytes = ef_memory_bytes();
  }
  float *m, *v;
  size_t floats;
  ef_step_moments(step, &m, &v, &floats);
  cr_assert(mpi_all(floats == (frozen ? shard.table.shared : shard.table.floats)));
  cr_assert(mpi_all(same_block(&shard, m, &p.model, p.m, !frozen) &&
                    same_block(&shard, v, &p.model, p.v, !frozen)));
  cr_assert(mpi_all(dims->E || ef_memory_bytes() == bytes), "steps allocate nothing");
  ef_step_free(step);
  ef_model_free(&shard);
  plain_free(&p);
}

static void check_family(ef_family family, const ef_shape *shape) {
  ef_dims dims;
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  k = ef_kernels_find("blas");
  size_t before = ef_memory_blocks();
  cr_assert(mpi_all(ef_dims_make(family, shape, &dims) == EF_OK), "%s", ef_message());
  for (size_t M = 1; M <= MOST_M; M++) check(&dims, M, false, M == 3);
  if (dims.E) check(&dims, 3, true, true);
  for (size_t after = 1; after < dims.L; after++) cr_assert(mpi_all(ef_dims_add_exit(&dims, after) == EF_OK));
  check(&dims, 4, false, false);
  check(&dims, 3, dims.E > 0, true);
  cr_assert(mpi_all(ef_memory_blocks() == before));
  ef_par_finish(&par);
}

static const ef_shape dense = {.V = V, .D = D, .L = 2, .H = 4, .G = 4, .F = 24, .max_positions = 16};

MPI_TEST(step, gpt2) { check_family(EF_GPT2, &dense); }

MPI_TEST(step, qwen2_moe) {
  ef_shape shape = dense;
  shape.E = 5;
  shape.K = 2;
  shape.Fe = 10;
  shape.Fs = 12;
  shape.G = 2;
  check_family(EF_QWEN2_MOE, &shape);
}

MPI_TEST(step, deepseek) {
  ef_shape shape = dense;
  shape.L = 3;
  shape.E = 3;
  shape.K = 2;
  shape.Fe = 10;
  shape.Fs = 20;
  shape.dense_first = 1;
  check_family(EF_DEEPSEEK, &shape);
}

MPI_TEST(step, failures_reach_all_ranks_and_change_nothing) {
  ef_dims dims;
  ef_model model;
  ef_step *step;
  ef_step_shape shape = {.B = B, .T = T, .M = 3, .train_experts = true};
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  k = ef_kernels_find("blas");
  cr_assert(mpi_all(ef_dims_make(EF_LLAMA, &dense, &dims) == EF_OK && shard_of(&dims, &model) == EF_OK));
  cr_assert(mpi_all(ef_step_create(&par, k, &model, &shape, &step) == EF_OK), "%s", ef_message());
  float *before = ef_alloc(model.table.floats, sizeof *before);
  memcpy(before, model.params, model.table.floats * sizeof *before);
  ef_step_spec spec = spec_of(1, 3, false);
  ef_step_result result;
  stream s = {1, 1};
  cr_assert(mpi_all(ef_step_run(step, &(ef_batches){&s, batch}, &spec, &result) == EF_INPUT), "%s",
            ef_message());
  cr_assert(mpi_all(strstr(ef_message(), "no batch 1") != NULL), "%s", ef_message());
  cr_assert(mpi_all(same_floats(before, model.params, model.table.floats)));
  s.fails_at = SIZE_MAX;
  spec.ce_scale = INFINITY;
  cr_assert(mpi_all(ef_step_run(step, &(ef_batches){&s, batch}, &spec, &result) == EF_NUMBERS), "%s",
            ef_message());
  cr_assert(mpi_all(same_floats(before, model.params, model.table.floats)));
  spec = spec_of(1, 3, false);
  cr_assert(mpi_all(ef_step_run(step, &(ef_batches){&s, batch}, &spec, &result) == EF_OK), "%s",
            ef_message());
  cr_assert(mpi_all(!same_floats(before, model.params, model.table.floats)));
  ef_free(before);
  ef_step_free(step);
  ef_model_free(&model);
  ef_par_finish(&par);
}
