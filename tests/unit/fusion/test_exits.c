/* Early exits on the way from the deck to the merged model: the global model has them, no base does. */
#include "fusion/bases.h"
#include "merge_sample.h"
#include "support/tiny_run.h"

#include <criterion/criterion.h>
#include <string.h>

Test(exits, the_deck_names_them_in_the_global_model) {
  const char *overrides[] = {"global.layers=4", "exits.after=[1, 3]", NULL};
  tiny_run t;
  ef_dims global, base;
  tiny_run_open(&t, NULL, overrides);
  cr_assert_eq(ef_global_dims(&t.run, &global, &base), EF_OK, "%s", ef_message());
  cr_expect_eq(ef_dims_exit_count(&global), 2);
  cr_expect(ef_dims_exit_after(&global, 0) == 1 && ef_dims_exit_after(&global, 1) == 3);
  cr_expect_eq(ef_dims_exit_count(&base), 0);
  tiny_run_close(&t);
}

/* All other tensors are those of the merge without exits. */
static void check_merge(ef_family family) {
  ef_dims global = merge_dims(family, 12, 4, 5, 15);
  merge_sample without = merge_sample_make(&global, 3, false);
  cr_assert_eq(ef_dims_add_exit(&global, 2), EF_OK);
  merge_sample with = merge_sample_make(&global, 3, false);
  cr_assert_eq(ef_merge(without.base, 3, &without.moe), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_merge(with.base, 3, &with.moe), EF_OK, "%s", ef_message());
  for (size_t i = 0; i < without.moe.table.count; i++) {
    const ef_tensor *a = &without.moe.table.tensors[i], *b = &with.moe.table.tensors[i];
    cr_assert_str_eq(a->name, b->name);
    cr_expect_eq(
        memcmp(without.moe.params + a->offset, with.moe.params + b->offset, a->count * sizeof(float)), 0,
        "%s", a->name);
  }
  const float *norm = ef_model_tensor(&with.moe, EF_T_EXIT_NORM_W, 1, -1);
  for (size_t i = 0; i < global.D; i++) cr_expect_eq(norm[i], 1.0f);
  merge_sample_free(&without);
  merge_sample_free(&with);
}

Test(exits, a_merge_starts_their_norms_at_one) {
  check_merge(EF_QWEN2_MOE);
  check_merge(EF_DEEPSEEK);
}
