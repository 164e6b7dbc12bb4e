/* A set of logits has the bits of one rank on any number of ranks, dense or with the experts spread. */
#include "base/memory.h"
#include "rivals/logits.h"
#include "step/shard.h"
#include "support/mpi_test.h"
#include "support/tiny_run.h"
#include <string.h>

enum { E = 5, T = 8, K = 6 };

static ef_par par;

static ef_model shard_of(bool experts, const ef_par *ranks) {
  ef_shape shape = {.V = TINY_V, .D = 16, .L = 2, .H = 2, .F = 20, .max_positions = T};
  if (experts)
    shape = (ef_shape){
        .V = TINY_V, .D = 16, .L = 3, .H = 2, .max_positions = T, .E = E, .K = 2, .Fe = 6, .Fs = 8};
  ef_dims dims;
  ef_model model;
  ef_status status = ef_dims_make(experts ? EF_QWEN2_MOE : EF_LLAMA, &shape, &dims);
  if (status == EF_OK) status = ef_shard_create(ranks, &dims, &model);
  cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
  ef_model_init(&model, 3, 0);
  return model;
}

static ef_logit_set set_over(bool experts, ef_par *ranks, const ef_samples *samples) {
  ef_logit_recipe recipe = {.B = 3, .k = K, .half = experts};
  ef_model shard = shard_of(experts, ranks);
  ef_logit_set set;
  ef_status status = ef_logit_set_make(ranks, ef_kernels_find("blas"), &shard, samples, &recipe, &set);
  cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
  ef_model_free(&shard);
  return set;
}

/* The root has the whole set. */
static void check(bool experts, size_t count) {
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  size_t blocks = ef_memory_blocks();
  ef_par alone = ef_par_alone();
  ef_stream text = tiny_stream(count, 8);
  ef_samples samples;
  cr_assert(mpi_all(ef_samples_make(&text, T, &samples) == EF_OK));
  ef_logit_set here = set_over(experts, &par, &samples), one = set_over(experts, &alone, &samples);
  size_t n = one.tokens * K;
  bool same = memcmp(here.index, one.index, n * sizeof *one.index) == 0 &&
              memcmp(here.logit, one.logit, n * sizeof *one.logit) == 0 &&
              memcmp(here.loss, one.loss, one.windows * sizeof *one.loss) == 0;
  cr_assert(mpi_all(same || par.rank != 0));
  cr_assert(mpi_all(one.loss[0] > 0.0f));
  ef_logit_set_free(&here);
  ef_logit_set_free(&one);
  ef_samples_free(&samples);
  ef_stream_free(&text);
  cr_assert(mpi_all(ef_memory_blocks() == blocks));
  ef_par_finish(&par);
}

MPI_TEST(rivals_logits, dense) { check(false, 203); }
MPI_TEST(rivals_logits, experts) { check(true, 203); }
MPI_TEST(rivals_logits, experts_of_one_batch) { check(true, 9); } /* the other ranks only serve */
