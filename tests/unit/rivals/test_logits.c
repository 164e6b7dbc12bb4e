/* Sets of logits against a look at every window by itself; messages and files give back what went in. */
#include "base/memory.h"
#include "logits_sample.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static ef_stream text;
static ef_samples samples;
static ef_par alone;

static void open_samples(void) {
  alone = ef_par_alone();
  sample_open(&text, &samples);
}

static void close_samples(void) { sample_close(&text, &samples); }

static ef_logit_set set_of(const ef_model *model, size_t B, bool half) {
  ef_logit_recipe recipe = {.B = B, .k = SAMPLE_K, .half = half};
  ef_logit_set set;
  cr_assert_eq(ef_logit_set_make(&alone, ef_kernels_find("ref"), model, &samples, &recipe, &set), EF_OK, "%s",
               ef_message());
  return set;
}

Test(logits, samples_are_all_tokens_but_the_first_and_every_bos) {
  open_samples();
  size_t tokens = 0, before = 0;
  for (size_t i = 1; i < text.count; i++) {
    if ((i - 1) % TINY_T == 0) cr_assert_eq(samples.first[(i - 1) / TINY_T], before);
    tokens += text.ids[i] != EF_TOKEN_BOS;
    before = tokens;
  }
  cr_assert_eq(ef_samples_tokens(&samples), tokens);
  close_samples();
}

/* Logits of one window by a pass of its own, and what a set must hold of them: of all V logits those that
 * fewer than k exceed, and the mean of -log softmax at the target. */
static void check_window(const ef_model *model, ef_pass *pass, const ef_logit_set *set, size_t w) {
  int32_t ids[TINY_T], targets[TINY_T];
  float logits[TINY_T * TINY_V];
  double loss = 0.0;
  size_t token = samples.first[w];
  ef_stream_window(&text, TINY_T, w, ids, targets);
  cr_assert_eq(ef_forward(pass, model, ids, 1, TINY_T), EF_OK);
  ef_logits(pass, model, 0, TINY_T, logits);
  for (size_t t = 0; t < TINY_T; t++) {
    if (targets[t] == EF_IGNORE) continue;
    const float *row = logits + t * TINY_V, *kept = set->logit + token * SAMPLE_K;
    const int32_t *index = set->index + token * SAMPLE_K;
    double sum = 0.0;
    size_t above = 0;
    for (size_t v = 0; v < TINY_V; v++) sum += exp((double)row[v]);
    for (size_t v = 0; v < TINY_V; v++) above += row[v] > kept[SAMPLE_K - 1] + 1e-5f;
    cr_assert_lt(above, SAMPLE_K, "window %zu, token %zu", w, t);
    for (size_t i = 0; i < SAMPLE_K; i++) {
      cr_assert_float_eq(kept[i], row[index[i]], 1e-5);
      cr_assert(i == 0 || kept[i] <= kept[i - 1]);
      for (size_t j = 0; j < i; j++) cr_assert_neq(index[i], index[j]);
    }
    loss += log(sum) - (double)row[targets[t]];
    token++;
  }
  cr_assert_eq(token, samples.first[w + 1]);
  cr_assert_float_eq(set->loss[w], loss / (double)(token - samples.first[w]), 1e-5);
}

static void check_model(bool experts) {
  open_samples();
  size_t blocks = ef_memory_blocks();
  ef_model model = sample_model(experts, 4);
  ef_logit_set set = set_of(&model, 3, false);
  ef_pass *pass;
  cr_assert_eq(
      ef_pass_create(&model.dims, ef_kernels_find("ref"), EF_PASS_EVAL, 1, TINY_T, false, NULL, &pass),
      EF_OK);
  for (size_t w = 0; w < samples.windows; w++) check_window(&model, pass, &set, w);
  ef_pass_free(pass);
  ef_logit_set_free(&set);
  ef_model_free(&model);
  cr_assert_eq(ef_memory_blocks(), blocks);
  close_samples();
}

Test(logits, a_dense_model_says_what_its_windows_say) { check_model(false); }
Test(logits, a_mixture_of_experts_says_what_its_windows_say) { check_model(true); }

