/* Times of a step by hand: a network of 1 byte per second and 1000 s of latency makes each message legible.
 */
#include "step/step_time.h"

#include <criterion/criterion.h>

enum { D = 8, LAYERS = 2, MEMBER = 4 * D /* bytes of a row */ };

static const ef_interconnect plain = {
    .latency = 1000, .bandwidth = 1, .node_latency = 10, .node_bandwidth = 4};
static const ef_step_work work = {.micro = 7.0, .adam = 0.5};

typedef struct sample {
  ef_dims dims;
  ef_table table;
  ef_step_shape shape; /* 4 tokens, so 8 rows with K = 2 */
} sample;

static sample sample_of(size_t E, size_t M) {
  sample s = {.shape = {.B = 1, .T = 4, .M = M, .train_experts = true}};
  const ef_shape shape = {
      .V = 11, .D = D, .L = LAYERS, .H = 2, .F = 16, .max_positions = 4, .E = E, .K = 2, .Fe = 8, .Fs = 8};
  cr_assert_eq(ef_dims_make(EF_QWEN2_MOE, &shape, &s.dims), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_table_build(&s.dims, 0, 1, &s.table), EF_OK);
  return s;
}

static ef_step_time time_of(const sample *s, int ranks, int nodes, const ef_interconnect *net,
                            const ef_step_work *seconds) {
  return ef_step_time_of(&s->dims, &s->table, &s->shape, ranks, nodes, net, seconds);
}

Test(step_time, one_rank_only_computes) {
  sample s = sample_of(2, 3);
  const ef_step_work sums = {.micro = 7.0, .adam = 0.5, .sum = 0.25};
  double n = (double)s.table.shared, experts = (double)(LAYERS * 2 * s.table.expert_floats);
  ef_step_time t = time_of(&s, 1, 1, &plain, &sums);
  cr_assert_float_eq(t.compute, 3 * 7.0 + 0.5 * (n + experts) + 2 * experts * 0.25, 1e-9);
  cr_assert_float_eq(t.reduction, 2 * n * 0.25, 1e-9, "two sums of three gradients");
  cr_assert_float_eq(t.seconds, t.compute + t.reduction, 1e-9);
  cr_assert_eq(t.exchange, 0.0);
  cr_assert_eq(t.agreement, 0.0);
  cr_assert_eq(t.bytes, 0.0);
  ef_table_free(&s.table);
}

/* A rank holds one of two experts: 4 of its 8 rows go out and come back, forward and backward, per layer. */
Test(step_time, two_ranks_on_two_nodes) {
  sample s = sample_of(2, 2);
  double n = (double)s.table.shared, expert = (double)s.table.expert_floats;
  ef_step_time t = time_of(&s, 2, 2, &plain, &work);
  double leg = 1000 + 4 * MEMBER, counts = 1000 + 2 * 8, unit = 1000 + 8;
  cr_assert_float_eq(t.exchange, unit + LAYERS * (counts + 4 * leg), 1e-6);
  double half = 1000 + 4 * n / 2, told = (1000 + 8) + (1000 + 16) + (1000 + 5 * 8) + (1000 + LAYERS * 8);
  cr_assert_float_eq(t.reduction, 2 * half + told, 1e-6, "one open node, then the sums");
  cr_assert_float_eq(t.agreement, 6 * 1000, 1e-9, "two in the slot, four in the tree");
  cr_assert_float_eq(t.compute, 7.0 + 0.5 * (n + LAYERS * expert), 1e-9);
  cr_assert_float_eq(t.seconds, t.compute + t.exchange + t.reduction + t.agreement, 1e-9);
  cr_assert_float_eq(ef_step_far_rows(&s.dims, &s.shape, 2), 2 * LAYERS * 4, 1e-9);
  double lists = 8 + LAYERS * 16 + 8 + 16 + 5 * 8 + LAYERS * 8;
  cr_assert_float_eq(t.bytes, lists + LAYERS * 4 * 4 * MEMBER + 2 * (4 * n / 2), 1e-6);
  ef_table_free(&s.table);
}

Test(step_time, the_processor_pays_for_every_message) {
  sample s = sample_of(4, 4);
  ef_interconnect busy = plain;
  busy.overhead = 100;
  ef_step_time t = time_of(&s, 4, 4, &plain, &work), slow = time_of(&s, 4, 4, &busy, &work);
  cr_assert_float_eq(slow.agreement - t.agreement, 6 * 2 * 200, 1e-9, "two rounds, one message each way");
  busy.overhead = 1e9; /* nothing else counts: three messages there and back; four lists in two rounds */
  cr_assert_float_eq(time_of(&s, 4, 4, &busy, &work).reduction / 1e9, 2 * 6 + 4 * 2 * 2, 1e-3);
  ef_table_free(&s.table);
}

/* Four ranks on two nodes: 8 * 3/4 rows leave a rank, a third of them within the node, and two ranks share
 * its way out. The counts, 4 * 8 bytes of each rank, take two rounds, one of them inside nodes. */
