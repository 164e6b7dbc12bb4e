/* The least resource of a forward pass: examples worked by hand, and every corner of the rules. */
#include "test_demand_sample.h"
#include <criterion/criterion.h>
#include <math.h>

static void expect(const demand_sample *s, size_t choice, size_t q, double x, int64_t units) {
  ef_demand d = sample_find(s);
  cr_assert_eq(d.need, x > 0 ? EF_NEED_EDGE : EF_NEED_SELF);
  cr_assert_eq(d.choice, choice, "choice %zu, not %zu", d.choice, choice);
  cr_assert_eq(d.partition, q, "partition %zu, not %zu", d.partition, q);
  cr_assert_leq(fabs(d.flops - x), 1e-12 * x, "%.17g is not %.17g", d.flops, x);
  cr_assert_eq(d.units, units);
  double pair = ef_demand_of_pair(&s->w, &s->rules, &s->user, choice, q);
  cr_assert_leq(fabs(pair - x), 1e-12 * x, "pair %.17g is not %.17g", pair, x);
}

static void expect_infeasible(const demand_sample *s) {
  ef_demand d = sample_find(s);
  cr_assert_eq(d.need, EF_NEED_INFEASIBLE);
  cr_assert(d.choice == SIZE_MAX && d.partition == SIZE_MAX && d.units == 0 && d.flops == 0);
  cr_assert(d.device_s == 0 && d.network_s == 0 && d.edge_s == 0);
  size_t choice, q;
  cr_assert_eq(sample_least(s, &choice, &q), INFINITY);
}

static double of_pair(const demand_sample *s, size_t choice, size_t q) {
  return ef_demand_of_pair(&s->w, &s->rules, &s->user, choice, q);
}

#define NEAR(a, b) cr_assert_leq(fabs((a) - (b)), 1e-12 * fabs(b), #a " is %.17g, not %.17g", (a), (b))

/* ---- fixed exits ----------------------------------------------------------------------------------------
 */

/* Accuracy 0.7 leaves exit 1. q = 0: upload 0.2, slack 1 - 0.2 - 0.05 = 0.75, 10/0.75 GFLOP/s. q = 1: device
 * 0.5, upload 0.1, slack 0.35, 8/0.35. q = 2: device 1.5. q = 3 is skipped, all local takes 2.5. */
Test(demand_fixed, late_exit_by_hand) {
  demand_sample s;
  sample_small(&s);
  s.user.accuracy = 0.7;
  NEAR(of_pair(&s, 1, 1), 8e9 / 0.35);
  cr_assert_eq(of_pair(&s, 1, 2), INFINITY);
  cr_assert_eq(of_pair(&s, 1, 3), INFINITY);
  cr_assert_eq(of_pair(&s, 1, 4), INFINITY);
  cr_assert_eq(of_pair(&s, 0, 0), INFINITY);
  expect(&s, 1, 0, 10e9 / 0.75, 14);
  ef_demand d = sample_find(&s);
  NEAR(d.network_s, 0.25);
  NEAR(d.edge_s, 0.75);
  cr_assert_eq(d.device_s, 0);
  cr_assert_eq(d.accuracy, 0.8);
}

/* Exit 0 on the device alone: 3/4 s. At deadline 0.7 it is late: q = 0 has slack 0.45 for 3 GFLOP, q = 1 has
 * 0.05 for the head of 1 GFLOP. */
Test(demand_fixed, early_exit_by_hand) {
  demand_sample s;
  sample_small(&s);
  expect(&s, 0, 2, 0, 0);
  ef_demand d = sample_find(&s);
  cr_assert(d.device_s == 0.75 && d.network_s == 0 && d.edge_s == 0 && d.accuracy == 0.6);
  s.user.deadline = 0.75;
  expect(&s, 0, 2, 0, 0);
  s.user.deadline = 0.7;
  NEAR(of_pair(&s, 0, 1), 1e9 / (0.7 - 0.5 - 0.1 - 0.05));
  expect(&s, 0, 0, 3e9 / (0.7 - 0.2 - 0.05), 7);
}

