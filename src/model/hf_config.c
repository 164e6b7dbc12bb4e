#include "model/hf.h"

#include "model/hf_fields.h"
#include "model/hf_refuse.h"
#include <string.h>

/* "model_type" of each family where it is not the family's own name. */
static bool find_model_type(const char *type, ef_family *family) {
  if (strcmp(type, "deepseek") == 0) {
    *family = EF_DEEPSEEK;
    return true;
  }
  return ef_family_find(type, family);
}

static ef_status read_family(const json_t *c, ef_family *family) {
  const char *type = json_string_value(ef_field(c, "model_type"));
  EF_TRY(EF_CHECK(type, EF_INPUT, "config.json: \"model_type\" is missing"));
  return EF_CHECK(
      find_model_type(type, family), EF_INPUT,
      "config.json: \"model_type\" is \"%.100s\"; known are gpt2, llama, qwen2, olmo, bloom, qwen2_moe and "
      "deepseek",
      type);
}

/* gpt2 and bloom: LayerNorm, four times the width, tied unless told otherwise. */
static ef_status read_gpt2(const json_t *c, ef_shape *shape) {
  EF_TRY(ef_field_need_either(c, "n_embd", "hidden_size", &shape->D));
  EF_TRY(ef_field_need_either(c, "n_layer", "num_hidden_layers", &shape->L));
  EF_TRY(ef_field_need_either(c, "n_head", "num_attention_heads", &shape->H));
  EF_TRY(ef_field_need_either(c, "n_positions", "max_position_embeddings", &shape->max_positions));
  return ef_field_get_size(c, "n_inner", 1, &shape->F);
}

/* ALiBi has no longest position; the length of training stands for it. */
static ef_status read_bloom(const json_t *c, ef_shape *shape) {
  size_t inner = 0;
  shape->max_positions = 2048;
  EF_TRY(ef_field_need_either(c, "n_embed", "hidden_size", &shape->D));
  EF_TRY(ef_field_need_either(c, "n_layer", "num_hidden_layers", &shape->L));
  EF_TRY(ef_field_need_either(c, "n_head", "num_attention_heads", &shape->H));
  EF_TRY(ef_field_get_size(c, "seq_length", 1, &shape->max_positions));
  EF_TRY(ef_field_get_size(c, "n_inner", 1, &inner));
  return EF_CHECK(inner == 0 || inner == 4 * shape->D, EF_INPUT,
                  "config.json: \"n_inner\" is %zu; bloom's is always 4 times the width (%zu)", inner,
                  4 * shape->D);
}

static ef_status read_rope_shape(const json_t *c, ef_family family, ef_shape *shape) {
  EF_TRY(ef_field_need_size(c, "hidden_size", 1, &shape->D));
  EF_TRY(ef_field_need_size(c, "num_hidden_layers", 1, &shape->L));
  EF_TRY(ef_field_need_size(c, "num_attention_heads", 1, &shape->H));
  EF_TRY(ef_field_need_size(c, "intermediate_size", 1, &shape->F));
  EF_TRY(ef_field_need_size(c, "max_position_embeddings", 1, &shape->max_positions));
  /* The defaults of the Qwen classes are numbers (32, 16), not the number of heads: guessing would be wrong.
   */
  bool needed = (family == EF_QWEN2 || family == EF_QWEN2_MOE) && !json_object_get(c, "num_key_value_heads");
  EF_TRY(EF_CHECK(!needed, EF_INPUT, "config.json: \"num_key_value_heads\" is missing"));
  return ef_field_get_size(c, "num_key_value_heads", 1, &shape->G);
}

static ef_status read_qwen_experts(const json_t *c, ef_shape *shape) {
  EF_TRY(ef_field_need_size(c, "num_experts", 0, &shape->E));
  if (shape->E == 0) return EF_OK;
  EF_TRY(ef_field_need_size(c, "num_experts_per_tok", 1, &shape->K));
  EF_TRY(ef_field_need_size(c, "moe_intermediate_size", 1, &shape->Fe));
  return ef_field_need_size(c, "shared_expert_intermediate_size", 0, &shape->Fs);
}

static ef_status read_deepseek_experts(const json_t *c, ef_shape *shape) {
  size_t shared = 0;
  EF_TRY(ef_field_get_size(c, "n_routed_experts", 1, &shape->E));
  if (shape->E == 0) return EF_OK;
  EF_TRY(ef_field_need_size(c, "num_experts_per_tok", 1, &shape->K));
  EF_TRY(ef_field_need_size(c, "moe_intermediate_size", 1, &shape->Fe));
  EF_TRY(ef_field_get_size(c, "n_shared_experts", 0, &shared));
  shape->Fs = shared * shape->Fe;
  return EF_OK;
}

