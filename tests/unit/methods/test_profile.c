/* A model as a workload: costs from closed forms, policies from given counts. */
#include "methods/profile.h"

#include "base/memory.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <string.h>

enum { D = 16, V = 50, L = 3, E = 8, K = 2, FE = 12, FS = 20, HEADS = 2, THRESHOLDS = 2 };

static ef_dims dims_of(void) {
  ef_shape shape = {.V = V, .D = D, .L = L, .H = 2, .max_positions = 64, .E = E, .K = K, .Fe = FE, .Fs = FS};
  ef_dims dims;
  cr_assert_eq(ef_dims_make(EF_QWEN2_MOE, &shape, &dims), EF_OK);
  dims.exits[0] = 2; /* behind layer 1: two layers run */
  return dims;
}

static const double thresholds[THRESHOLDS] = {0.25, 0.75};

/* 100 tokens: 40 leave early under the first threshold, 8 under the second. */
static ef_confidence counts(int64_t *left, int64_t *hits, int64_t *alone) {
  const int64_t l[] = {40, 60, 8, 92}, h[] = {10, 20, 4, 30}, a[] = {12, 36};
  for (size_t i = 0; i < 4; i++) left[i] = l[i], hits[i] = h[i];
  for (size_t i = 0; i < 2; i++) alone[i] = a[i];
  return (ef_confidence){.heads = HEADS,
                         .thresholds = THRESHOLDS,
                         .tokens = 100,
                         .threshold = thresholds,
                         .left = left,
                         .hits = hits,
                         .alone = alone,
                         .seconds = 0.5,
                         .passed = 1000};
}

static ef_workload workload_of(const ef_profile *profile) {
  int64_t left[4], hits[4], alone[2];
  ef_dims dims = dims_of();
  ef_confidence c = counts(left, hits, alone);
  ef_workload w;
  cr_assert_eq(ef_profile_workload(&dims, &c, profile, &w), EF_OK, "%s", ef_message());
  return w;
}

static const double attention = 4 * D * D, router = E * D, expert = 3 * FE * D, shared = 3 * FS * D + D;

Test(profile, policies_and_exits) {
  size_t blocks = ef_memory_blocks();
  ef_workload w = workload_of(&(ef_profile){.name = "m", .prompt_tokens = 10, .checkpoint = "ab"});
  cr_assert_eq(w.policy_count, (size_t)THRESHOLDS);
  cr_assert_eq(w.policies[0].threshold, 0.25);
  cr_assert_float_eq(w.policies[0].leave[0], 0.40, 1e-15);
  cr_assert_float_eq(w.policies[0].leave[1], 0.60, 1e-15);
  cr_assert_float_eq(w.policies[0].accuracy, 0.30, 1e-15);
  cr_assert_float_eq(w.policies[1].accuracy, 0.34, 1e-15);
  cr_assert_eq(w.exit_count, (size_t)HEADS);
  cr_assert_eq(w.exits[0].after, 2u);
  cr_assert_eq(w.exits[1].after, (size_t)L);
  cr_assert_float_eq(w.exits[0].accuracy, 0.12, 1e-15);
  cr_assert_str_eq(w.checkpoint, "ab");
  ef_workload_free(&w);
  cr_assert_eq(ef_memory_blocks(), blocks);
}

Test(profile, a_forward_pass) {
  ef_workload w = workload_of(&(ef_profile){.name = "m", .prompt_tokens = 10, .checkpoint = "ab"});
  double token = 2 * (attention + router + K * expert + shared);
  cr_assert_eq(w.layer_count, (size_t)L);
  cr_assert_float_eq(w.layers[0].flops, 10 * token + 4 * D * 55, 1e-6);
  cr_assert_eq(w.layers[0].out_bytes, 10 * 4 * D);
  cr_assert_eq(w.input_bytes, 40);
  cr_assert_eq(w.exits[1].head_flops, 10 * 2 * D * V);
  cr_assert(!w.autoregressive);
  ef_workload_free(&w);
}

Test(profile, autoregressive) {
  ef_workload w = workload_of(&(ef_profile){
      .name = "m", .autoregressive = true, .prompt_tokens = 3, .decode_tokens = 7, .checkpoint = "ab"});
  double rest = attention + router + shared + 5 * D; /* two norms, biases of q, k and v */
  cr_assert(w.autoregressive && w.prompt_tokens == 3 && w.decode_tokens == 7 && w.input_bytes == 4);
  cr_assert_float_eq(w.layers[2].flops, 2 * (attention + router + K * expert + shared), 1e-6);
  cr_assert_eq(w.layers[2].attention_flops, 4 * D);
  cr_assert_float_eq(w.layers[2].weight_bytes, 4 * (rest + K * expert), 1e-6);
  cr_assert_float_eq(w.layers[2].prefill_bytes, 4 * (rest + 6 * expert), 1e-6,
                     "three tokens meet six experts");
  cr_assert_eq(w.layers[2].cache_bytes, 4 * 2 * D);
  cr_assert_eq(w.layers[2].out_bytes, 4 * D);
  cr_assert_eq(w.exits[0].head_flops, 2 * D * V);
  cr_assert_eq(w.exits[0].head_bytes, 4 * (D * V + D));
  ef_workload_free(&w);
}

Test(profile, speed_counts_layers_and_all_heads) {
  int64_t left[4], hits[4], alone[2];
  ef_dims dims = dims_of();
  ef_confidence c = counts(left, hits, alone);
  double token = L * (2 * (attention + router + K * expert + shared) + 4 * D * 4.5) + HEADS * 2 * D * V;
  cr_assert_float_eq(ef_profile_speed(&dims, &c, 8), 1000 * token / 0.5, 1e-3);
}

Test(profile, a_text_without_tokens_is_refused) {
  int64_t left[4], hits[4], alone[2];
  ef_dims dims = dims_of();
  ef_confidence c = counts(left, hits, alone);
  ef_workload w;
  c.tokens = 0;
  ef_status status = ef_profile_workload(&dims, &c, &(ef_profile){.name = "m", .checkpoint = ""}, &w);
  cr_assert_eq(status, EF_INPUT);
  cr_assert(strstr(ef_message(), "too short"));
}