Test(step_time, ranks_of_a_node_share_its_way_out) {
  sample s = sample_of(4, 4);
  ef_step_time t = time_of(&s, 4, 2, &plain, &work);
  double leg = 1000 + 2 * (4.0 * MEMBER), counts = 1010 + 3 * 32, unit = 1010 + 3 * 8;
  cr_assert_float_eq(t.exchange, unit + LAYERS * (counts + 4 * leg), 1e-6);
  cr_assert_float_eq(t.agreement, 6 * 1010, 1e-9);
  cr_assert_eq(t.route, EF_PAIRWISE);
  ef_step_time near = time_of(&s, 4, 1, &plain, &work);
  leg = 10 + 6.0 * MEMBER / 4;
  counts = 2 * 10 + 3 * 32 / 4.0;
  unit = 2 * 10 + 3 * 8 / 4.0;
  cr_assert_float_eq(near.exchange, unit + LAYERS * (counts + 4 * leg), 1e-6);
  cr_assert_float_eq(near.agreement, 6 * 20, 1e-9);
  ef_table_free(&s.table);
}

/* One of two experts on each of the first two ranks: it gets half the rows of three others. */
Test(step_time, fewer_experts_than_ranks_crowd) {
  sample s = sample_of(2, 4);
  ef_step_time t = time_of(&s, 4, 4, &plain, &work);
  double leg = 1000 + 3 * 4 * MEMBER, counts = 2 * 1000 + 3 * 16, unit = 2 * 1000 + 3 * 8;
  cr_assert_float_eq(t.exchange, unit + LAYERS * (counts + 4 * leg), 1e-6);
  double n = (double)s.table.shared, adam = 0.5 * (n + LAYERS * (double)s.table.expert_floats);
  double share = 18.0 * LAYERS * 2 * D * 8 / ef_dims_flops_per_token(&s.dims, 4);
  cr_assert_float_eq(t.compute, adam + 7.0 * (1 - share + 2 * share), 1e-9, "and computes double");
  ef_table_free(&s.table);
}

/* Five micro-batches on two ranks: leaves 0 1 | 2 and 3 | 4 stay open, so two rounds and the sums. */
Test(step_time, open_nodes_make_rounds) {
  sample s = sample_of(2, 5);
  double n = (double)s.table.shared;
  ef_step_time t = time_of(&s, 2, 2, &plain, &work);
  double told = (1000 + 8) + (1000 + 2 * 16) + (1000 + 3 * 5 * 8) + (1000 + LAYERS * 8);
  cr_assert_float_eq(t.reduction, 3 * (1000 + 4 * n / 2) + told, 1e-6);
  cr_assert_float_eq(t.agreement, (3 * 2 + 4) * 1000, 1e-9);
  ef_table_free(&s.table);
}

/* Gradients of four ranks on two nodes: halves within a node, then quarters of both its ranks between nodes.
 */
Test(step_time, gradients_are_summed_within_nodes_first) {
  sample s = sample_of(4, 4);
  double n = (double)s.table.shared, near = 10 + 4 * n / 2 / 4, far = 1000 + 2 * (4 * n / 4);
  double told = 4 * 1010 + 3 * (8 + 16 + 5 * 8 + LAYERS * 8);
  ef_step_time t = time_of(&s, 4, 2, &plain, &work);
  cr_assert_float_eq(t.reduction, 2 * near + 2 * far + told, 1e-6);
  ef_table_free(&s.table);
}

/* Twice the rows on the busiest of two ranks: it receives 8 rows of the other and computes both. */
Test(step_time, all_wait_for_the_busiest) {
  sample s = sample_of(2, 2);
  ef_step_work uneven = work;
  uneven.skew = 1.0;
  ef_step_time even = time_of(&s, 2, 2, &plain, &work), t = time_of(&s, 2, 2, &plain, &uneven);
  double share = 18.0 * LAYERS * 2 * D * 8 / ef_dims_flops_per_token(&s.dims, 4);
  cr_assert_float_eq(t.compute - even.compute, 7.0 * share, 1e-9);
  cr_assert_float_eq(t.exchange - even.exchange, LAYERS * 4 * 4 * MEMBER, 1e-6);
  cr_assert_float_eq(t.reduction, even.reduction, 1e-9);
  ef_table_free(&s.table);
}

Test(step_time, leaders_pay_off_where_messages_are_dear) {
  sample s = sample_of(64, 64);
  const ef_interconnect dear = {
      .latency = 1e-5, .bandwidth = 1e9, .node_latency = 1e-7, .node_bandwidth = 1e10, .overhead = 1e-5};
  s.shape.T = 4;
  s.shape.B = 64; /* rows for everyone */
  ef_interconnect free = dear;
  free.overhead = 0.0;
  cr_assert_eq(time_of(&s, 64, 8, &dear, &work).route, EF_BY_NODE);
  cr_assert_eq(time_of(&s, 64, 8, &free, &work).route, EF_PAIRWISE);
  ef_table_free(&s.table);
}

Test(step_time, dense_models_exchange_nothing) {
  sample s = sample_of(2, 2);
  const ef_shape shape = {.V = 11, .D = D, .L = LAYERS, .H = 2, .F = 16, .max_positions = 4};
  ef_table_free(&s.table);
  cr_assert_eq(ef_dims_make(EF_LLAMA, &shape, &s.dims), EF_OK);
  cr_assert_eq(ef_table_build(&s.dims, 0, 0, &s.table), EF_OK);
  ef_step_time t = time_of(&s, 2, 2, &plain, &work);
  double n = (double)s.table.shared;
  cr_assert_eq(t.exchange, 0.0);
  cr_assert_float_eq(t.agreement, 5 * 1000, 1e-9);
  cr_assert_float_eq(t.compute, 7.0 + 0.5 * n, 1e-9);
  ef_table_free(&s.table);
}
