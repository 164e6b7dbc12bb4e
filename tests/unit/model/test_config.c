/* config.json: what is read, what is refused by name, and what is written. */
#include "base/memory.h"
#include "cases.h"
#include "model/hf.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The config of a case with one field set to JSON text, or removed (value NULL). */
static char *changed(const char *kind, const char *field, const char *value) {
  json_t *c = json_loads(case_named(kind)->config, 0, NULL);
  if (value) {
    json_object_set_new(c, field, json_loads(value, JSON_DECODE_ANY, NULL));
  } else {
    json_object_del(c, field);
  }
  char *text = json_dumps(c, 0);
  json_decref(c);
  return text;
}

static void expect_refused(const char *kind, const char *field, const char *value) {
  ef_dims d;
  char *text = changed(kind, field, value);
  cr_expect_eq(ef_hf_read_config(text, &d), EF_INPUT, "%s: %s = %s", kind, field, value ? value : "nothing");
  cr_expect(strstr(ef_message(), field), "\"%s\" does not name %s", ef_message(), field);
  free(text);
}

static ef_dims expect_read(const char *kind, const char *field, const char *value) {
  ef_dims d = {0};
  char *text = changed(kind, field, value);
  cr_expect_eq(ef_hf_read_config(text, &d), EF_OK, "%s: %s = %s: %s", kind, field, value, ef_message());
  free(text);
  return d;
}

Test(config, unsupported_fields_are_refused_by_name) {
  static const char *const rope[] = {"llama", "qwen2", "olmo", "qwen2_moe", "deepseek"};
  for (size_t i = 0; i < 5; i++) {
    expect_refused(rope[i], "rope_scaling", "{\"type\":\"linear\",\"factor\":2.0}");
    expect_refused(rope[i], "use_sliding_window", "true");
    expect_refused(rope[i], "hidden_act", "\"gelu\"");
    expect_refused(rope[i], "quantization_config", "{\"bits\":4}");
    expect_refused(rope[i], "head_dim", "8");
    expect_refused(rope[i], "partial_rotary_factor", "0.5");
    expect_refused(rope[i], "rope_parameters", "{\"rope_type\":\"yarn\",\"rope_theta\":1e4}");
    expect_refused(rope[i], "layer_types", "[\"full_attention\",\"sliding_attention\"]");
  }
  expect_refused("llama", "mlp_bias", "true");
  expect_refused("olmo", "clip_qkv", "8.0");
  expect_refused("qwen2", "attention_bias", "true");
  expect_refused("gpt2", "activation_function", "\"relu\"");
  expect_refused("gpt2", "scale_attn_by_inverse_layer_idx", "true");
  expect_refused("gpt2", "scale_attn_weights", "false");
  expect_refused("gpt2", "add_cross_attention", "true");
  expect_refused("bloom", "apply_residual_connection_post_layernorm", "true");
  expect_refused("bloom", "n_inner", "50");
  expect_refused("deepseek", "scoring_func", "\"sigmoid\"");
  expect_refused("deepseek", "routed_scaling_factor", "16.0");
  expect_refused("deepseek", "n_group", "8");
  expect_refused("llama", "model_type", "\"mistral\"");
}

Test(config, missing_fields_are_named) {
  static const char *const needed[][2] = {{"gpt2", "vocab_size"},
                                          {"gpt2", "n_embd"},
                                          {"gpt2", "n_layer"},
                                          {"gpt2", "n_head"},
                                          {"gpt2", "n_positions"},
                                          {"llama", "model_type"},
                                          {"llama", "hidden_size"},
                                          {"llama", "num_hidden_layers"},
                                          {"llama", "num_attention_heads"},
                                          {"llama", "intermediate_size"},
                                          {"qwen2", "num_key_value_heads"},
                                          {"llama", "max_position_embeddings"},
                                          {"qwen2_moe", "num_experts"},
                                          {"qwen2_moe", "num_experts_per_tok"},
                                          {"qwen2_moe", "moe_intermediate_size"},
                                          {"qwen2_moe", "shared_expert_intermediate_size"},
                                          {"deepseek", "num_experts_per_tok"},
                                          {"deepseek", "moe_intermediate_size"}};
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
    expect_refused(needed[i][0], needed[i][1], NULL);
}