/* Two tasks a second: the device alone would be busy 1.5 times. q = 0: max(4, 2 x 3); q = 1: the device is
 * busy exactly all the time, max(1/0.35, 2 x 1). At rate 2.1 that is too much. */
Test(demand_fixed, rate_by_hand) {
  demand_sample s;
  sample_small(&s);
  s.user.rate = 2;
  NEAR(of_pair(&s, 0, 0), 6e9);
  expect(&s, 0, 1, 1e9 / 0.35, 3);
  s.user.rate = 2.1;
  expect(&s, 0, 0, 6.3e9, 7);
  s.user.rate = 5.1; /* the uplink of q = 0 would be busy 1.02 times */
  expect_infeasible(&s);
}

Test(demand_fixed, complexity_scales_work_and_data) {
  demand_sample s;
  sample_small(&s);
  s.user.complexity = 2; /* q = 0: slack 1 - 0.4 - 0.05; q = 1: device alone 1 s */
  expect(&s, 0, 0, 6e9 / 0.55, 11);
}

/* 3/0.75 is exactly 4 units; one part in 1e10 more still is, one in 1e9 no longer. */
Test(demand_fixed, units_are_rounded_up) {
  demand_sample s;
  sample_small(&s);
  s.user.device_flops = 0;
  expect(&s, 0, 0, 4e9, 4);
  s.exits[0].head_flops = 1e9 + 0.3;
  expect(&s, 0, 0, (3e9 + 0.3) / 0.75, 4);
  s.exits[0].head_flops = 1e9 + 3;
  expect(&s, 0, 0, (3e9 + 3) / 0.75, 5);
  s.rules.unit_flops = 1e30;
  cr_assert_eq(sample_find(&s).units, 1);
  s.rules.unit_flops = 1e-12;
  cr_assert_eq(sample_find(&s).units, INT64_MAX);
  s.exits[0].head_flops = 1e9;
  s.rules.unit_flops = 4e9 * 0x1p-63; /* one more than the largest integer */
  cr_assert_eq(sample_find(&s).units, INT64_MAX);
  s.rules.unit_flops = 4e9 * 0x1p-62;
  cr_assert_eq(sample_find(&s).units, INT64_C(1) << 62);
}

Test(demand_fixed, slack_at_and_below_zero) {
  demand_sample s;
  sample_small(&s);
  s.user.device_flops = 0;
  s.rules.rtt = 0;
  s.user.uplink_bps = 8 * 2e6 / 0.25;
  s.user.deadline = 0.25;
  expect_infeasible(&s);
  s.user.deadline = 0.2;
  expect_infeasible(&s);
  s.user.deadline = nextafter(0.25, 1); /* a slack of 2^-54 s for 3 GFLOP */
  expect(&s, 0, 0, 3e9 * 0x1p54, INT64_C(3) << 54);
}

/* Without a device only what computes nothing there is left: q = 0, and q = 1 once layer 1 is free. */
Test(demand_fixed, device_that_computes_nothing) {
  demand_sample s;
  sample_small(&s);
  s.user.device_flops = 0;
  cr_assert_eq(of_pair(&s, 0, 1), INFINITY);
  cr_assert_eq(of_pair(&s, 0, 2), INFINITY);
  s.layers[0].flops = 0;
  expect(&s, 0, 1, 1e9 / 0.85, 2);
  s.exits[0].head_flops = 0; /* nothing to do at all: both ways need nothing, the smaller partition stays */
  expect(&s, 0, 0, 0, 0);
}

Test(demand_fixed, exit_at_layer_0) {
  demand_sample s;
  sample_small(&s);
  s.exits[0].after = 0;
  expect(&s, 0, 1, 0, 0); /* the head alone on the device, 0.25 s */
  s.user.deadline = 0.26;
  s.user.uplink_bps = 8e8;
  s.user.device_flops = 1e9;
  expect(&s, 0, 0, 1e9 / (0.26 - 0.02 - 0.05), 6);
}

