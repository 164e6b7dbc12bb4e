/* The least resource of an autoregressive workload: an example worked by hand and its limits. */
#include "test_demand_sample.h"
#include <criterion/criterion.h>
#include <math.h>

#define NEAR(a, b) cr_assert_leq(fabs((a) - (b)), 1e-12 * fabs(b), #a " is %.17g, not %.17g", (a), (b))

/* Two equal layers (per token 1 GFLOP and 10 MFLOP a position, 2 GB of weights, 4 GB in the prefill, 0.1 GB
 * of cache a position, 1000 bytes out), exits after 1 and 2 with heads of 1 GFLOP and 1 GB; 9 tokens of
 * prompt, 2 to decode. A unit does 10 GFLOP/s and 10 GB/s, the device ten times as much; 8e5 bit/s. */
static void two_layers(demand_sample *s) {
  ef_layer_cost layer = {.flops = 1e9,
                         .out_bytes = 1000,
                         .attention_flops = 1e7,
                         .weight_bytes = 2e9,
                         .prefill_bytes = 4e9,
                         .cache_bytes = 1e8};
  *s = (demand_sample){
      .w = {.autoregressive = true,
            .input_bytes = 4,
            .prompt_tokens = 9,
            .decode_tokens = 2,
            .layer_count = 2,
            .exit_count = 2},
      .layers = {layer, layer},
      .exits = {{1, 1e9, 1e9, 0.5, NULL}, {2, 1e9, 1e9, 0.9, NULL}},
      .rules = {.unit_flops = 1e10, .unit_bytes = 1e10, .rtt = 0.05},
      .user = {.accuracy = 0.8,
               .deadline = 3,
               .device_flops = 1e11,
               .device_bytes = 1e11,
               .uplink_bps = 8e5,
               .complexity = 1},
  };
  sample_bind(s);
}

/* T_net at q = 0: 9 x 4 bytes, once; at q = 1: 9 x 1000 bytes, then `share` of two tokens of 1000. */
static const double net0 = 8 * 9 * 4 / 8e5 + 0.05;
static double net1(double share) { return 0.09 + 0.05 + 2 * share * (0.01 + 0.05); }

/* Exit 1 (after 2). On one unit the prefill needs max(2 (9 + 0.45)/10, 2 (4 + 0.9)/10) = 1.89 s, the steps
 * max(3.2, 7)/10 and max(3.22, 7.2)/10: G = 3.31. With layer 1 on the device, there max(9.45, 4.9)/100 and
 * memory's 3/100 and 3.1/100: 0.1555 s; the edge: 0.945 + 0.4 + 0.41. */
Test(demand_tokens, fixed_by_hand) {
  demand_sample s;
  two_layers(&s);
  NEAR(ef_demand_of_pair(&s.w, &s.rules, &s.user, 1, 0), 1e10 * 3.31 / (3 - net0));
  NEAR(ef_demand_of_pair(&s.w, &s.rules, &s.user, 1, 1), 1e10 * 1.755 / (3 - 0.1555 - net1(1)));
  ef_demand d = sample_find(&s);
  /* all local: prefill 0.189, steps 0.07 and 0.072 */
  cr_assert(d.need == EF_NEED_SELF && d.choice == 1 && d.partition == 3);
  NEAR(d.device_s, 0.331);
  s.user.deadline = 0.33;
  cr_assert_eq(sample_find(&s).need, EF_NEED_EDGE);
  s.user.deadline = 3;
  s.user.rate = 3.1; /* alone the device would be busy 1.03 times: the head, 0.2 s, goes to the edge */
  d = sample_find(&s);
  NEAR(d.flops, 1e10 * 3.1 * 0.2);
  cr_assert(d.choice == 1 && d.partition == 2 && d.units == 1);
  NEAR(d.device_s, 0.189 + 0.06 + 0.062);
  s.user.rate = 3.3; /* too often for two layers as well */
  d = sample_find(&s);
  NEAR(d.flops, 1e10 * 3.3 * 1.755);
  cr_assert(d.choice == 1 && d.partition == 1 && d.units == 6);
  NEAR(d.device_s, 0.1555);
  NEAR(d.network_s, 0.26);
  NEAR(d.edge_s, 1 / 3.3);
  s.user.device_flops = 1e9; /* 10 s for the prefill of one layer: all at the edge */
  s.user.rate = 0;
  d = sample_find(&s);
  cr_assert(d.choice == 1 && d.partition == 0 && d.units == 2);
  NEAR(d.flops, 1e10 * 3.31 / (3 - net0));
  NEAR(d.edge_s, 3 - net0);
}

