/* Texts written side by side: each token is the draw that the whole text before it gives, text by text. */
#include "base/rng.h"
#include "cases.h"
#include "model/generate.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { ROWS = 3, PROMPT = 4, LENGTH = 14, NEVER = 1 };

static const double TEMPERATURE = 1.3;

static void give_prompts(int32_t ids[ROWS][LENGTH]) {
  for (int b = 0; b < ROWS; b++) {
    for (int i = 0; i < PROMPT; i++) ids[b][i] = (7 * b + 5 * i + 2) % CASE_V;
  }
}

static void write_batch(const ef_model *m, const char *kernels, uint64_t unit, int32_t ids[ROWS][LENGTH]) {
  const ef_batch_sampling how = {.temperature = TEMPERATURE, .seed = 5, .unit = unit, .never = NEVER};
  give_prompts(ids);
  cr_assert_eq(ef_generate_batch(m, ef_kernels_find(kernels), &how, ROWS, PROMPT, LENGTH, ids[0]), EF_OK,
               "%s", ef_message());
}

/* softmax(z / temperature) without NEVER, and the token at which its running sum passes u. */
static int32_t draw_plainly(const float *z, double u) {
  double p[CASE_V], sum = 0.0, run = 0.0;
  int32_t token = 0;
  for (int v = 0; v < CASE_V; v++) sum += p[v] = v == NEVER ? 0.0 : exp((double)z[v] / TEMPERATURE);
  while (token < CASE_V - 1 && (run += p[token]) <= u * sum) token++;
  return token;
}

Test(generate_batch, every_token_is_the_draw_of_its_own_text) {
  const ef_kernels *k = ef_kernels_find("ref");
  for (size_t c = 0; c < test_case_count; c++) {
    ef_model m = case_model(test_cases[c].config);
    int32_t ids[ROWS][LENGTH];
    write_batch(&m, "ref", 70, ids);
    for (size_t b = 0; b < ROWS; b++) {
      for (size_t n = PROMPT; n < LENGTH; n++) {
        ef_pass *pass;
        float logits[CASE_V];
        cr_assert_eq(ef_pass_create(&m.dims, k, EF_PASS_EVAL, 1, n, false, NULL, &pass), EF_OK);
        cr_assert_eq(ef_forward(pass, &m, ids[b], 1, n), EF_OK);
        ef_logits(pass, &m, n - 1, 1, logits);
        ef_rng rng = ef_rng_stream(5, EF_RNG_SAMPLE, 70 + b, (uint32_t)(n - PROMPT));
        cr_expect_eq(ids[b][n], draw_plainly(logits, ef_rng_uniform(&rng)), "%s, text %zu, token %zu",
                     test_cases[c].name, b, n);
        ef_pass_free(pass);
      }
    }
    ef_model_free(&m);
  }
}

Test(generate_batch, units_differ_and_the_same_unit_repeats) {
  ef_model m = case_model(case_named("gpt2")->config);
  int32_t a[ROWS][LENGTH], b[ROWS][LENGTH];
  write_batch(&m, "blas", 0, a);
  write_batch(&m, "blas", 0, b);
  cr_expect_eq(memcmp(a, b, sizeof a), 0);
  write_batch(&m, "blas", 9, b);
  cr_expect_neq(memcmp(a, b, sizeof a), 0);
  for (int r = 0; r < ROWS; r++) {
    for (int i = PROMPT; i < LENGTH; i++) cr_expect(a[r][i] >= 0 && a[r][i] < CASE_V && a[r][i] != NEVER);
  }
  ef_model_free(&m);
}

Test(generate_batch, wrong_lengths_are_refused) {
  ef_model m = case_model(case_named("gpt2")->config);
  const ef_batch_sampling how = {.temperature = 1.0, .never = -1};
  int32_t ids[LENGTH] = {0};
  const ef_kernels *k = ef_kernels_find("ref");
  cr_expect_eq(ef_generate_batch(&m, k, &how, 1, 0, LENGTH, ids), EF_INPUT);
  cr_expect_eq(ef_generate_batch(&m, k, &how, 1, LENGTH, LENGTH, ids), EF_INPUT);
  cr_expect_eq(ef_generate_batch(&m, k, &how, 1, 1, m.dims.max_positions + 1, ids), EF_INPUT);
  ef_model_free(&m);
}
