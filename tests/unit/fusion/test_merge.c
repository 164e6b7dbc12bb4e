#include "merge_sample.h"
#include "support/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const ef_family families[] = {EF_QWEN2_MOE, EF_DEEPSEEK};

Test(merge, dims_of_a_base) {
  ef_dims global = merge_dims(EF_QWEN2_MOE, 12, 4, 5, 15), base;
  cr_assert_eq(ef_base_dims(&global, 4, &base), EF_OK);
  cr_assert(base.family == EF_QWEN2 && base.F == 15 && base.first == 0 && base.E == 0 && base.qkv_bias);
  cr_assert_eq(ef_dims_check(&base), EF_OK);
  global = merge_dims(EF_DEEPSEEK, 12, 4, 5, 15);
  cr_assert_eq(ef_base_dims(&global, 3, &base), EF_OK);
  cr_assert(base.family == EF_LLAMA && base.F == 20 && base.first == 1 && base.F_first == 20 &&
            !base.qkv_bias);
  cr_assert(base.norm_eps == global.norm_eps && base.rope_theta == global.rope_theta && base.G == 1);
  cr_assert_eq(ef_dims_check(&base), EF_OK);
  cr_assert_eq(ef_base_dims(&global, 5, &base), EF_DECK);
  cr_assert_eq(ef_base_dims(&global, 0, &base), EF_DECK);
  global.moe_layers[0] = 2; /* layers 0 and 2 dense, of width 20 */
  cr_assert_eq(ef_base_dims(&global, 4, &base), EF_DECK);
  cr_assert_eq(ef_base_dims(&global, 3, &base), EF_OK);
  global.E = 0;
  cr_assert_eq(ef_base_dims(&global, 1, &base), EF_DECK);
}

/* Sizes of the paper's models (deepfusion.md section 5). */
Test(merge, bases_of_the_published_models_have_the_documented_size) {
  ef_shape qwen = {.V = 151936,
                   .D = 2048,
                   .L = 24,
                   .H = 16,
                   .max_positions = 8192,
                   .F = 5632,
                   .E = 60,
                   .K = 4,
                   .Fe = 1408,
                   .Fs = 5632};
  ef_shape deepseek = {.V = 102400,
                       .D = 2048,
                       .L = 28,
                       .H = 16,
                       .max_positions = 4096,
                       .F = 10944,
                       .E = 64,
                       .K = 6,
                       .Fe = 1408,
                       .Fs = 2816,
                       .dense_first = 1};
  ef_dims global, base;
  cr_assert_eq(ef_dims_make(EF_QWEN2_MOE, &qwen, &global), EF_OK);
  cr_assert_eq(ef_base_dims(&global, 15, &base), EF_OK);
  cr_assert_float_eq((double)ef_dims_params(&base), 1.86e9, 0.03e9); /* printed with three digits */
  cr_assert_eq(ef_dims_make(EF_DEEPSEEK, &deepseek, &global), EF_OK);
  cr_assert_eq(ef_base_dims(&global, 16, &base), EF_OK);
  size_t layer = 4 * 2048 * 2048 + 2 * 2048;
  cr_assert_eq(ef_dims_params(&base),
               2 * 102400 * 2048 + 28 * layer + 2048 + 3 * 2048 * 10944 + (size_t)27 * 3 * 2048 * 5632);
}

/* The g experts of one base, each with weight 1, give that base's FFN. */
Test(merge, the_cut_is_exact) {
  for (size_t f = 0; f < 2; f++) {
    ef_dims global = merge_dims(families[f], 6, 2, 5, 10);
    merge_sample s = merge_sample_make(&global, 3, false);
    cr_assert_eq(ef_merge(s.base, 3, &s.moe), EF_OK, "%s", ef_message());
    float x[8];
    test_fill(x, 8, 1.0f, 99);
    for (int l = f == 0 ? 0 : 1; l < 3; l++) {
      for (int b = 0; b < 3; b++) {
        double whole[8] = {0}, parts[8] = {0};
        merge_plain_ffn(8, 10, ef_model_tensor(&s.base[b], EF_T_GATE_W, l, -1),
                        ef_model_tensor(&s.base[b], EF_T_UP_W, l, -1),
                        ef_model_tensor(&s.base[b], EF_T_DOWN_W, l, -1), x, whole);
        for (int e = 2 * b; e < 2 * b + 2; e++)
          merge_plain_ffn(8, 5, ef_model_tensor(&s.moe, EF_T_EXPERT_GATE_W, l, e),
                          ef_model_tensor(&s.moe, EF_T_EXPERT_UP_W, l, e),
                          ef_model_tensor(&s.moe, EF_T_EXPERT_DOWN_W, l, e), x, parts);
        for (size_t c = 0; c < 8; c++) cr_assert_float_eq(parts[c], whole[c], 1e-12);
      }
    }
    merge_sample_free(&s);
  }
}

