/* Small global models and bases with random parameters, for the tests of the merge. */
#pragma once

#include "fusion/merge.h"

enum { MAX_BASES = 4 };

typedef struct merge_sample {
  size_t K;
  ef_model base[MAX_BASES], moe;
} merge_sample;

/* Dims of a global model: D 8, L 3, V 13; deepseek_moe keeps its first layer dense with width 20. */
ef_dims merge_dims(ef_family family, size_t E, size_t top_k, size_t Fe, size_t Fs);

/* K bases with random parameters (equal ones if `equal`), a zeroed global model. */
merge_sample merge_sample_make(const ef_dims *global, size_t K, bool equal);
void merge_sample_free(merge_sample *s);

/* y (D) += down (silu(gate x) * (up x)) in plain double; gate, up (F,D), down (D,F). */
void merge_plain_ffn(size_t D, size_t F, const float *gate, const float *up, const float *down,
                     const float *x, double *y);
