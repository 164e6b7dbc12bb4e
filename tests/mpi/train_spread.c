/* Evaluation with the experts spread over ranks has the bits of one rank, and the value of the serial
 * evaluator. */
#include "base/memory.h"
#include "step/shard.h"
#include "support/mpi_test.h"
#include "support/support.h"
#include "support/tiny_run.h"
#include "train/spread.h"
#include <math.h>
#include <string.h>

enum { E = 5, T = 8, B = 2, COUNT = 203 };

static ef_par par;
static const ef_kernels *k;

static ef_dims dims_of(ef_family family) {
  ef_shape shape = {
      .V = TINY_V, .D = 16, .L = 3, .H = 2, .F = 20, .max_positions = 16, .E = E, .K = 2, .Fe = 6, .Fs = 8};
  shape.dense_first = family == EF_DEEPSEEK;
  ef_dims dims;
  cr_assert(mpi_all(ef_dims_make(family, &shape, &dims) == EF_OK), "%s", ef_message());
  return dims;
}

static ef_model shard_of(const ef_dims *dims, const ef_par *ranks) {
  ef_model model;
  cr_assert(mpi_all(ef_shard_create(ranks, dims, &model) == EF_OK), "%s", ef_message());
  ef_model_init(&model, 3, 0);
  return model;
}

/* Quality and load of the model whose experts are spread over `ranks`. */
static ef_quality spread_over(ef_par *ranks, const ef_dims *dims, const ef_stream *stream, size_t most,
                              size_t *load) {
  ef_model shard = shard_of(dims, ranks);
  ef_spread spread;
  ef_quality q;
  cr_assert(mpi_all(ef_spread_create(ranks, k, &shard, B, T, &spread) == EF_OK), "%s", ef_message());
  cr_assert(mpi_all(ef_spread_evaluate(&spread, stream, most, &q) == EF_OK), "%s", ef_message());
  cr_assert(mpi_all(ef_spread_load(&spread, load) == EF_OK), "%s", ef_message());
  ef_spread_free(&spread);
  ef_model_free(&shard);
  return q;
}

static ef_quality serial(const ef_dims *dims, const ef_stream *stream, size_t most) {
  ef_model model;
  ef_evaluator e;
  ef_quality q;
  bool made = ef_model_create(dims, &model) == EF_OK;
  ef_model_init(&model, 3, 0);
  made = made && ef_evaluator_create(dims, k, B, T, NULL, &e) == EF_OK;
  cr_assert(mpi_all(made && ef_evaluate(&e, &model, stream, most, &q) == EF_OK), "%s", ef_message());
  ef_evaluator_free(&e);
  ef_model_free(&model);
  return q;
}

static void check(const ef_dims *dims, size_t count, size_t most) {
  ef_stream stream = tiny_stream(count, 8);
  ef_par alone = ef_par_alone();
  size_t layers = ef_dims_moe_count(dims), load[3 * E], load_alone[3 * E],
         windows = ef_stream_windows(&stream, T);
  ef_quality here = spread_over(&par, dims, &stream, most, load);
  ef_quality one = spread_over(&alone, dims, &stream, most, load_alone), plain = serial(dims, &stream, most);
  cr_assert(mpi_all(here.nll == one.nll && here.tokens == one.tokens && here.hits == one.hits &&
                    here.bytes == one.bytes),
            "%zu tokens: %.17g %.17g", count, here.nll, one.nll);
  cr_assert(mpi_all(fabs(here.nll - plain.nll) <= 1e-9 * plain.nll && here.tokens == plain.tokens &&
                    here.hits == plain.hits && here.bytes == plain.bytes),
            "%zu tokens: %.17g %.17g", count, here.nll, plain.nll);
  size_t routed = 0, wanted = (most && most < windows ? most : windows) * T * dims->K * layers;
  for (size_t i = 0; i < layers * E; i++) routed += load[i];
  cr_assert(mpi_all(routed == wanted), "%zu tokens routed, not %zu", routed, wanted);
  cr_assert(mpi_all(memcmp(load, load_alone, layers * E * sizeof *load) == 0));
  ef_stream_free(&stream);
}

static void check_family(ef_family family) {
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  k = ef_kernels_find("blas");
  size_t blocks = ef_memory_blocks();
  ef_dims dims = dims_of(family);
  check(&dims, COUNT, 0);
  check(&dims, COUNT, 7);
  check(&dims, 3, 0); /* one batch: the other ranks only serve */
  cr_assert(mpi_all(ef_memory_blocks() == blocks));
  ef_par_finish(&par);
}

MPI_TEST(train_spread, qwen2_moe) { check_family(EF_QWEN2_MOE); }
MPI_TEST(train_spread, deepseek) { check_family(EF_DEEPSEEK); }

MPI_TEST(train_spread, text_without_windows_scores_nothing) {
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  k = ef_kernels_find("blas");
  ef_dims dims = dims_of(EF_QWEN2_MOE);
  ef_stream stream = tiny_stream(1, 8);
  size_t load[3 * E];
  ef_quality q = spread_over(&par, &dims, &stream, 0, load);
  cr_assert(mpi_all(q.tokens == 0 && q.nll == 0.0 && load[0] == 0));
  ef_stream_free(&stream);
  ef_par_finish(&par);
}