/* Tensors that base and global model share by name: equal to the mean, element by element. */
Test(merge, everything_else_is_the_mean) {
  for (size_t f = 0; f < 2; f++) {
    ef_dims global = merge_dims(families[f], 6, 2, 5, 10);
    merge_sample s = merge_sample_make(&global, 3, false);
    cr_assert_eq(ef_merge(s.base, 3, &s.moe), EF_OK, "%s", ef_message());
    size_t compared = 0;
    for (size_t i = 0; i < s.moe.table.count; i++) {
      const ef_tensor *t = &s.moe.table.tensors[i];
      const ef_tensor *from = ef_table_find_name(&s.base[0].table, t->name);
      if (!from) continue;
      compared++;
      for (size_t c = 0; c < t->count; c++) {
        double mean = 0.0;
        for (size_t b = 0; b < 3; b++) mean += (double)s.base[b].params[from->offset + c] / 3.0;
        cr_assert_float_eq((double)s.moe.params[t->offset + c], mean, 1e-7, "%s", t->name);
      }
    }
    /* embedding, final norm, head; 2 norms, 4 products (and 3 biases) a layer; deepseek's dense layer: 3 */
    cr_assert_eq(compared, f == 0 ? 3 + 3 * 9 : 3 + 3 * 6 + 3);
    merge_sample_free(&s);
  }
}

Test(merge, equal_bases_come_back_bit_for_bit) {
  for (size_t f = 0; f < 2; f++) {
    ef_dims global = merge_dims(families[f], 6, 2, 5, 10);
    merge_sample s = merge_sample_make(&global, 3, true);
    cr_assert_eq(ef_merge(s.base, 3, &s.moe), EF_OK, "%s", ef_message());
    static const ef_role pairs[][2] = {
        {EF_T_SHARED_GATE_W, EF_T_GATE_W}, {EF_T_SHARED_UP_W, EF_T_UP_W}, {EF_T_SHARED_DOWN_W, EF_T_DOWN_W}};
    for (size_t i = 0; i < s.moe.table.count; i++) {
      const ef_tensor *t = &s.moe.table.tensors[i], *from = ef_table_find_name(&s.base[0].table, t->name);
      for (size_t p = 0; p < 3; p++)
        if (t->role == pairs[p][0]) from = ef_table_find(&s.base[0].table, pairs[p][1], t->layer, -1);
      if (!from) continue;
      cr_assert_eq(
          memcmp(s.moe.params + t->offset, s.base[0].params + from->offset, t->count * sizeof(float)), 0,
          "%s", t->name);
    }
    merge_sample_free(&s);
  }
}

/* |w_up| |w_down| of unit u of the mean FFN. */
static double strength(const merge_sample *s, int layer, size_t F, size_t u) {
  double up = 0.0, down = 0.0;
  for (size_t c = 0; c < 8; c++) {
    double a = 0.0, b = 0.0;
    for (size_t k = 0; k < s->K; k++) {
      a += (double)ef_model_tensor(&s->base[k], EF_T_UP_W, layer, -1)[u * 8 + c] / (double)s->K;
      b += (double)ef_model_tensor(&s->base[k], EF_T_DOWN_W, layer, -1)[c * F + u] / (double)s->K;
    }
    up += a * a;
    down += b * b;
  }
  return sqrt(up) * sqrt(down);
}

Test(merge, a_narrow_shared_expert_keeps_the_strongest_units_in_order) {
  enum { F = 12, FS = 5 };
  ef_dims global = merge_dims(EF_DEEPSEEK, 8, 2, 3, FS);
  merge_sample s = merge_sample_make(&global, 2, false);
  cr_assert_eq(ef_merge(s.base, 2, &s.moe), EF_OK, "%s", ef_message());
  for (int l = 1; l < 3; l++) {
    size_t at = 0;
    for (size_t u = 0; u < F; u++) {
      size_t stronger = 0;
      for (size_t v = 0; v < F; v++) stronger += strength(&s, l, F, v) > strength(&s, l, F, u);
      if (stronger >= FS) continue;
      for (size_t c = 0; c < 8; c++) {
        double gate = 0.0, up = 0.0, down = 0.0;
        for (size_t b = 0; b < 2; b++) {
          gate += 0.5 * (double)ef_model_tensor(&s.base[b], EF_T_GATE_W, l, -1)[u * 8 + c];
          up += 0.5 * (double)ef_model_tensor(&s.base[b], EF_T_UP_W, l, -1)[u * 8 + c];
          down += 0.5 * (double)ef_model_tensor(&s.base[b], EF_T_DOWN_W, l, -1)[c * F + u];
        }
        cr_assert_float_eq((double)ef_model_tensor(&s.moe, EF_T_SHARED_GATE_W, l, -1)[at * 8 + c], gate,
                           1e-7);
        cr_assert_float_eq((double)ef_model_tensor(&s.moe, EF_T_SHARED_UP_W, l, -1)[at * 8 + c], up, 1e-7);
        cr_assert_float_eq((double)ef_model_tensor(&s.moe, EF_T_SHARED_DOWN_W, l, -1)[c * FS + at], down,
                           1e-7);
      }
      at++;
    }
    cr_assert_eq(at, FS);
  }
  merge_sample_free(&s);
}

