/* The exchange against plain products: results, gradients of the rows and tree-summed gradients of the
 * experts have the bits of (micro-batch, expert) blocks computed one after the other by one rank that holds
 * all experts. */
#include "base/memory.h"
#include "base/rng.h"
#include "par/units.h"
#include "step/exchange.h"
#include "step/shard.h"
#include "support/mpi_test.h"
#include <string.h>

enum { ROWS = 23, K = 2, N = ROWS * K, D = 8, L = 3, MOST_E = 6 };

static ef_par par;
static const ef_kernels *k;

/* Rows of one micro-batch in one layer. */
typedef struct rows {
  size_t count[MOST_E];
  float xs[N * D], dys[N * D], ys[N * D], dxs[N * D];
} rows;

typedef struct setup {
  size_t E, M;
  ef_dims dims;
  ef_model full, shard;
  ef_tree *reference, *tree;
  rows (*expected)[L]; /* (M) */
  rows got[L];
} setup;

/* A routing: some micro-batches send nothing to an expert, one sends everything to the last. */
static void route(size_t unit, size_t layer, size_t E, rows *r) {
  ef_rng rng = ef_rng_stream(3, EF_RNG_TEST, unit, (uint32_t)layer);
  memset(r->count, 0, sizeof r->count);
  for (size_t i = 0; i < N; i++) r->count[unit == 2 ? E - 1 : (size_t)ef_rng_below(&rng, E) / 2 * 2]++;
  for (size_t i = 0; i < (size_t)N * D; i++) {
    r->xs[i] = (float)ef_rng_normal(&rng);
    r->dys[i] = (float)ef_rng_normal(&rng);
  }
}

static void reference_layer(const setup *s, size_t layer, size_t moe, rows *r, float *leaf) {
  const ef_table *t = &s->full.table;
  size_t Fe = s->dims.Fe, row = 0;
  float gu[N * 2 * 8], act[N * 8], dgu[N * 2 * 8], dact[N * 8];
  for (size_t e = 0; e < s->E; row += r->count[e++]) {
    const float *gate_up = ef_model_tensor(&s->full, EF_T_EXPERT_GATE_W, (int)layer, (int)e);
    const float *down = ef_model_tensor(&s->full, EF_T_EXPERT_DOWN_W, (int)layer, (int)e);
    float *dw = leaf + (moe * s->E + e) * t->expert_floats;
    if (r->count[e] == 0) continue;
    ef_expert_forward(k, r->count[e], D, Fe, gate_up, down, r->xs + row * D, gu, act, r->ys + row * D);
    ef_expert_backward(k, r->count[e], D, Fe, gate_up, down, r->xs + row * D, gu, act, r->dys + row * D, dw,
                       dw + t->expert_down, r->dxs + row * D, dgu, dact);
  }
}

static ef_status reference(setup *s) {
  for (size_t m = 0; m < s->M; m++) {
    float *leaf;
    EF_TRY(ef_tree_leaf(s->reference, &leaf));
    for (size_t l = 0, moe = 0; l < L; l++) {
      if (!ef_dims_is_moe(&s->dims, l)) continue;
      route(m, l, s->E, &s->expected[m][l]);
      reference_layer(s, l, moe++, &s->expected[m][l], leaf);
    }
    EF_TRY(ef_tree_add(s->reference, m, leaf));
  }
  return EF_OK;
}

static ef_status run_unit(setup *s, ef_experts x, size_t unit, bool backward) {
  memset(s->got, 0xEE, sizeof s->got);
  for (size_t l = 0; l < L; l++) {
    rows *r = &s->got[l];
    if (!ef_dims_is_moe(&s->dims, l)) continue;
    route(unit, l, s->E, r);
    EF_TRY(x.forward(x.ctx, l, N, r->count, r->xs, r->ys));
  }
  for (size_t l = L; backward && l-- > 0;) {
    rows *r = &s->got[l];
    if (ef_dims_is_moe(&s->dims, l)) EF_TRY(x.backward(x.ctx, l, N, r->count, r->xs, r->dys, r->dxs));
  }
  return EF_OK;
}

static bool rows_agree(const setup *s, size_t unit, bool backward) {
  for (size_t l = 0; l < L; l++) {
    const rows *a = &s->got[l], *b = &s->expected[unit][l];
    if (!ef_dims_is_moe(&s->dims, l)) continue;
    if (memcmp(a->ys, b->ys, sizeof a->ys) != 0) return false;
    if (backward && memcmp(a->dxs, b->dxs, sizeof a->dxs) != 0) return false;
  }
  return true;
}

/* All micro-batches, in blocks over the ranks; *same: all rows have the bits of the reference. */
static ef_status run_all(setup *s, ef_exchange *exchange, bool backward, ef_tree *tree, bool *same) {
  size_t first = ef_block_first(s->M, par.size, par.rank),
         next = ef_block_first(s->M, par.size, par.rank + 1);
  size_t slots = (s->M + (size_t)par.size - 1) / (size_t)par.size;
  *same = true;
  for (size_t slot = 0; slot < slots; slot++) {
    size_t unit = first + slot < next ? first + slot : SIZE_MAX;
    EF_TRY(ef_exchange_slot(exchange, unit, tree));
    if (unit == SIZE_MAX) {
      EF_TRY(ef_exchange_serve(exchange, backward));
    } else {
      EF_TRY(run_unit(s, ef_exchange_experts(exchange), unit, backward));
      *same = *same && rows_agree(s, unit, backward);
    }
    EF_TRY(ef_exchange_close(exchange));
  }
  return EF_OK;
}

