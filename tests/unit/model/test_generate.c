/* Text from a model: the cache changes nothing, the window slides, draws are a function of the seed. */
#include "cases.h"
#include "model/generate.h"
#include "model/topk.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT = 3, NEW = 30, ROOM = PROMPT + NEW };

static size_t write_text(const ef_model *m, const ef_sampling *how, int32_t *ids) {
  size_t made;
  for (int i = 0; i < PROMPT; i++) ids[i] = (i * 5 + 2) % CASE_V;
  cr_assert_eq(ef_generate(m, ef_kernels_find("ref"), how, ids, PROMPT, NEW, &made), EF_OK, "%s",
               ef_message());
  return made;
}

/* 33 tokens in a window of 16: the cache is rebuilt on the way. */
Test(generate, the_cache_changes_nothing) {
  for (size_t i = 0; i < test_case_count; i++) {
    ef_model m = case_model(test_cases[i].config);
    for (int sampled = 0; sampled < 2; sampled++) {
      ef_sampling how = {.temperature = sampled ? 0.9 : 0.0, .seed = 5, .stop = -1};
      int32_t slow[ROOM], fast[ROOM];
      cr_expect_eq(write_text(&m, &how, slow), NEW);
      how.cache = true;
      cr_expect_eq(write_text(&m, &how, fast), NEW);
      cr_expect_arr_eq(slow, fast, sizeof slow, "%s", test_cases[i].name);
    }
    ef_model_free(&m);
  }
}

/* Greedy tokens are the arg max of the logits of the text so far. */
Test(generate, greedy_takes_the_largest_logit) {
  ef_model m = case_model(case_named("qwen2")->config);
  const ef_kernels *k = ef_kernels_find("ref");
  ef_sampling how = {.stop = -1, .cache = true};
  int32_t ids[ROOM];
  float logits[CASE_V];
  write_text(&m, &how, ids);
  for (size_t n = PROMPT; n < 16; n++) {
    ef_pass *pass;
    size_t best = 0;
    cr_assert_eq(ef_pass_create(&m.dims, k, EF_PASS_EVAL, 1, n, false, NULL, &pass), EF_OK);
    cr_assert_eq(ef_forward(pass, &m, ids, 1, n), EF_OK);
    ef_logits(pass, &m, n - 1, 1, logits);
    for (size_t v = 1; v < CASE_V; v++) best = logits[v] > logits[best] ? v : best;
    cr_expect_eq((size_t)ids[n], best);
    ef_pass_free(pass);
  }
  ef_model_free(&m);
}

Test(generate, the_seed_and_top_k_decide_the_draws) {
  ef_model m = case_model(case_named("llama")->config);
  ef_sampling how = {.temperature = 1.5, .seed = 1, .stop = -1, .cache = true};
  int32_t a[ROOM], b[ROOM], c[ROOM];
  write_text(&m, &how, a);
  write_text(&m, &how, b);
  cr_expect_arr_eq(a, b, sizeof a);
  how.seed = 2;
  write_text(&m, &how, b);
  cr_expect_neq(memcmp(a, b, sizeof a), 0);
  how.top_k = 1;
  write_text(&m, &how, b);
  how.temperature = 0.0;
  write_text(&m, &how, c);
  cr_expect_arr_eq(b, c, sizeof b, "the largest of one candidate is greedy");
  ef_model_free(&m);
}

Test(generate, the_stop_token_ends_the_text) {
  ef_model m = case_model(case_named("gpt2")->config);
  ef_sampling how = {.stop = -1};
  int32_t ids[ROOM];
  write_text(&m, &how, ids);
  size_t first = PROMPT;
  how.stop = ids[PROMPT + 2];
  while (ids[first] != how.stop) first++;
  cr_expect_eq(write_text(&m, &how, ids), first - PROMPT);
  ef_model_free(&m);
}

Test(generate, wrong_prompts_are_refused) {
  ef_model m = case_model(case_named("gpt2")->config);
  ef_sampling how = {.stop = -1};
  int32_t ids[ROOM] = {CASE_V};
  size_t made;
  cr_expect_eq(ef_generate(&m, ef_kernels_find("ref"), &how, ids, 0, 1, &made), EF_INPUT);
  cr_expect_eq(ef_generate(&m, ef_kernels_find("ref"), &how, ids, 1, 1, &made), EF_INPUT);
  cr_expect_eq(made, 0);
  ef_model_free(&m);
}

Test(generate, top_k_is_ordered_with_ties_to_the_lower_index) {
  const float x[8] = {1, 5, 3, 5, -2, 3, 0, 5};
  const int32_t expected[6] = {1, 3, 7, 2, 5, 0};
  int32_t index[8];
  float value[8];
  for (size_t k = 1; k <= 6; k++) {
    ef_top_k(8, k, x, index, value);
    for (size_t i = 0; i < k; i++) {
      cr_expect_eq(index[i], expected[i], "%zu of the %zu largest", i, k);
      cr_expect_eq(value[i], x[expected[i]]);
    }
  }
}