static void set_layer(ef_dims *d, size_t layer, bool moe) {
  uint64_t bit = UINT64_C(1) << (layer % 64);
  d->moe_layers[layer / 64] = moe ? d->moe_layers[layer / 64] | bit : d->moe_layers[layer / 64] & ~bit;
}

static ef_status clear_listed_layers(const json_t *c, ef_dims *d) {
  const json_t *listed = ef_field(c, "mlp_only_layers");
  EF_TRY(EF_CHECK(!listed || json_is_array(listed), EF_INPUT,
                  "config.json: \"mlp_only_layers\" must be a list"));
  for (size_t i = 0; i < json_array_size(listed); i++) {
    const json_t *item = json_array_get(listed, i);
    json_int_t l = json_integer_value(item);
    EF_TRY(EF_CHECK(json_is_integer(item) && l >= 0 && (size_t)l < d->L, EF_INPUT,
                    "config.json: \"mlp_only_layers\" names a layer that is not one of 0 to %zu", d->L - 1));
    set_layer(d, (size_t)l, false);
  }
  return EF_OK;
}

static ef_status read_qwen_layers(const json_t *c, ef_dims *d) {
  size_t step = 1;
  bool counted = false;
  EF_TRY(ef_field_get_size(c, "decoder_sparse_step", 1, &step));
  for (size_t l = 0; l < d->L; l++) set_layer(d, l, (l + 1) % step == 0);
  EF_TRY(clear_listed_layers(c, d));
  EF_TRY(ef_field_get_bool(c, "norm_topk_prob", &d->norm_topk));
  EF_TRY(ef_field_get_bool(c, "output_router_logits", &counted));
  d->aux = counted ? EF_AUX_POOLED : EF_AUX_NONE;
  return ef_field_get_float(c, "router_aux_loss_coef", &d->aux_coef);
}

static ef_status read_deepseek_layers(const json_t *c, ef_dims *d) {
  size_t first = 0, step = 1;
  bool by_sequence = true;
  EF_TRY(ef_field_get_size(c, "first_k_dense_replace", 0, &first));
  EF_TRY(ef_field_get_size(c, "moe_layer_freq", 1, &step));
  for (size_t l = 0; l < d->L; l++) set_layer(d, l, l >= first && l % step == 0);
  EF_TRY(ef_field_get_bool(c, "norm_topk_prob", &d->norm_topk));
  d->norm_topk = d->norm_topk && d->K > 1;
  EF_TRY(ef_field_get_bool(c, "seq_aux", &by_sequence));
  EF_TRY(ef_field_get_float(c, "aux_loss_alpha", &d->aux_coef));
  d->aux = d->aux_coef == 0.0f ? EF_AUX_NONE : by_sequence ? EF_AUX_SEQUENCE : EF_AUX_BATCH;
  return EF_OK;
}

/* Newer configs keep the base of the angles in a group of its own. */
static ef_status read_rope(const json_t *c, ef_dims *d) {
  const json_t *group = ef_field(c, "rope_parameters");
  const char *type = json_string_value(json_object_get(group, "rope_type"));
  EF_TRY(EF_CHECK(!type || strcmp(type, "default") == 0, EF_INPUT,
                  "config.json: \"rope_parameters\" has rope_type \"%.40s\"; only \"default\" is supported",
                  type));
  EF_TRY(EF_CHECK(!group || json_is_object(group), EF_INPUT,
                  "config.json: \"rope_parameters\" must be a group"));
  d->rope_theta = 10000.0f;
  EF_TRY(ef_field_get_float(c, "rope_theta", &d->rope_theta));
  return group ? ef_field_get_float(group, "rope_theta", &d->rope_theta) : EF_OK;
}

/* A negative index counts from the end, as in torch. OLMo's class has a pad token unless the file says null.
 */
static ef_status read_pad(const json_t *c, ef_dims *d) {
  const json_t *stored = json_object_get(c, "pad_token_id"), *pad = ef_field(c, "pad_token_id");
  EF_TRY(EF_CHECK(!pad || json_is_integer(pad), EF_INPUT,
                  "config.json: \"pad_token_id\" must be a whole number"));
  json_int_t id = pad ? json_integer_value(pad) : 1, V = (json_int_t)d->V;
  d->has_pad = pad || (!stored && d->family == EF_OLMO && V > 1);
  if (!d->has_pad) return EF_OK;
  if (id < 0) id += V;
  EF_TRY(EF_CHECK(id >= 0 && id < V, EF_INPUT,
                  "config.json: \"pad_token_id\" is outside the vocabulary of %zu", d->V));
  d->pad = (int32_t)id;
  return EF_OK;
}

/* Fields of this program's own: the dense base of a DeepSeek MoE has wider first layers, which no class of
 * Hugging Face can say. */