/* Each held expert's sum against the same expert in the sum over the full model. */
static bool sums_agree(setup *s) {
  const float *expected, *sum;
  const ef_table *t = &s->shard.table;
  if (ef_tree_sum(s->reference, &expected) != EF_OK || ef_tree_sum(s->tree, &sum) != EF_OK) return false;
  for (size_t moe = 0; moe < ef_dims_moe_count(&s->dims); moe++) {
    const float *mine = sum + moe * t->expert_count * t->expert_floats;
    const float *theirs = expected + (moe * s->E + t->expert_first) * t->expert_floats;
    if (memcmp(mine, theirs, t->expert_count * t->expert_floats * sizeof *mine) != 0) return false;
  }
  return true;
}

static ef_status create(setup *s) {
  const ef_shape shape = {.V = 16,
                          .D = D,
                          .L = L,
                          .H = 2,
                          .G = 2,
                          .F = 8,
                          .max_positions = 32,
                          .E = s->E,
                          .K = s->E < K ? s->E : K,
                          .Fe = 7,
                          .dense_first = 1};
  EF_TRY(ef_dims_make(EF_DEEPSEEK, &shape, &s->dims));
  EF_TRY(ef_model_create(&s->dims, &s->full));
  EF_TRY(ef_shard_create(&par, &s->dims, &s->shard));
  ef_model_init(&s->full, 5, 0);
  ef_model_init(&s->shard, 5, 0);
  s->dims.K = K; /* the exchange asks it only for the number of rows */
  s->shard.dims.K = K;
  EF_TRY(ef_tree_create(s->M, s->full.table.floats - s->full.table.shared, 2, &s->reference));
  EF_TRY(ef_tree_create(s->M, s->shard.table.floats - s->shard.table.shared, 2, &s->tree));
  return EF_NEW(s->expected, s->M);
}

static void release(setup *s) {
  ef_model_free(&s->full);
  ef_model_free(&s->shard);
  ef_tree_free(s->reference);
  ef_tree_free(s->tree);
  ef_free(s->expected);
}

static void check_training(setup *s) {
  ef_exchange *exchange;
  bool same = false;
  cr_assert(mpi_all(ef_exchange_create(&par, k, &s->shard, ROWS, true, &exchange) == EF_OK), "%s",
            ef_message());
  size_t bytes = 0;
  for (int round = 0; round < 3; round++) {
    ef_status status = run_all(s, exchange, true, round == 1 ? NULL : s->tree, &same); /* round 1: frozen */
    cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
    cr_assert(mpi_all(same), "rows, E %zu, M %zu, round %d", s->E, s->M, round);
    cr_assert(mpi_all(round == 1 || sums_agree(s)), "experts, E %zu, M %zu", s->E, s->M);
    ef_tree_reset(s->tree);
    if (round == 0) bytes = ef_memory_bytes();
  }
  cr_assert(mpi_all(ef_memory_bytes() == bytes), "the steady state allocates nothing");
  cr_assert(mpi_all(par.size > 1 || par.traffic.bytes == 0));
  ef_exchange_free(exchange);
}

static void check_forward_only(setup *s) {
  ef_exchange *exchange;
  bool same = false;
  cr_assert(mpi_all(ef_exchange_create(&par, k, &s->shard, ROWS, false, &exchange) == EF_OK), "%s",
            ef_message());
  ef_status status = run_all(s, exchange, false, NULL, &same);
  cr_assert(mpi_all(status == EF_OK && same), "E %zu, M %zu: %s", s->E, s->M, ef_message());
  ef_exchange_free(exchange);
}

MPI_TEST(exchange, blocks_have_the_bits_of_one_rank) {
  static setup s;
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  k = ef_kernels_find("blas");
  size_t before = ef_memory_blocks();
  const size_t experts[] = {1, 2, 5, 6}, micro_batches[] = {1, 3, 4, 6};
  for (size_t e = 0; e < 4; e++) {
    for (size_t m = 0; m < 4; m++) {
      s = (setup){.E = experts[e], .M = micro_batches[m]};
      ef_par_set_chunk(&par, m % 2 ? 1 << 30 : 150);
      ef_par_set_nodes(&par, 1 + (int)m % par.size);
      cr_assert(mpi_all(create(&s) == EF_OK && reference(&s) == EF_OK), "%s", ef_message());
      check_training(&s);
      check_forward_only(&s);
      release(&s);
    }
  }
  ef_par_set_nodes(&par, par.size); /* which drops the room for two levels */
  cr_assert(mpi_all(ef_memory_blocks() == before));
  ef_par_finish(&par);
}

MPI_TEST(exchange, a_wrong_shard_is_refused_everywhere) {
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  k = ef_kernels_find("ref");
  static setup s = {.E = 6, .M = 1};
  ef_exchange *exchange = NULL;
  cr_assert(mpi_all(create(&s) == EF_OK), "%s", ef_message());
  if (par.rank == par.size - 1) s.shard.table.expert_first++;
  cr_assert(mpi_all(ef_exchange_create(&par, k, &s.shard, ROWS, true, &exchange) == EF_FAULT));
  cr_assert(mpi_all(exchange == NULL));
  release(&s);
  ef_par_finish(&par);
}
