/* Text from a model: greedy or sampled, with a key-value cache or without it (equal tokens: a test). */
#pragma once

#include "model/model.h"

typedef struct ef_sampling {
  double temperature; /* 0: greedy (lowest index on ties) */
  size_t top_k;       /* 0: all */
  uint64_t seed;      /* token i draws from (seed, EF_RNG_SAMPLE, 0, i) */
  int32_t stop;       /* token that ends the text; negative: none */
  bool cache;
} ef_sampling;

/* Appends up to n tokens behind the `length` tokens of `ids` (room for length + n); `*made` is how many. The
 * stop token itself is not appended. When max_positions is reached the window of tokens that the model sees
 * moves on by half of its width. EF_MACHINE, EF_INPUT (empty prompt, token outside the vocabulary). Local. */
ef_status ef_generate(const ef_model *model, const ef_kernels *kernels, const ef_sampling *sampling,
                      int32_t *ids, size_t length, size_t n, size_t *made);

typedef struct ef_batch_sampling {
  double temperature;  /* above 0 */
  uint64_t seed, unit; /* token i behind the prompt of text b draws from (seed, EF_RNG_SAMPLE, unit + b, i) */
  int32_t never;       /* a token that is not drawn; negative: none */
} ef_batch_sampling;

/* B texts written side by side with one cache: ids (B,length), of which the first `prompt` tokens of each row
 * are given and the others are sampled; length at most max_positions. EF_MACHINE, EF_INPUT. Local. */
ef_status ef_generate_batch(const ef_model *model, const ef_kernels *kernels,
                            const ef_batch_sampling *sampling, size_t B, size_t prompt, size_t length,
                            int32_t *ids);