static ef_status read_first_layers(const json_t *c, ef_dims *d) {
  EF_TRY(ef_field_get_size(c, "edgefuse_first_layers", 0, &d->first));
  return d->first ? ef_field_need_size(c, "edgefuse_first_size", 1, &d->F_first) : EF_OK;
}

/* Likewise: the early exits. */
static ef_status read_exits(const json_t *c, ef_dims *d) {
  const json_t *listed = ef_field(c, "edgefuse_exits");
  EF_TRY(
      EF_CHECK(!listed || json_is_array(listed), EF_INPUT, "config.json: \"edgefuse_exits\" must be a list"));
  for (size_t i = 0; i < json_array_size(listed); i++) {
    const json_t *item = json_array_get(listed, i);
    json_int_t after = json_integer_value(item);
    EF_TRY(EF_CHECK(json_is_integer(item) && after >= 0, EF_INPUT,
                    "config.json: \"edgefuse_exits\" must be whole numbers of layers"));
    ef_status status = ef_dims_add_exit(d, (size_t)after);
    if (status != EF_OK) return ef_context(status, "config.json: \"edgefuse_exits\"");
  }
  return EF_OK;
}

static ef_status read_rope_family(const json_t *c, ef_dims *d) {
  bool bias = d->qkv_bias;
  size_t head = d->h;
  EF_TRY(ef_field_get_size(c, "head_dim", 1, &head));
  EF_TRY(EF_CHECK(head == d->h, EF_INPUT,
                  "config.json: \"head_dim\" is %zu; only hidden_size/num_attention_heads = "
                  "%zu is supported",
                  head, d->h));
  if (d->norm == EF_RMSNORM) {
    d->norm_eps = 1e-6f;
    EF_TRY(ef_field_get_float(c, "rms_norm_eps", &d->norm_eps));
  }
  if (d->family == EF_QWEN2 || d->family == EF_QWEN2_MOE) {
    EF_TRY(ef_field_get_bool(c, "qkv_bias", &d->qkv_bias));
  } else {
    EF_TRY(ef_field_get_bool(c, "attention_bias", &bias));
    d->qkv_bias = d->o_bias = bias;
  }
  EF_TRY(read_rope(c, d));
  EF_TRY(read_pad(c, d));
  EF_TRY(read_first_layers(c, d));
  if (d->E > 0) return d->family == EF_DEEPSEEK ? read_deepseek_layers(c, d) : read_qwen_layers(c, d);
  return EF_OK;
}

static ef_status read_shape(const json_t *c, ef_family family, ef_shape *shape) {
  EF_TRY(ef_field_need_size(c, "vocab_size", 1, &shape->V));
  if (family == EF_GPT2) return read_gpt2(c, shape);
  if (family == EF_BLOOM) return read_bloom(c, shape);
  EF_TRY(read_rope_shape(c, family, shape));
  if (family == EF_QWEN2_MOE) return read_qwen_experts(c, shape);
  return family == EF_DEEPSEEK ? read_deepseek_experts(c, shape) : EF_OK;
}

static ef_status read_config(const json_t *c, ef_dims *d) {
  ef_family family;
  ef_shape shape = {0};
  EF_TRY(EF_CHECK(json_is_object(c), EF_INPUT, "config.json: not a JSON object"));
  EF_TRY(read_family(c, &family));
  EF_TRY(ef_hf_refuse_unsupported(c, family));
  EF_TRY(read_shape(c, family, &shape));
  ef_status status = ef_dims_make(family, &shape, d);
  if (status != EF_OK) return ef_context(status, "config.json");
  d->tied = d->position != EF_ROPE; /* the defaults of the classes */
  EF_TRY(ef_field_get_bool(c, "tie_word_embeddings", &d->tied));
  EF_TRY(ef_field_get_float(c, "initializer_range", &d->init_std));
  if (d->position == EF_ROPE) {
    EF_TRY(read_rope_family(c, d));
  } else {
    EF_TRY(ef_field_get_float(c, "layer_norm_epsilon", &d->norm_eps));
  }
  EF_TRY(read_exits(c, d));
  EF_TRY(ef_field_get_size(c, "edgefuse_held", 0, &d->held));
  ef_hf_note_dropout(c);
  status = ef_dims_check(d);
  return status == EF_OK ? EF_OK : ef_context(status, "config.json");
}

ef_status ef_hf_read_config(const char *json, ef_dims *dims) {
  json_error_t error;
  json_t *config = json_loads(json, JSON_REJECT_DUPLICATES, &error);
  if (!config) {
    return ef_fail(EF_INPUT, __FILE__, __LINE__, "config.json: line %d: %s", error.line, error.text);
  }
  ef_status status = read_config(config, dims);
  json_decref(config);
  return status;
}