Test(config, contradictions_are_refused) {
  ef_dims d;
  expect_refused("llama", "vocab_size", "-5");
  expect_refused("llama", "vocab_size", "37.5");
  expect_refused("llama", "hidden_size", "\"wide\"");
  expect_refused("llama", "tie_word_embeddings", "1");
  expect_refused("llama", "rope_theta", "\"large\"");
  expect_refused("llama", "pad_token_id", "37");
  expect_refused("gpt2", "hidden_size", "64");
  expect_refused("bloom", "num_attention_heads", "3");
  expect_refused("qwen2_moe", "mlp_only_layers", "[2]");
  expect_refused("qwen2_moe", "mlp_only_layers", "3");
  expect_refused("qwen2_moe", "decoder_sparse_step", "0");
  expect_refused("deepseek", "moe_layer_freq", "0");
  expect_refused("deepseek", "n_routed_experts", "0");
  char *text = changed("llama", "num_attention_heads", "5");
  cr_expect_eq(ef_hf_read_config(text, &d), EF_INPUT);
  free(text);
  text = changed("qwen2_moe", "num_experts_per_tok", "7");
  cr_expect_eq(ef_hf_read_config(text, &d), EF_INPUT);
  free(text);
  cr_expect_eq(ef_hf_read_config("{\"model_type\": \"llama\",", &d), EF_INPUT);
  cr_expect_eq(ef_hf_read_config("[1]", &d), EF_INPUT);
  cr_expect_eq(ef_hf_read_config("", &d), EF_INPUT);
}

Test(config, harmless_fields_are_passed_over) {
  expect_read("llama", "rope_scaling", "null");
  expect_read("llama", "pretraining_tp", "2");
  expect_read("llama", "head_dim", "6");
  expect_read("qwen2", "sliding_window", "4096");
  expect_read("qwen2", "layer_types", "[\"full_attention\",\"full_attention\"]");
  expect_read("gpt2", "reorder_and_upcast_attn", "true");
  expect_read("gpt2", "resid_pdrop", "0.1");
  expect_read("gpt2", "hidden_size", "20");
  expect_read("bloom", "n_embed", "24");
  expect_read("deepseek", "routed_scaling_factor", "1.0");
  cr_expect_float_eq(expect_read("llama", "rope_parameters", "{\"rope_theta\":5e5}").rope_theta, 5e5f, 0.0);
}

Test(config, defaults_are_those_of_the_classes) {
  cr_expect(expect_read("gpt2", "tie_word_embeddings", NULL).tied);
  cr_expect(expect_read("bloom", "tie_word_embeddings", NULL).tied);
  cr_expect_not(expect_read("olmo", "tie_word_embeddings", NULL).tied);
  cr_expect_not(expect_read("qwen2", "tie_word_embeddings", NULL).tied);
  ef_dims d = expect_read("llama", "num_key_value_heads", NULL);
  cr_expect(d.G == 4 && d.norm_eps == 1e-6f && d.rope_theta == 1e4f && d.init_std == 0.02f && !d.has_pad);
  d = expect_read("olmo", "pad_token_id", NULL);
  cr_expect(d.has_pad && d.pad == 1);
  d = expect_read("llama", "pad_token_id", "-1");
  cr_expect(d.has_pad && d.pad == CASE_V - 1);
  d = expect_read("deepseek", "aux_loss_alpha", NULL);
  cr_expect(d.aux == EF_AUX_SEQUENCE && d.aux_coef == 0.001f);
  cr_expect_eq(expect_read("deepseek", "aux_loss_alpha", "0.0").aux, EF_AUX_NONE);
  cr_expect_eq(expect_read("deepseek", "n_shared_experts", NULL).Fs, 0);
  cr_expect_not(expect_read("deepseek one of six", "vocab_size", "37").norm_topk);
  d = expect_read("qwen2_moe", "router_aux_loss_coef", NULL);
  cr_expect(d.aux == EF_AUX_POOLED && d.aux_coef == 0.001f);
  cr_expect_eq(expect_read("gpt2", "n_inner", "null").F, 80);
}

static bool same_sizes(const ef_dims *a, const ef_dims *b) {
  return a->V == b->V && a->D == b->D && a->L == b->L && a->H == b->H && a->G == b->G && a->h == b->h &&
         a->F == b->F && a->first == b->first && a->F_first == b->F_first &&
         a->max_positions == b->max_positions && a->E == b->E && a->K == b->K && a->Fe == b->Fe &&
         a->Fs == b->Fs && a->held == b->held &&
         memcmp(a->moe_layers, b->moe_layers, sizeof a->moe_layers) == 0;
}