static void final_states(const ef_model *model, const int32_t *ids, float *final) {
  ef_pass *pass;
  cr_assert_eq(ef_pass_create(&model->dims, ef_kernels_find("ref"), EF_PASS_EVAL, 2, 7, false, NULL, &pass),
               EF_OK, "%s", ef_message());
  cr_assert_eq(ef_forward(pass, model, ids, 2, 7), EF_OK, "%s", ef_message());
  memcpy(final, ef_pass_final(pass), 2 * 7 * model->dims.D * sizeof *final);
  ef_pass_free(pass);
}

/* Router 0 and K = E: every expert has weight 1/E. With `bases` equal bases of g experts the routed part is
 * bases * FFN / E; times `scale`, and with the shared expert, the block is the FFN itself: the whole global
 * model then computes what a base computes. */
static void check_whole(ef_family family, size_t bases, size_t Fs, float scale) {
  ef_dims global = merge_dims(family, 4, 4, 3, Fs);
  merge_sample s = merge_sample_make(&global, bases, true);
  cr_assert_eq(ef_merge(s.base, bases, &s.moe), EF_OK, "%s", ef_message());
  for (int l = 0; l < 3; l++) {
    for (int e = 0; e < 4 && ef_dims_is_moe(&global, (size_t)l); e++) {
      float *down = ef_model_tensor(&s.moe, EF_T_EXPERT_DOWN_W, l, e);
      for (size_t i = 0; i < 8 * 3; i++) down[i] *= scale;
    }
  }
  int32_t ids[14];
  for (int i = 0; i < 14; i++) ids[i] = (i * 5 + 2) % 13;
  float wanted[14 * 8], got[14 * 8];
  final_states(&s.base[0], ids, wanted);
  final_states(&s.moe, ids, got);
  cr_assert_lt(test_rel_frobenius(got, wanted, 14 * 8), 1e-5, "%s, %zu bases, Fs %zu", ef_family_name(family),
               bases, Fs);
  merge_sample_free(&s);
}

Test(merge, a_uniform_router_over_equal_bases_computes_the_base) {
  check_whole(EF_QWEN2_MOE, 1, 0, 4.0f);
  check_whole(EF_QWEN2_MOE, 2, 0, 2.0f);
  check_whole(EF_DEEPSEEK, 1, 0, 4.0f);
  check_whole(EF_QWEN2_MOE, 1, 12, 2.0f); /* the shared expert's gate of 1/2 gives the other half */
  check_whole(EF_QWEN2_MOE, 2, 6, 1.0f);
  check_whole(EF_DEEPSEEK, 2, 6, 0.0f); /* no gate: the shared expert is the whole FFN */
}

Test(merge, routers_stay_and_the_shared_gate_becomes_zero) {
  ef_dims global = merge_dims(EF_QWEN2_MOE, 6, 2, 5, 10);
  merge_sample s = merge_sample_make(&global, 3, false);
  for (size_t i = 0; i < s.moe.table.floats; i++) s.moe.params[i] = 7.0f;
  cr_assert_eq(ef_merge(s.base, 3, &s.moe), EF_OK);
  for (int l = 0; l < 3; l++) {
    for (size_t i = 0; i < 6 * 8; i++) cr_assert(ef_model_tensor(&s.moe, EF_T_ROUTER_W, l, -1)[i] == 7.0f);
    for (size_t i = 0; i < 8; i++) cr_assert(ef_model_tensor(&s.moe, EF_T_SHARED_ROUTER_W, l, -1)[i] == 0.0f);
  }
  for (size_t i = 0; i < s.moe.table.count; i++) {
    const ef_tensor *t = &s.moe.table.tensors[i];
    for (size_t c = 0; c < t->count && t->role != EF_T_ROUTER_W; c++)
      cr_assert(s.moe.params[t->offset + c] != 7.0f, "%s is not written", t->name);
  }
  merge_sample_free(&s);
}

Test(merge, what_does_not_fit_is_refused) {
  ef_dims wide = merge_dims(EF_DEEPSEEK, 6, 2, 5, 11), global = merge_dims(EF_DEEPSEEK, 6, 2, 5, 10);
  merge_sample a = merge_sample_make(&wide, 3, false), b = merge_sample_make(&global, 2, false);
  cr_assert_eq(ef_merge(a.base, 3, &a.moe), EF_DECK, "a shared expert of 11 units, bases of 10");
  cr_assert_eq(ef_merge(a.base, 2, &b.moe), EF_FAULT, "bases of 10 units instead of 15");
  cr_assert_eq(ef_merge(b.base, 2, &b.moe), EF_OK);
  merge_sample_free(&a);
  merge_sample_free(&b);
}
