/* Shapes: sizes of published models, and what is refused. */
#include "model/dims.h"
#include "model/table.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static ef_dims make(ef_family family, ef_shape shape) {
  ef_dims dims;
  cr_assert_eq(ef_dims_make(family, &shape, &dims), EF_OK, "%s", ef_message());
  return dims;
}

static const ef_shape qwen_moe = {.V = 151936,
                                  .D = 2048,
                                  .L = 24,
                                  .H = 16,
                                  .F = 5632,
                                  .max_positions = 8192,
                                  .E = 60,
                                  .K = 4,
                                  .Fe = 1408,
                                  .Fs = 5632};
static const ef_shape deepseek_moe = {.V = 102400,
                                      .D = 2048,
                                      .L = 28,
                                      .H = 16,
                                      .F = 10944,
                                      .max_positions = 4096,
                                      .E = 64,
                                      .K = 6,
                                      .Fe = 1408,
                                      .Fs = 2816,
                                      .dense_first = 1};

Test(dims, published_models_have_their_published_sizes) {
  ef_dims d = make(EF_QWEN2_MOE, qwen_moe);
  cr_expect_eq(ef_dims_params(&d), 14315784192u);
  cr_expect_eq(ef_dims_active_params(&d), 2689173504u);
  d = make(EF_DEEPSEEK, deepseek_moe);
  cr_expect_eq(ef_dims_params(&d), 16375728128u);
  cr_expect_eq(ef_dims_active_params(&d), 2828650496u);
  d = make(EF_GPT2, (ef_shape){.V = 50257, .D = 768, .L = 12, .H = 12, .max_positions = 1024});
  cr_expect_eq(ef_dims_params(&d), 124439808u);
  cr_expect_eq(ef_dims_active_params(&d), 124439808u);
  d = make(EF_GPT2, (ef_shape){.V = 50257, .D = 1024, .L = 24, .H = 16, .max_positions = 1024});
  cr_expect_eq(ef_dims_params(&d), 354823168u);
  d = make(EF_LLAMA,
           (ef_shape){.V = 32000, .D = 2048, .L = 22, .H = 32, .G = 4, .F = 5632, .max_positions = 2048});
  cr_expect_eq(ef_dims_params(&d), 1100048384u);
  d = make(EF_BLOOM, (ef_shape){.V = 250880, .D = 1536, .L = 24, .H = 16, .max_positions = 2048});
  cr_expect_eq(ef_dims_params(&d), 1065314304u);
  d = make(EF_OLMO, (ef_shape){.V = 50304, .D = 2048, .L = 16, .H = 16, .F = 8192, .max_positions = 2048});
  cr_expect_eq(ef_dims_params(&d), 1176764416u);
}

/* deepfusion.md, section 5: the dense bases of the two MoE models. */
Test(dims, dense_bases_have_the_sizes_of_the_design) {
  ef_shape shape = qwen_moe;
  shape.E = shape.K = shape.Fe = shape.Fs = 0;
  ef_dims d = make(EF_QWEN2, shape);
  cr_expect_eq(d.first, 0);
  cr_expect_float_eq((double)ef_dims_params(&d) / 1e9, 1.86, 0.005);
  shape = deepseek_moe;
  shape.E = shape.K = shape.Fe = shape.Fs = shape.dense_first = 0;
  shape.F = 5632;
  d = make(EF_DEEPSEEK, shape);
  d.first = 1;
  d.F_first = 10944;
  cr_assert_eq(ef_dims_check(&d), EF_OK);
  cr_expect_float_eq((double)ef_dims_params(&d) / 1e9, 1.89, 0.005);
  d.F_first = 0;
  cr_expect_eq(ef_dims_check(&d), EF_INPUT);
}

/* 6 per parameter that multiplies, and the causal half of two products of attention. */
Test(dims, flops_leave_the_lookups_out) {
  ef_shape shape = {.V = 100, .D = 8, .L = 2, .H = 2, .F = 32, .max_positions = 16};
  ef_dims d = make(EF_GPT2, shape);
  double block = 12 * 64 + 13 * 8, head = 100 * 8;
  cr_expect_float_eq(ef_dims_flops_per_token(&d, 10), 6 * (2 * block + 16 + head) + 6 * 2 * 10 * 8, 1e-9);
  shape.F = 24;
  d = make(EF_LLAMA, shape);
  block = 4 * 64 + 3 * 24 * 8 + 16;
  cr_expect_float_eq(ef_dims_flops_per_token(&d, 10), 6 * (2 * block + 8 + head) + 6 * 2 * 10 * 8, 1e-9);
}

