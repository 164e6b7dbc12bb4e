#include "model/hf.h"

#include "base/memory.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
  const char *type, *architecture;
} identity[EF_FAMILY_COUNT] = {
    [EF_GPT2] = {"gpt2", "GPT2LMHeadModel"},
    [EF_LLAMA] = {"llama", "LlamaForCausalLM"},
    [EF_QWEN2] = {"qwen2", "Qwen2ForCausalLM"},
    [EF_OLMO] = {"olmo", "OlmoForCausalLM"},
    [EF_BLOOM] = {"bloom", "BloomForCausalLM"},
    [EF_QWEN2_MOE] = {"qwen2_moe", "Qwen2MoeForCausalLM"},
    [EF_DEEPSEEK] = {"deepseek", "DeepseekForCausalLM"},
};

static void put_size(json_t *c, const char *name, size_t value) {
  json_object_set_new(c, name, json_integer((json_int_t)value));
}

static void put_bool(json_t *c, const char *name, bool value) {
  json_object_set_new(c, name, json_boolean(value));
}

/* The shortest decimal that is this float: 1e-06, not 9.99999997e-07. */
static void put_float(json_t *c, const char *name, float value) {
  char text[40];
  int digits = 1;
  do snprintf(text, sizeof text, "%.*g", digits, (double)value);
  while (strtof(text, NULL) != value && ++digits <= 9);
  json_object_set_new(c, name, json_real(strtod(text, NULL)));
}

static void put_gpt2(json_t *c, const ef_dims *d) {
  put_size(c, "n_embd", d->D);
  put_size(c, "n_layer", d->L);
  put_size(c, "n_head", d->H);
  put_size(c, "n_positions", d->max_positions);
  put_size(c, "n_inner", d->F);
  put_float(c, "layer_norm_epsilon", d->norm_eps);
  json_object_set_new(c, "activation_function", json_string("gelu_new"));
  put_float(c, "attn_pdrop", 0.0f);
  put_float(c, "embd_pdrop", 0.0f);
  put_float(c, "resid_pdrop", 0.0f);
}

static void put_bloom(json_t *c, const ef_dims *d) {
  put_size(c, "hidden_size", d->D);
  put_size(c, "n_layer", d->L);
  put_size(c, "n_head", d->H);
  put_size(c, "seq_length", d->max_positions);
  put_float(c, "layer_norm_epsilon", d->norm_eps);
  put_bool(c, "apply_residual_connection_post_layernorm", false);
  put_float(c, "attention_dropout", 0.0f);
  put_float(c, "hidden_dropout", 0.0f);
}

static void put_rope(json_t *c, const ef_dims *d) {
  put_size(c, "hidden_size", d->D);
  put_size(c, "num_hidden_layers", d->L);
  put_size(c, "num_attention_heads", d->H);
  put_size(c, "num_key_value_heads", d->G);
  put_size(c, "intermediate_size", d->F);
  put_size(c, "max_position_embeddings", d->max_positions);
  put_float(c, "rope_theta", d->rope_theta);
  json_object_set_new(c, "rope_scaling", json_null());
  json_object_set_new(c, "hidden_act", json_string("silu"));
  json_object_set_new(c, "pad_token_id", d->has_pad ? json_integer(d->pad) : json_null());
  put_float(c, "attention_dropout", 0.0f);
  if (d->first) {
    put_size(c, "edgefuse_first_layers", d->first);
    put_size(c, "edgefuse_first_size", d->F_first);
  }
  if (d->norm == EF_RMSNORM) put_float(c, "rms_norm_eps", d->norm_eps);
  if (d->family == EF_OLMO) json_object_set_new(c, "clip_qkv", json_null());
  if (d->family == EF_QWEN2 || d->family == EF_QWEN2_MOE) {
    put_bool(c, "use_sliding_window", false);
    if (!d->qkv_bias) put_bool(c, "qkv_bias", false);
  } else {
    put_bool(c, "attention_bias", d->qkv_bias);
  }
}

static void put_qwen_experts(json_t *c, const ef_dims *d) {
  json_t *dense = json_array();
  put_size(c, "num_experts", d->E);
  put_size(c, "num_experts_per_tok", d->K);
  put_size(c, "moe_intermediate_size", d->Fe);
  put_size(c, "shared_expert_intermediate_size", d->Fs);
  put_size(c, "decoder_sparse_step", 1);
  for (size_t l = 0; d->E > 0 && l < d->L; l++) {
    if (!ef_dims_is_moe(d, l)) json_array_append_new(dense, json_integer((json_int_t)l));
  }
  json_object_set_new(c, "mlp_only_layers", dense);
  put_bool(c, "norm_topk_prob", d->norm_topk);
  put_bool(c, "output_router_logits", d->aux == EF_AUX_POOLED);
  put_float(c, "router_aux_loss_coef", d->aux_coef);
}