static bool same_options(const ef_dims *a, const ef_dims *b) {
  return a->family == b->family && a->norm == b->norm && a->position == b->position && a->ffn == b->ffn &&
         a->qkv_bias == b->qkv_bias && a->o_bias == b->o_bias && a->ffn_bias == b->ffn_bias &&
         a->fused_qkv == b->fused_qkv && a->by_head == b->by_head && a->conv1d == b->conv1d &&
         a->tied == b->tied && a->embed_norm == b->embed_norm && a->has_pad == b->has_pad &&
         a->pad == b->pad && a->shared_gate == b->shared_gate && a->norm_topk == b->norm_topk &&
         a->aux == b->aux && a->norm_eps == b->norm_eps && a->rope_theta == b->rope_theta &&
         a->init_std == b->init_std && a->norm_topk_eps == b->norm_topk_eps && a->aux_coef == b->aux_coef;
}

/* What is written reads back as the same dims, and no field is lost. */
Test(config, written_configs_read_back) {
  for (size_t i = 0; i < test_case_count; i++) {
    ef_dims d = {0}, again = {0};
    char *text;
    cr_assert_eq(ef_hf_read_config(test_cases[i].config, &d), EF_OK);
    if (d.position == EF_ROPE) d.rope_theta = 123456.0f;
    d.norm_eps = d.norm == EF_LAYERNORM_PLAIN ? d.norm_eps : 3e-6f;
    d.has_pad = d.position == EF_ROPE;
    d.pad = d.has_pad ? 4 : 0;
    if (d.aux == EF_AUX_NONE && d.family == EF_DEEPSEEK) d.aux_coef = 0.0f;
    cr_assert_eq(ef_hf_write_config(&d, &text), EF_OK, "%s: %s", test_cases[i].name, ef_message());
    cr_assert_eq(ef_hf_read_config(text, &again), EF_OK, "%s: %s", test_cases[i].name, ef_message());
    cr_expect(same_sizes(&d, &again) && same_options(&d, &again), "%s: %s", test_cases[i].name, text);
    ef_free(text);
  }
  cr_expect_eq(ef_memory_blocks(), 0);
}

Test(config, shapes_without_a_config_are_refused) {
  ef_dims d;
  char *text;
  cr_assert_eq(ef_hf_read_config(case_named("deepseek")->config, &d), EF_OK);
  d.Fs = 11;
  cr_expect_eq(ef_hf_write_config(&d, &text), EF_INPUT);
  cr_expect_null(text);
  cr_assert_eq(ef_hf_read_config(case_named("deepseek batch aux")->config, &d), EF_OK);
  d.moe_layers[0] = 3; /* layers 0 and 1, not 2 */
  cr_expect_eq(ef_hf_write_config(&d, &text), EF_INPUT);
}

Test(config, names_of_the_hub) {
  ef_dims gpt2 = {.family = EF_GPT2, .tied = true}, llama = {.family = EF_LLAMA, .position = EF_ROPE};
  cr_expect(ef_hf_same_name(&gpt2, "h.0.ln_1.weight", "transformer.h.0.ln_1.weight"));
  cr_expect(ef_hf_same_name(&gpt2, "transformer.h.0.ln_1.weight", "transformer.h.0.ln_1.weight"));
  cr_expect_not(ef_hf_same_name(&gpt2, "h.1.ln_1.weight", "transformer.h.0.ln_1.weight"));
  cr_expect_not(ef_hf_same_name(&llama, "norm.weight", "model.norm.weight"));
  cr_expect(ef_hf_ignored_name(&gpt2, "h.3.attn.bias"));
  cr_expect(ef_hf_ignored_name(&gpt2, "transformer.h.3.attn.masked_bias"));
  cr_expect(ef_hf_ignored_name(&gpt2, "lm_head.weight"));
  cr_expect_not(ef_hf_ignored_name(&gpt2, "h.3.attn.c_attn.bias"));
  cr_expect_not(ef_hf_ignored_name(&llama, "lm_head.weight"));
  cr_expect(ef_hf_ignored_name(&llama, "model.layers.0.self_attn.rotary_emb.inv_freq"));
}
