/* The bytes that ef_traffic counts in a step are those of the formula. Every token goes to every expert, so
 * that the routing is even whatever the router says. */
#include "step/shard.h"
#include "step/step_time.h"
#include "support/mpi_test.h"
#include <math.h>

enum { B = 2, T = 3, R = B * T, V = 19, E = 6, MOST_M = 9, RANKS_MOST = 6 };

static ef_par par;

static ef_status batch(void *ctx, size_t micro, int32_t *ids, int32_t *targets) {
  (void)ctx;
  for (size_t i = 0; i < R; i++) {
    ids[i] = (int32_t)((7 * micro + 3 * i) % V);
    targets[i] = (int32_t)((7 * micro + 3 * i + 3) % V);
  }
  return EF_OK;
}

/* Bytes of all ranks in the second step: the first one tries the routes. */
static ef_status count(const ef_dims *dims, const ef_step_shape *shape, ef_table *table, int64_t *bytes) {
  const float exits[1] = {0.5f};
  ef_model shard;
  ef_step *step;
  ef_step_result result;
  ef_step_spec spec = {.ce_scale = 1.0f / (float)(shape->M * R),
                       .tau = 1.0f,
                       .exit_weights = ef_dims_exit_count(dims) > 0 ? exits : NULL,
                       .adamw = {.lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f}};
  EF_TRY(ef_shard_create(&par, dims, &shard));
  ef_model_init(&shard, 3, 0);
  EF_TRY(ef_step_create(&par, ef_kernels_find("blas"), &shard, shape, &step));
  ef_traffic before = par.traffic;
  for (spec.adamw.step = 1; spec.adamw.step <= 2; spec.adamw.step++) {
    before = par.traffic;
    EF_TRY(ef_step_run(step, &(ef_batches){NULL, batch}, &spec, &result));
  }
  int64_t mine = (int64_t)ef_traffic_since(&par, &before).bytes, all[RANKS_MOST];
  EF_TRY(ef_allgather_i64(&par, &mine, 1, all));
  *bytes = 0;
  for (int r = 0; r < par.size; r++) *bytes += all[r];
  size_t held = shard.table.expert_count;
  ef_step_free(step);
  ef_model_free(&shard);
  return ef_table_build(dims, 0, held, table);
}

static void check(const ef_dims *dims, bool frozen) {
  for (size_t M = 1; M <= MOST_M; M++) {
    const ef_step_shape shape = {.B = B, .T = T, .M = M, .train_experts = !frozen};
    ef_table table;
    int64_t bytes = 0;
    cr_assert(mpi_all(count(dims, &shape, &table, &bytes) == EF_OK), "%s", ef_message());
    double far = ef_step_far_rows(dims, &shape, par.size);
    double expected = par.size * ef_step_bytes(dims, &table, &shape, par.size, par.nodes.count, far);
    cr_assert(mpi_all(llround(expected) == bytes), "M %zu on %d ranks: %lld bytes where %.17g are due", M,
              par.size, (long long)bytes, expected);
    cr_assert_eq(bytes == 0, par.size == 1);
    ef_table_free(&table);
  }
}

MPI_TEST(step_bytes, are_those_of_the_formula) {
  ef_dims dims;
  const ef_shape dense = {.V = V, .D = 8, .L = 3, .H = 2, .G = 2, .F = 12, .max_positions = 4};
  ef_shape experts = dense;
  experts.E = experts.K = E;
  experts.Fe = experts.Fs = 6;
  experts.dense_first = 1;
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  cr_assert(mpi_all(ef_dims_make(EF_LLAMA, &dense, &dims) == EF_OK), "%s", ef_message());
  check(&dims, false);
  cr_assert(mpi_all(ef_dims_make(EF_DEEPSEEK, &experts, &dims) == EF_OK), "%s", ef_message());
  check(&dims, false);
  check(&dims, true);
  cr_assert(mpi_all(ef_dims_add_exit(&dims, 1) == EF_OK), "%s", ef_message());
  check(&dims, false);
  ef_par_finish(&par);
}