/* Layers are MoE from `first` on, every `step`-th: the only patterns that the config can say. */
static ef_status find_pattern(const ef_dims *d, size_t *first, size_t *step) {
  for (*step = 1; *step <= d->L; ++*step) {
    for (*first = 0; *first <= d->L; ++*first) {
      size_t l = 0;
      while (l < d->L && ef_dims_is_moe(d, l) == (l >= *first && l % *step == 0)) l++;
      if (l == d->L) return EF_OK;
    }
  }
  return ef_fail(
      EF_INPUT, __FILE__, __LINE__,
      "this pattern of MoE layers has no config.json: deepseek knows a first layer and a step only");
}

static ef_status put_deepseek_experts(json_t *c, const ef_dims *d) {
  size_t first = 0, step = 1;
  if (d->E == 0) {
    json_object_set_new(c, "n_routed_experts", json_null());
    return EF_OK;
  }
  EF_TRY(EF_CHECK(d->Fs % d->Fe == 0, EF_INPUT,
                  "a shared expert of width %zu has no config.json: deepseek's is a multiple of %zu", d->Fs,
                  d->Fe));
  EF_TRY(find_pattern(d, &first, &step));
  put_size(c, "n_routed_experts", d->E);
  put_size(c, "num_experts_per_tok", d->K);
  put_size(c, "moe_intermediate_size", d->Fe);
  json_object_set_new(c, "n_shared_experts", d->Fs ? json_integer((json_int_t)(d->Fs / d->Fe)) : json_null());
  put_size(c, "first_k_dense_replace", first);
  put_size(c, "moe_layer_freq", step);
  put_bool(c, "norm_topk_prob", d->norm_topk);
  json_object_set_new(c, "scoring_func", json_string("softmax"));
  put_float(c, "aux_loss_alpha", d->aux == EF_AUX_NONE ? 0.0f : d->aux_coef);
  put_bool(c, "seq_aux", d->aux != EF_AUX_BATCH);
  return EF_OK;
}

static ef_status put_family(json_t *c, const ef_dims *d) {
  if (d->family == EF_GPT2) {
    put_gpt2(c, d);
    return EF_OK;
  }
  if (d->family == EF_BLOOM) {
    EF_TRY(EF_CHECK(d->F == 4 * d->D, EF_INPUT, "an FFN of width %zu has no config.json: bloom's is %zu",
                    d->F, 4 * d->D));
    put_bloom(c, d);
    return EF_OK;
  }
  put_rope(c, d);
  if (d->family == EF_QWEN2_MOE) put_qwen_experts(c, d);
  return d->family == EF_DEEPSEEK ? put_deepseek_experts(c, d) : EF_OK;
}

static void put_exits(json_t *c, const ef_dims *d) {
  size_t count = ef_dims_exit_count(d);
  json_t *after = json_array();
  for (size_t e = 0; e < count; e++) {
    json_array_append_new(after, json_integer((json_int_t)ef_dims_exit_after(d, e)));
  }
  json_object_set_new(c, "edgefuse_exits", after);
}

ef_status ef_hf_write_config(const ef_dims *dims, char **json) {
  json_t *c = json_object();
  char *text = NULL;
  *json = NULL;
  json_object_set_new(c, "architectures", json_pack("[s]", identity[dims->family].architecture));
  json_object_set_new(c, "model_type", json_string(identity[dims->family].type));
  json_object_set_new(c, "torch_dtype", json_string("float32"));
  put_size(c, "vocab_size", dims->V);
  put_bool(c, "tie_word_embeddings", dims->tied);
  put_float(c, "initializer_range", dims->init_std);
  if (ef_dims_exit_count(dims) > 0) put_exits(c, dims);
  if (dims->held > 0) put_size(c, "edgefuse_held", dims->held);
  ef_status status = put_family(c, dims);
  if (status == EF_OK) {
    text = json_dumps(c, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
    *json = text ? ef_strdup(text) : NULL;
    status = EF_CHECK(*json, EF_MACHINE, "out of memory while writing a config.json");
  }
  free(text);
  json_decref(c);
  return status;
}
