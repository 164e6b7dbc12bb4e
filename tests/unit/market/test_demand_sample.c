#include "test_demand_sample.h"
#include <criterion/criterion.h>
#include <math.h>

double sample_between(ef_rng *rng, double a, double b) { return a + (b - a) * ef_rng_uniform(rng); }

double sample_log(ef_rng *rng, double a, double b) { return a * pow(b / a, ef_rng_uniform(rng)); }

static bool now_and_then(ef_rng *rng, uint64_t times) { return ef_rng_below(rng, times) == 0; }

void sample_bind(demand_sample *s) {
  s->w.layers = s->layers;
  s->w.exits = s->exits;
  s->w.policies = s->policies;
  for (size_t p = 0; p < SAMPLE_POLICIES; p++) s->policies[p].leave = s->leave[p];
}

static void make_layers(demand_sample *s, ef_rng *rng) {
  s->w.layer_count = 1 + ef_rng_below(rng, SAMPLE_LAYERS);
  for (size_t l = 0; l < s->w.layer_count; l++) {
    s->layers[l] = (ef_layer_cost){.flops = now_and_then(rng, 10) ? 0 : sample_log(rng, 1e7, 4e9),
                                   .out_bytes = now_and_then(rng, 20) ? 0 : sample_log(rng, 1e3, 1e6),
                                   .attention_flops = now_and_then(rng, 3) ? 0 : sample_log(rng, 1e6, 1e8),
                                   .weight_bytes = sample_log(rng, 1e8, 2e9),
                                   .prefill_bytes = sample_log(rng, 1e8, 4e9),
                                   .cache_bytes = now_and_then(rng, 3) ? 0 : sample_log(rng, 1e6, 1e8)};
  }
}

static void make_exits(demand_sample *s, ef_rng *rng) {
  s->w.exit_count = 1 + ef_rng_below(rng, SAMPLE_EXITS);
  size_t after = 0;
  for (size_t e = 0; e < s->w.exit_count; e++) {
    after += ef_rng_below(rng, 1 + s->w.layer_count - after);
    if (e + 1 == s->w.exit_count && !now_and_then(rng, 8)) after = s->w.layer_count;
    s->exits[e] = (ef_exit){.after = after,
                            .head_flops = now_and_then(rng, 3) ? 0 : sample_log(rng, 1e6, 2e9),
                            .head_bytes = now_and_then(rng, 3) ? 0 : sample_log(rng, 1e6, 2e9),
                            .accuracy = sample_between(rng, 0.3, 1)};
  }
}

static void make_policies(demand_sample *s, ef_rng *rng) {
  s->w.policy_count = 1 + ef_rng_below(rng, SAMPLE_POLICIES);
  for (size_t p = 0; p < s->w.policy_count; p++) {
    double sum = 0;
    for (size_t e = 0; e < s->w.exit_count; e++) {
      s->leave[p][e] = now_and_then(rng, 3) ? 0 : ef_rng_uniform(rng);
      sum += s->leave[p][e];
    }
    if (sum <= 0) s->leave[p][s->w.exit_count - 1] = sum = 1;
    for (size_t e = 0; e < s->w.exit_count; e++) s->leave[p][e] /= sum;
    s->policies[p].accuracy = sample_between(rng, 0.3, 1);
  }
}

static void make_user(demand_sample *s, ef_rng *rng) {
  bool tokens = s->w.autoregressive;
  s->user = (ef_user){.accuracy = now_and_then(rng, 2) ? 0 : sample_between(rng, 0.2, 0.9),
                      .deadline = sample_log(rng, tokens ? 1 : 0.05, tokens ? 300 : 5),
                      .device_flops = now_and_then(rng, 10) ? 0 : sample_log(rng, 1e9, 1e11),
                      .device_bytes = now_and_then(rng, 4) ? 0 : sample_log(rng, 1e9, 1e11),
                      .uplink_bps = sample_log(rng, 5e6, 5e8),
                      .complexity = sample_between(rng, 0.5, 2),
                      .rate = now_and_then(rng, 2) ? 0 : sample_log(rng, 0.01, tokens ? 0.3 : 5)};
  if (tokens && now_and_then(rng, 4)) s->user.decode_tokens = sample_between(rng, 0.3, 60);
  if (tokens && now_and_then(rng, 4)) s->user.prompt_tokens = sample_between(rng, 1, 60);
}

void sample_make(demand_sample *s, sample_kind kind, uint64_t seed) {
  ef_rng rng = ef_rng_stream(seed, EF_RNG_TEST, (uint64_t)kind, 0);
  *s = (demand_sample){0};
  make_layers(s, &rng);
  make_exits(s, &rng);
  s->w.input_bytes = sample_log(&rng, 1e4, 1e6);
  s->w.autoregressive = kind == TOKENS_FIXED || kind == TOKENS_CONFIDENCE;
  if (kind == CONFIDENCE || kind == TOKENS_CONFIDENCE) make_policies(s, &rng);
  s->w.prompt_tokens = sample_between(&rng, 1, 40);
  s->w.decode_tokens = sample_between(&rng, 1, 80);
  s->rules = (ef_rules){.unit_flops = 1e9, .rtt = now_and_then(&rng, 3) ? 0 : 5e-3};
  s->rules.unit_bytes = now_and_then(&rng, 4) ? 0 : sample_log(&rng, 1e8, 1e10);
  make_user(s, &rng);
  sample_bind(s);
}

void sample_small(demand_sample *s) {
  *s = (demand_sample){
      .w = {.input_bytes = 2e6, .layer_count = 3, .exit_count = 2},
      .layers = {{.flops = 2e9, .out_bytes = 1e6},
                 {.flops = 4e9, .out_bytes = 5e5},
                 {.flops = 4e9, .out_bytes = 1e3}},
      .exits = {{.after = 1, .head_flops = 1e9, .accuracy = 0.6}, {.after = 3, .accuracy = 0.8}},
      .rules = {.unit_flops = 1e9, .rtt = 0.05},
      .user = {.accuracy = 0.5, .deadline = 1, .device_flops = 4e9, .uplink_bps = 8e7, .complexity = 1},
  };
  sample_bind(s);
}

ef_demand sample_find(const demand_sample *s) {
  ef_demand demand;
  ef_demand_table *table;
  cr_assert_eq(ef_demand_table_create(&s->w, &table), EF_OK);
  ef_demand_find(table, &s->rules, &s->user, &demand);
  ef_demand_table_free(table);
  return demand;
}

double sample_least(const demand_sample *s, size_t *choice, size_t *q) {
  double least = INFINITY;
  size_t choices = s->w.policy_count > 0 ? s->w.policy_count : s->w.exit_count;
  *choice = *q = SIZE_MAX;
  for (size_t c = 0; c <= choices; c++) {
    for (size_t l = 0; l <= s->w.layer_count + 2; l++) {
      double x = ef_demand_of_pair(&s->w, &s->rules, &s->user, c, l);
      if (!(x < least)) continue;
      least = x;
      *choice = c;
      *q = l;
    }
  }
  return least;
}
