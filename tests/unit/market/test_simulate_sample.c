#include "test_simulate_sample.h"

ef_workload sample_single(void) {
  static ef_layer_cost layers[] = {{.name = (char *)"only", .flops = 1e9, .out_bytes = 10}};
  static ef_exit exits[] = {{.after = 1, .accuracy = 0.9}};
  return (ef_workload){.name = (char *)"single",
                       .input_bytes = 1000,
                       .layer_count = 1,
                       .exit_count = 1,
                       .layers = layers,
                       .exits = exits};
}

ef_workload sample_exits(void) {
  static ef_layer_cost layers[] = {{.name = (char *)"l1", .flops = 0.5e9, .out_bytes = 20000},
                                   {.name = (char *)"l2", .flops = 0.5e9, .out_bytes = 20000},
                                   {.name = (char *)"l3", .flops = 0.5e9, .out_bytes = 20000},
                                   {.name = (char *)"l4", .flops = 0.5e9, .out_bytes = 20000}};
  static ef_exit exits[] = {{.after = 1, .head_flops = 1e6, .accuracy = 0.6},
                            {.after = 2, .head_flops = 1e6, .accuracy = 0.8, .source = (char *)"made up"},
                            {.after = 4, .head_flops = 1e6, .accuracy = 0.9}};
  return (ef_workload){.name = (char *)"exits",
                       .input_bytes = 150528,
                       .layer_count = 4,
                       .exit_count = 3,
                       .layers = layers,
                       .exits = exits};
}

ef_scenario sample_scenario(ef_workload workload, double users, double *values) {
  values[0] = users;
  values[1] = 1.0;
  values[2] = 1e7;
  values[3] = 0.0;
  ef_scenario s = ef_scenario_default();
  s.workload = workload;
  s.slots = 1;
  s.arrivals = (ef_trace){.count = 1, .value = &values[0]};
  s.price = (ef_trace){.count = 1, .value = &values[1]};
  s.uplink = (ef_trace){.count = 1, .value = &values[2]};
  s.device = (ef_trace){.count = 1, .value = &values[3]};
  s.deadline_least = s.deadline_most = 0.5;
  s.scale_least = s.scale_most = 1.0;
  s.rate_least = s.rate_most = 0.0;
  s.max_share = 1.0;
  s.training_slots = 0;
  return s;
}

ef_scenario sample_generated(uint64_t seed) {
  ef_scenario s = ef_scenario_default();
  ef_trace_ranges ranges = ef_trace_ranges_default();
  s.workload = sample_exits();
  s.seed = seed;
  s.slots = 30;
  s.capacity_flops = 300e9;
  cr_ok(ef_scenario_generate(&s, &ranges));
  return s;
}

ef_simulation sample_run(const ef_scenario *scenario, const char *mechanism) {
  const ef_mechanism *m = ef_mechanism_find(mechanism);
  cr_assert(m, "%s", mechanism);
  ef_simulation sim;
  cr_ok(ef_simulate(scenario, &m, 1, &sim));
  return sim;
}