Test(dims, families_differ_as_they_should) {
  const ef_shape shape = {.V = 100, .D = 24, .L = 2, .H = 4, .max_positions = 16};
  ef_dims gpt2 = make(EF_GPT2, shape), llama = make(EF_LLAMA, shape), olmo = make(EF_OLMO, shape);
  ef_dims bloom = make(EF_BLOOM, shape), qwen = make(EF_QWEN2, shape);
  cr_expect(gpt2.tied && bloom.tied && olmo.tied && !llama.tied && !qwen.tied);
  cr_expect(gpt2.F == 96 && llama.F == 64 && gpt2.G == 4);
  cr_expect(qwen.qkv_bias && !qwen.o_bias && !llama.qkv_bias && bloom.o_bias && bloom.embed_norm);
  cr_expect(gpt2.norm == EF_LAYERNORM && olmo.norm == EF_LAYERNORM_PLAIN && llama.norm == EF_RMSNORM);
  cr_expect(gpt2.position == EF_LEARNED && bloom.position == EF_ALIBI && llama.position == EF_ROPE);
  cr_expect(gpt2.conv1d && !bloom.conv1d && bloom.by_head && !gpt2.by_head);
  ef_family family;
  for (int f = 0; f < EF_FAMILY_COUNT; f++) {
    cr_expect(ef_family_find(ef_family_name((ef_family)f), &family) && family == (ef_family)f);
  }
  cr_expect_not(ef_family_find("mistral", &family));
}

Test(dims, moe_layers_are_counted) {
  ef_dims d = make(EF_DEEPSEEK, deepseek_moe);
  cr_expect_not(ef_dims_is_moe(&d, 0));
  cr_expect(ef_dims_is_moe(&d, 1) && ef_dims_is_moe(&d, 27));
  cr_expect_eq(ef_dims_moe_count(&d), 27);
  cr_expect(d.aux == EF_AUX_SEQUENCE && !d.shared_gate && !d.norm_topk);
  d = make(EF_QWEN2_MOE, qwen_moe);
  cr_expect_eq(ef_dims_moe_count(&d), 24);
  cr_expect(d.aux == EF_AUX_POOLED && d.shared_gate);
  d = make(EF_LLAMA, (ef_shape){.V = 9, .D = 8, .L = 2, .H = 2, .max_positions = 4});
  cr_expect_eq(ef_dims_moe_count(&d), 0);
}

/* Each shape has one fault, which the message must name. */
Test(dims, contradictions_are_refused_by_name) {
  const ef_shape good = {
      .V = 100, .D = 24, .L = 2, .H = 4, .G = 2, .F = 40, .max_positions = 16, .E = 4, .K = 2, .Fe = 8};
  static const struct {
    size_t field, value;
    const char *named;
  } faults[] = {{offsetof(ef_shape, V), 0, "vocabulary"},
                {offsetof(ef_shape, V), (size_t)1 << 31, "vocabulary"},
                {offsetof(ef_shape, D), 0, "width"},
                {offsetof(ef_shape, D), 26, "width 26"},
                {offsetof(ef_shape, D), 20, "odd"},
                {offsetof(ef_shape, L), 0, "0 layers"},
                {offsetof(ef_shape, L), EF_MAX_LAYERS + 1, "1025 layers"},
                {offsetof(ef_shape, H), 0, "heads"},
                {offsetof(ef_shape, G), 3, "3 key-value heads"},
                {offsetof(ef_shape, max_positions), 0, "positions"},
                {offsetof(ef_shape, K), 0, "experts per token"},
                {offsetof(ef_shape, K), 5, "5 experts per token"},
                {offsetof(ef_shape, Fe), 0, "width of an expert"}};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    ef_shape shape = good;
    ef_dims d;
    memcpy((char *)&shape + faults[i].field, &faults[i].value, sizeof(size_t));
    cr_expect_eq(ef_dims_make(EF_DEEPSEEK, &shape, &d), EF_INPUT, "fault %zu", i);
    cr_expect(strstr(ef_message(), faults[i].named), "\"%s\" does not name \"%s\"", ef_message(),
              faults[i].named);
  }
  ef_dims d;
  cr_expect_eq(ef_dims_make(EF_LLAMA, &good, &d), EF_INPUT);
  cr_expect(strstr(ef_message(), "no experts"));
  ef_shape grouped = {.V = 100, .D = 24, .L = 2, .H = 4, .G = 2, .max_positions = 16};
  cr_expect_eq(ef_dims_make(EF_BLOOM, &grouped, &d), EF_INPUT);
  cr_expect(strstr(ef_message(), "key-value"));
}
