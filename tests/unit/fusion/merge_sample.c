#include "merge_sample.h"
#include "support/support.h"

#include <criterion/criterion.h>
#include <math.h>

ef_dims merge_dims(ef_family family, size_t E, size_t top_k, size_t Fe, size_t Fs) {
  ef_shape shape = {.V = 13, .D = 8, .L = 3, .H = 2, .G = 1, .F = 20, .max_positions = 16};
  shape.E = E;
  shape.K = top_k;
  shape.Fe = Fe;
  shape.Fs = Fs;
  shape.dense_first = family == EF_DEEPSEEK ? 1 : 0;
  ef_dims dims;
  cr_assert_eq(ef_dims_make(family, &shape, &dims), EF_OK, "%s", ef_message());
  return dims;
}

merge_sample merge_sample_make(const ef_dims *global, size_t K, bool equal) {
  merge_sample s = {.K = K};
  ef_dims dims;
  cr_assert_eq(ef_base_dims(global, K, &dims), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_model_create(global, &s.moe), EF_OK, "%s", ef_message());
  for (size_t b = 0; b < K; b++) {
    cr_assert_eq(ef_model_create(&dims, &s.base[b]), EF_OK, "%s", ef_message());
    for (size_t i = 0; i < s.base[b].table.count; i++) {
      const ef_tensor *t = &s.base[b].table.tensors[i];
      test_fill(s.base[b].params + t->offset, t->count, 0.8f, (unsigned)(1000 * (equal ? 0 : b) + i));
    }
  }
  return s;
}

void merge_sample_free(merge_sample *s) {
  for (size_t b = 0; b < s->K; b++) ef_model_free(&s->base[b]);
  ef_model_free(&s->moe);
}

void merge_plain_ffn(size_t D, size_t F, const float *gate, const float *up, const float *down,
                     const float *x, double *y) {
  for (size_t u = 0; u < F; u++) {
    double a = 0.0, b = 0.0;
    for (size_t c = 0; c < D; c++) {
      a += (double)gate[u * D + c] * (double)x[c];
      b += (double)up[u * D + c] * (double)x[c];
    }
    for (size_t c = 0; c < D; c++) y[c] += (double)down[c * F + u] * (a / (1.0 + exp(-a)) * b);
  }
}
