#include "logits_sample.h"

#include "base/rng.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <math.h>

void sample_open(ef_stream *text, ef_samples *samples) {
  *text = tiny_stream(203, 5);
  cr_assert_eq(ef_samples_make(text, TINY_T, samples), EF_OK);
  cr_assert_eq(samples->windows, SAMPLE_WINDOWS);
}

void sample_close(ef_stream *text, ef_samples *samples) {
  ef_samples_free(samples);
  ef_stream_free(text);
}

ef_model sample_model(bool experts, uint64_t seed) {
  ef_shape shape = {.V = TINY_V, .D = 16, .L = 2, .H = 2, .F = 20, .max_positions = TINY_T};
  if (experts)
    shape = (ef_shape){
        .V = TINY_V, .D = 16, .L = 2, .H = 2, .max_positions = TINY_T, .E = 4, .K = 2, .Fe = 6, .Fs = 8};
  ef_dims dims;
  ef_model model;
  cr_assert_eq(ef_dims_make(experts ? EF_QWEN2_MOE : EF_GPT2, &shape, &dims), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_model_create(&dims, &model), EF_OK);
  ef_model_init(&model, seed, 0);
  for (size_t i = 0; i < model.table.floats; i++) model.params[i] *= 2.0f; /* far from uniform logits */
  return model;
}

ef_logit_set sample_set(const ef_samples *samples, unsigned seed) {
  ef_logit_set set;
  cr_assert_eq(ef_logit_set_create(samples, SAMPLE_K, &set), EF_OK);
  ef_rng rng = ef_rng_stream(3, EF_RNG_TEST, seed, 0);
  test_fill(set.logit, set.tokens * SAMPLE_K, 3.0f, seed);
  for (size_t i = 0; i < set.tokens; i++) {
    size_t first = (size_t)ef_rng_below(&rng, TINY_V);
    for (size_t j = 0; j < SAMPLE_K; j++) set.index[i * SAMPLE_K + j] = (int32_t)((first + 7 * j) % TINY_V);
  }
  for (size_t w = 0; w < set.windows; w++) set.loss[w] = (float)ef_rng_uniform(&rng);
  return set;
}

void sample_target(const ef_logit_set *set, size_t token, double *q) {
  double sum = 0.0;
  for (size_t v = 0; v < TINY_V; v++) q[v] = 0.0;
  for (size_t i = 0; i < set->k; i++) sum += exp((double)set->logit[token * set->k + i]);
  for (size_t i = 0; i < set->k; i++)
    q[set->index[token * set->k + i]] = exp((double)set->logit[token * set->k + i]) / sum;
}