/* A quarter of the tokens leaves at exit 0. q = 0: steps 0.4, 0.41 of those, 0.8, 0.82 of the others:
 * G = 1.89 + 0.2025 + 1.215. q = 1: each token's first layer and head take 0.04 and 0.041 s on the device. */
Test(demand_tokens, exits_per_token_by_hand) {
  demand_sample s;
  two_layers(&s);
  s.w.policy_count = 1;
  s.policies[0].accuracy = 0.85;
  s.leave[0][0] = 0.25;
  s.leave[0][1] = 0.75;
  NEAR(ef_demand_of_pair(&s.w, &s.rules, &s.user, 0, 0), 1e10 * 3.3075 / (3 - net0));
  NEAR(ef_demand_of_pair(&s.w, &s.rules, &s.user, 0, 1), 1e10 * 1.5525 / (3 - 0.1755 - net1(0.75)));
  cr_assert_eq(ef_demand_of_pair(&s.w, &s.rules, &s.user, 0, 2), 0);
  s.user.rate = 3.5; /* all local takes 0.189 + 0.25 x 0.081 + 0.75 x 0.162 = 0.33 s */
  ef_demand d = sample_find(&s);
  cr_assert(d.choice == 0 && d.partition == 1 && d.units == 6);
  NEAR(d.flops, 3.5e10 * 1.5525);
  NEAR(d.device_s, 0.1755);
  NEAR(d.network_s, net1(0.75));
  NEAR(d.edge_s, 1 / 3.5);
  s.user.rate = 0;
  d = sample_find(&s);
  cr_assert(d.need == EF_NEED_SELF && d.partition == 2);
  NEAR(d.device_s, 0.33075);
}

/* Half of a third step: 9 tokens, then contexts 10, 11 and half of 12. */
Test(demand_tokens, last_step_in_part_and_own_lengths) {
  demand_sample s;
  two_layers(&s);
  s.user.device_flops = 0;
  s.user.decode_tokens = 1.25;
  s.user.prompt_tokens = 4.5;
  s.user.complexity = 2;
  ef_demand d = sample_find(&s);
  cr_assert_eq(d.partition, 0);
  NEAR(d.flops, 1e10 * (1.89 + 0.7 + 0.72 + 0.5 * 0.74) / (3 - net0));
}

/* Without memory bound, attention and cache the steps are alike: a forward pass of P + r tokens, whose head
 * runs r times. Round trips are left out: they are counted per token. */
Test(demand_tokens, unbounded_memory_is_a_forward_pass) {
  for (uint64_t seed = 0; seed < 300; seed++) {
    demand_sample s;
    sample_make(&s, TOKENS_FIXED, seed);
    s.w.exit_count = 1;
    s.rules.rtt = s.rules.unit_bytes = s.user.device_bytes = 0;
    s.user.prompt_tokens = s.user.decode_tokens = 0;
    s.exits[0].head_bytes = 0;
    for (size_t l = 0; l < s.w.layer_count; l++) s.layers[l].attention_flops = 0;
    demand_sample f = s;
    double prompt = s.w.prompt_tokens, decode = s.w.decode_tokens;
    f.w.autoregressive = false;
    sample_bind(&f);
    f.w.input_bytes *= prompt;
    f.exits[0].head_flops *= decode;
    double h = s.user.complexity;
    for (size_t l = 0; l < f.w.layer_count; l++) {
      f.layers[l].flops *= prompt + decode;
      f.layers[l].out_bytes *= prompt + h * decode / h;
    }
    ef_demand a = sample_find(&s), b = sample_find(&f);
    cr_assert_eq(a.need, b.need);
    cr_assert(a.choice == b.choice && a.partition == b.partition);
    cr_assert_leq(fabs(a.flops - b.flops), 1e-9 * b.flops);
    cr_assert_leq(fabs(a.device_s - b.device_s), 1e-9 * b.device_s);
    cr_assert_leq(fabs(a.network_s - b.network_s), 1e-9 * b.network_s);
  }
}