Test(demand_fixed, unbounded_speeds_and_too_large_numbers) {
  demand_sample s;
  sample_small(&s);
  s.user.accuracy = 0.7;
  s.user.uplink_bps = INFINITY;
  expect(&s, 1, 0, 10e9 / 0.95, 11);
  s.user.device_flops = INFINITY;
  expect(&s, 1, 4, 0, 0);
  s.user.device_flops = 0;
  s.user.complexity = 1e290;
  cr_assert_eq(sample_find(&s).units, INT64_MAX);
  s.layers[0].flops = 1e100;
  expect_infeasible(&s);
  s.user.uplink_bps = 0;
  expect_infeasible(&s);
}

Test(demand_fixed, nobody_is_accurate_enough) {
  demand_sample s;
  sample_small(&s);
  s.user.accuracy = 0.80001;
  expect_infeasible(&s);
}

/* A head that costs more than the rest of the network: the later exit needs less. */
Test(demand_fixed, later_exit_may_be_cheaper) {
  demand_sample s;
  sample_small(&s);
  s.user.device_flops = 0;
  s.exits[0].head_flops = 20e9;
  expect(&s, 1, 0, 10e9 / 0.75, 14);
  s.exits[0].head_flops = 8e9; /* the same work: the earlier exit */
  expect(&s, 0, 0, 10e9 / 0.75, 14);
}

/* ---- exits by confidence --------------------------------------------------------------------------------
 */

/* Half leaves after layer 1 (head 1 GFLOP), half after layer 3 (head 2): 2 + 1 + 0.5 (8 + 2) = 8 GFLOP
 * expected. */
static void half_and_half(demand_sample *s) {
  sample_small(s);
  s->exits[1].head_flops = 2e9;
  s->w.policy_count = 1;
  s->policies[0].accuracy = 0.75;
  s->leave[0][0] = s->leave[0][1] = 0.5;
}

/* Deadline 1.9. q = 0: 8/(1.9 - 0.25). q = 1: device 3/4 s, network 0.5 (0.1 + 0.05), 5 GFLOP left,
 * slack 1.075. q = 2: device 1.25, network 0.05, 3 GFLOP, slack 0.6. q = 3: 2 s. */
Test(demand_confidence, by_hand) {
  demand_sample s;
  half_and_half(&s);
  s.user.deadline = 1.9;
  NEAR(of_pair(&s, 0, 0), 8e9 / 1.65);
  NEAR(of_pair(&s, 0, 2), 3e9 / (1.9 - 1.25 - 0.05));
  cr_assert_eq(of_pair(&s, 0, 3), INFINITY);
  cr_assert_eq(of_pair(&s, 0, 4), INFINITY);
  expect(&s, 0, 1, 5e9 / 1.075, 5);
  ef_demand d = sample_find(&s);
  NEAR(d.device_s, 0.75);
  NEAR(d.network_s, 0.075);
  NEAR(d.edge_s, 1.075);
  cr_assert_eq(d.accuracy, 0.75);
  s.user.deadline = 2;
  expect(&s, 0, 3, 0, 0);
}

/* Rates: at 1.3 a second q = 1 keeps the device busy 0.975, the edge needs 1.3 x 5; at 1.4 only q = 0 is
 * left. */
Test(demand_confidence, rate_by_hand) {
  demand_sample s;
  half_and_half(&s);
  s.user.deadline = 1.9;
  s.user.rate = 1.3;
  expect(&s, 0, 1, 6.5e9, 7);
  s.user.rate = 1.4;
  expect(&s, 0, 0, 11.2e9, 12);
  s.user.rate = 5; /* the uplink is busy all the time */
  expect(&s, 0, 0, 40e9, 40);
  s.user.rate = 5.01;
  expect_infeasible(&s);
}

/* Only what goes on is sent: at 15 a second q = 0 would need 3 uplinks, q = 1 three quarters of one. Layer 2
 * sends too much, layer 3 computes too much for the device. */
Test(demand_confidence, the_uplink_carries_the_share) {
  demand_sample s;
  half_and_half(&s);
  s.user.device_flops = 1e12;
  s.user.rate = 15;
  s.layers[1].out_bytes = 1e9;
  s.layers[2].flops = 1e15;
  expect(&s, 0, 1, 15 * 500003e9, 7500045);
}

