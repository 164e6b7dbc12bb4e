/* Confidence of a model whose experts are spread: the counts of one rank on any number of ranks. */
#include "base/memory.h"
#include "step/shard.h"
#include "support/mpi_test.h"
#include "support/support.h"
#include "support/tiny_run.h"
#include "train/confidence.h"
#include <string.h>

enum { E = 5, T = 8, B = 2, HEADS = 2, THRESHOLDS = 3 };
static const double thresholds[THRESHOLDS] = {0.05, 0.1, 0.3};

static ef_confidence measure(ef_par *ranks, const ef_dims *dims, const ef_stream *streams) {
  ef_model shard;
  ef_confidence c;
  ef_confidence_text text = {streams, 2, B, T, 9};
  cr_assert(mpi_all(ef_shard_create(ranks, dims, &shard) == EF_OK), "%s", ef_message());
  ef_model_init(&shard, 3, 0);
  cr_assert(mpi_all(ef_confidence_measure(ranks, ef_kernels_find("blas"), &shard, &text, thresholds,
                                          THRESHOLDS, &c) == EF_OK),
            "%s", ef_message());
  ef_model_free(&shard);
  return c;
}

MPI_TEST(train_confidence, equal_on_any_number_of_ranks) {
  ef_par par, alone = ef_par_alone();
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  size_t blocks = ef_memory_blocks();
  ef_shape shape = {
      .V = TINY_V, .D = 16, .L = 3, .H = 2, .max_positions = 16, .E = E, .K = 2, .Fe = 6, .Fs = 8};
  ef_dims dims;
  cr_assert(mpi_all(ef_dims_make(EF_QWEN2_MOE, &shape, &dims) == EF_OK));
  dims.exits[0] = 2;
  ef_stream streams[2] = {tiny_stream(203, 8), tiny_stream(31, 9)};
  ef_confidence here = measure(&par, &dims, streams), one = measure(&alone, &dims, streams);
  size_t bytes = THRESHOLDS * HEADS * sizeof *here.left;
  cr_assert(mpi_all(here.tokens == one.tokens && here.tokens > 0));
  cr_assert(mpi_all(memcmp(here.left, one.left, bytes) == 0 && memcmp(here.hits, one.hits, bytes) == 0));
  cr_assert(mpi_all(memcmp(here.alone, one.alone, HEADS * sizeof *here.alone) == 0));
  for (size_t i = 0; i < 2; i++) ef_stream_free(&streams[i]);
  ef_confidence_free(&here);
  ef_confidence_free(&one);
  cr_assert(mpi_all(ef_memory_blocks() == blocks));
  ef_par_finish(&par);
}