/* One layer whose steps turn from memory- to compute-bound at every possible j, against the sum step by step.
 */
Test(demand_tokens, steps_that_change_sides) {
  demand_sample s;
  two_layers(&s);
  s.w.layer_count = s.w.exit_count = 1;
  s.exits[0] = (ef_exit){.after = 1, .accuracy = 1};
  s.user.device_flops = 0;
  s.user.deadline = 1e4;
  for (int cross = -2; cross <= 24; cross++) {
    for (int rising = 0; rising < 2; rising++) {
      double fixed = 1e9 * (9 + cross + 0.5), per = 1e9; /* per x (9 + j) = fixed at j = cross + 1/2 */
      s.layers[0] = rising ? (ef_layer_cost){.attention_flops = per, .weight_bytes = fixed}
                           : (ef_layer_cost){.flops = fixed, .cache_bytes = per};
      s.w.decode_tokens = 20.75;
      double sum = rising ? 45 * per : fmax(9 * fixed, 9 * per); /* the prefill */
      for (int j = 1; j <= 20; j++) sum += fmax(fixed, per * (9 + j));
      sum += 0.75 * fmax(fixed, per * 30);
      double x = 1e10 * (sum / 1e10) / (1e4 - net0);
      ef_demand d = sample_find(&s);
      cr_assert_leq(fabs(d.flops - x), 1e-12 * x, "crossing at %d: %.17g is not %.17g", cross, d.flops, x);
    }
  }
}

/* A device without FLOP/s runs what needs none: here nothing, so that layer 1 may not be there. */
Test(demand_tokens, device_that_computes_nothing) {
  demand_sample s;
  two_layers(&s);
  s.user.device_flops = 0;
  cr_assert_eq(ef_demand_of_pair(&s.w, &s.rules, &s.user, 1, 1), INFINITY);
  cr_assert_eq(sample_find(&s).partition, 0);
  s.layers[0].flops = s.layers[0].attention_flops = 0; /* memory alone: 0.049 + 0.061 s on the device */
  ef_demand d = sample_find(&s);
  cr_assert_eq(d.partition, 1);
  NEAR(d.device_s, 0.11);
}

/* With a fixed exit the edge needs slack even where it has no work, as in a forward pass (section 2): one
 * free layer, one byte of prompt at 8 bit/s, a deadline of one second. All local is feasible. */
Test(demand_tokens, no_slack_and_no_work_at_the_edge) {
  demand_sample s = {.w = {.autoregressive = true,
                           .input_bytes = 1,
                           .prompt_tokens = 1,
                           .decode_tokens = 1,
                           .layer_count = 1,
                           .exit_count = 1},
                     .exits = {{1, 0, 0, 1, NULL}},
                     .rules = {.unit_flops = 1},
                     .user = {.deadline = 1, .device_flops = 1, .uplink_bps = 8, .complexity = 1}};
  sample_bind(&s);
  ef_demand d = sample_find(&s);
  cr_assert(d.need == EF_NEED_SELF && d.partition == 2, "partition %zu", d.partition);
  cr_assert(isinf(ef_demand_of_pair(&s.w, &s.rules, &s.user, 0, 0)));
  s.user.deadline = 1.5;
  cr_assert_eq(sample_find(&s).partition, 0);
}