/* Exits of 0.7, 0.2 and 0.1: 1 minus their sum is not 0 in floating point, but nothing leaves any later. */
Test(demand_confidence, nothing_reaches_the_edge) {
  demand_sample s;
  half_and_half(&s);
  s.w.exit_count = 4;
  s.exits[0] = (ef_exit){.after = 1, .head_flops = 1e9};
  s.exits[1] = s.exits[2] = s.exits[0];
  s.exits[3] = (ef_exit){.after = 3, .head_flops = 2e9};
  double leave[4] = {0.7, 0.2, 0.1, 0};
  cr_assert_neq(1 - (leave[0] + leave[1] + leave[2]), 0);
  for (size_t e = 0; e < 4; e++) s.leave[0][e] = leave[e];
  /* 2 + 1 + 0.3 + 0.1 GFLOP on the device, no network */
  expect(&s, 0, 1, 0, 0);
  ef_demand d = sample_find(&s);
  NEAR(d.device_s, 0.85);
  cr_assert_eq(d.network_s, 0);
  s.user.device_flops = 3.3e9;
  s.user.deadline = 1.02;
  expect(&s, 0, 0, 3.4e9 / (1.02 - 0.25), 5);
}

/* At q = 0 the head of an exit at layer 0 runs at the edge, for all; from q = 1 on it runs on the device. */
Test(demand_confidence, exit_at_layer_0) {
  demand_sample s;
  half_and_half(&s);
  s.exits[0].after = 0;
  s.user.deadline = 1.7;
  /* head 1, then half of (10 + 2): 7 GFLOP; q = 1: device 1 + 1, half is sent, edge 0.5 (8 + 2); q = 2:
   * device 1 + 1 + 2, edge 0.5 (4 + 2) */
  NEAR(of_pair(&s, 0, 0), 7e9 / 1.45);
  NEAR(of_pair(&s, 0, 2), 3e9 / (1.7 - 1 - 0.05));
  expect(&s, 0, 1, 5e9 / 1.125, 5);
}

/* The only exit at layer 0: no partition is all local. */
Test(demand_confidence, only_exit_at_layer_0) {
  demand_sample s;
  half_and_half(&s);
  s.w.exit_count = 1;
  s.exits[0].after = 0;
  s.leave[0][0] = 1;
  expect(&s, 0, 0, 1e9 / 0.75, 2);
}

/* Everything is sent, nothing is computed: in time up to a slack of exactly 0. */
Test(demand_confidence, edge_without_work) {
  demand_sample s;
  half_and_half(&s);
  s.user.device_flops = 0;
  for (size_t l = 0; l < 3; l++) s.layers[l].flops = 0;
  s.exits[0].head_flops = s.exits[1].head_flops = 0;
  s.w.exit_count = 2;
  s.layers[0].out_bytes = 1e9;
  s.rules.rtt = 0;
  s.user.uplink_bps = 8 * 2e6 / 0.25;
  s.user.deadline = 0.25;
  expect(&s, 0, 0, 0, 0);
  cr_assert_eq(sample_find(&s).network_s, 0.25);
  s.user.deadline = 0.2; /* layer 1 sends too much, half of layer 2's output takes 1/32 s */
  expect(&s, 0, 2, 0, 0);
  cr_assert_eq(sample_find(&s).network_s, 0.03125);
}

/* The second policy lets all leave early and is exact enough for some. */
Test(demand_confidence, the_policy_is_chosen) {
  demand_sample s;
  half_and_half(&s);
  s.user.device_flops = 0;
  s.w.policy_count = 3;
  s.policies[1].accuracy = s.policies[2].accuracy = 0.6;
  s.leave[1][0] = s.leave[2][0] = 1;
  expect(&s, 1, 0, 3e9 / 0.75, 4);
  s.user.accuracy = 0.7;
  expect(&s, 0, 0, 8e9 / 0.75, 11);
  s.user.accuracy = 0.76;
  expect_infeasible(&s);
}
