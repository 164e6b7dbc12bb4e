/* Shards of ranks that are only said to be there: the experts of each, by hand. */
#include "step/shard.h"

#include <criterion/criterion.h>

static ef_dims dims_of(size_t E) {
  const ef_shape shape = {.V = 7,
                          .D = 4,
                          .L = 2,
                          .H = 2,
                          .G = 2,
                          .F = 6,
                          .max_positions = 8,
                          .E = E,
                          .K = E ? 1 : 0,
                          .Fe = 3,
                          .Fs = 5};
  ef_dims dims;
  cr_assert_eq(ef_dims_make(E ? EF_QWEN2_MOE : EF_LLAMA, &shape, &dims), EF_OK, "%s", ef_message());
  return dims;
}

static ef_model shard_of(int rank, int size, const ef_dims *dims) {
  ef_par par = ef_par_alone();
  par.rank = rank;
  par.size = size;
  ef_model shard;
  cr_assert_eq(ef_shard_create(&par, dims, &shard), EF_OK, "%s", ef_message());
  return shard;
}

Test(shard, experts_are_dealt_in_blocks) {
  /* five experts: two, two and one; on seven ranks the last two have none */
  static const size_t first[] = {0, 2, 4}, held[] = {2, 2, 1};
  const ef_dims dims = dims_of(5);
  for (int rank = 0; rank < 3; rank++) {
    ef_model shard = shard_of(rank, 3, &dims);
    cr_expect_eq(shard.table.expert_first, first[rank], "rank %d", rank);
    cr_expect_eq(shard.table.expert_count, held[rank], "rank %d", rank);
    cr_expect_eq(shard.table.floats - shard.table.shared, 2 * held[rank] * shard.table.expert_floats,
                 "rank %d", rank);
    for (int e = 0; e < 5; e++) {
      bool here = (size_t)e >= first[rank] && (size_t)e < first[rank] + held[rank];
      cr_expect_eq(ef_model_tensor(&shard, EF_T_EXPERT_DOWN_W, 1, e) != NULL, here, "rank %d, expert %d",
                   rank, e);
    }
    ef_model_free(&shard);
  }
  ef_model none = shard_of(6, 7, &dims);
  cr_expect_eq(none.table.expert_count, 0u);
  cr_expect_eq(none.table.floats, none.table.shared);
  ef_model_free(&none);
}

Test(shard, one_rank_and_dense_models_hold_all) {
  for (size_t E = 0; E <= 5; E += 5) {
    const ef_dims dims = dims_of(E);
    ef_model alone = shard_of(0, 1, &dims), other = shard_of(2, 3, &dims);
    ef_model whole;
    cr_assert_eq(ef_model_create(&dims, &whole), EF_OK, "%s", ef_message());
    cr_expect_eq(alone.table.floats, whole.table.floats);
    cr_expect_eq(other.table.shared, whole.table.shared);
    if (E == 0) cr_expect_eq(other.table.floats, whole.table.floats);
    ef_model_free(&whole);
    ef_model_free(&alone);
    ef_model_free(&other);
  }
}
