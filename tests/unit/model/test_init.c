/* First values of parameters. */
#include "model/model.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { V = 600, D = 32 };

static void make(float embed_std, ef_model *model) {
  ef_shape shape = {.V = V, .D = D, .L = 2, .H = 2, .max_positions = 8};
  ef_dims dims;
  cr_assert_eq(ef_dims_make(EF_GPT2, &shape, &dims), EF_OK);
  dims.embed_std = embed_std;
  cr_assert_eq(ef_model_create(&dims, model), EF_OK);
  ef_model_init(model, 1, 2);
}

static double deviation(const float *x, size_t n) {
  double sum = 0.0, squares = 0.0;
  for (size_t i = 0; i < n; i++) {
    sum += (double)x[i];
    squares += (double)x[i] * (double)x[i];
  }
  return sqrt(squares / (double)n - sum * sum / (double)(n * n));
}

/* The deviation of n normal numbers is off by about 1/sqrt(2 n) of itself; five times that is allowed. */
Test(init, the_embedding_may_have_a_deviation_of_its_own) {
  ef_model usual, wide;
  make(0.0f, &usual);
  make(0.1f, &wide);
  const float *a = ef_model_tensor(&usual, EF_T_EMBED, -1, -1),
              *b = ef_model_tensor(&wide, EF_T_EMBED, -1, -1);
  const double slack = 5.0 / sqrt(2.0 * V * D);
  cr_assert_float_eq(deviation(a, V * D) / 0.02, 1.0, slack);
  cr_assert_float_eq(deviation(b, V * D) / 0.1, 1.0, slack);
  for (size_t i = 0; i < usual.table.count; i++) {
    const ef_tensor *t = &usual.table.tensors[i];
    bool same = memcmp(usual.params + t->offset, wide.params + t->offset, t->count * sizeof(float)) == 0;
    cr_assert_eq(same, t->role != EF_T_EMBED, "tensor %zu", i);
  }
  ef_model_free(&usual);
  ef_model_free(&wide);
}