/* bfloat16 has 8 bits of mantissa: half a unit in the last place is 2^-9 of the number. */
Test(logits, half_width_rounds_the_logits_and_nothing_else) {
  open_samples();
  ef_model model = sample_model(false, 4);
  ef_logit_set whole = set_of(&model, 3, false), half = set_of(&model, 3, true);
  for (size_t i = 0; i < whole.tokens * SAMPLE_K; i++) {
    uint32_t bits;
    memcpy(&bits, half.logit + i, sizeof bits);
    cr_assert_eq(bits & 0xffffu, 0);
    cr_assert_float_eq(half.logit[i], whole.logit[i], fabs((double)whole.logit[i]) / 256.0 + 1e-30);
  }
  cr_assert_eq(memcmp(whole.index, half.index, whole.tokens * SAMPLE_K * sizeof *whole.index), 0);
  cr_assert_eq(memcmp(whole.loss, half.loss, whole.windows * sizeof *whole.loss), 0);
  ef_logit_set_free(&whole);
  ef_logit_set_free(&half);
  ef_model_free(&model);
  close_samples();
}

static bool same_set(const ef_logit_set *a, const ef_logit_set *b) {
  size_t n = a->tokens * a->k;
  return memcmp(a->index, b->index, n * sizeof *a->index) == 0 &&
         memcmp(a->logit, b->logit, n * sizeof *a->logit) == 0 &&
         memcmp(a->loss, b->loss, a->windows * sizeof *a->loss) == 0;
}

static void check_message(bool half, size_t b) {
  open_samples();
  ef_model model = sample_model(false, 6);
  ef_logit_set sent = set_of(&model, 4, half), arrived;
  size_t n_p = ef_samples_tokens(&samples), bytes = n_p * SAMPLE_K * (b + 4) + 4 * SAMPLE_WINDOWS;
  unsigned char *message;
  cr_assert_eq(ef_logit_set_create(&samples, SAMPLE_K, &arrived), EF_OK);
  cr_assert_eq(ef_logit_set_pack(&sent, half, NULL), bytes);
  cr_assert_eq(ef_logit_set_formula(n_p, SAMPLE_WINDOWS, SAMPLE_K, half), bytes);
  cr_assert_eq(EF_NEW(message, bytes), EF_OK);
  cr_assert_eq(ef_logit_set_pack(&sent, half, message), bytes);
  ef_logit_set_unpack(message, half, &arrived);
  cr_assert(same_set(&sent, &arrived));
  ef_free(message);
  ef_logit_set_free(&sent);
  ef_logit_set_free(&arrived);
  ef_model_free(&model);
  close_samples();
}

Test(logits, a_message_of_float32_arrives) { check_message(false, 4); }
Test(logits, a_message_of_bfloat16_arrives) { check_message(true, 2); }

Test(logits, a_file_gives_back_the_set) {
  open_samples();
  char folder[1000], path[1100];
  ef_logit_set written = sample_set(&samples, 8), read;
  ef_h5 *file;
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/set.h5", folder);
  ef_h5_header header = {.kind = "part", .deck = "", .ranks = 1};
  cr_assert_eq(ef_h5_create(path, MPI_COMM_NULL, &header, &file), EF_OK);
  cr_assert_eq(ef_logit_set_write(file, &written), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_commit(file), EF_OK);
  cr_assert_eq(ef_logit_set_create(&samples, SAMPLE_K, &read), EF_OK);
  cr_assert_eq(ef_h5_open(path, "part", &file), EF_OK);
  cr_assert_eq(ef_logit_set_read(file, &read), EF_OK, "%s", ef_message());
  cr_assert(same_set(&written, &read));
  ef_h5_close(file);
  ef_logit_set_free(&written);
  ef_logit_set_free(&read);
  test_remove_folder(folder);
  close_samples();
}

Test(logits, more_logits_than_the_vocabulary_has_are_refused) {
  open_samples();
  ef_model model = sample_model(false, 4);
  ef_logit_recipe recipe = {.B = 2, .k = TINY_V + 1};
  ef_logit_set set;
  cr_assert_eq(ef_logit_set_make(&alone, ef_kernels_find("ref"), &model, &samples, &recipe, &set), EF_FAULT);
  ef_model_free(&model);
  close_samples();
}
