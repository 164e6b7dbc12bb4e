#include "model/hf_refuse.h"

#include "base/log.h"
#include "model/hf_fields.h"
#include <stdlib.h>
#include <string.h>

enum {
  IN_GPT2 = 1 << EF_GPT2,
  IN_BLOOM = 1 << EF_BLOOM,
  IN_DEEPSEEK = 1 << EF_DEEPSEEK,
  IN_QWEN = 1 << EF_QWEN2 | 1 << EF_QWEN2_MOE,
  IN_ROPE = 1 << EF_LLAMA | 1 << EF_OLMO | IN_QWEN | IN_DEEPSEEK,
  IN_ALL = IN_ROPE | IN_GPT2 | IN_BLOOM
};

/* A field that must be absent, null, or have this value (JSON text). */
typedef struct rule {
  const char *field;
  unsigned families;
  const char *allowed;
} rule;

static const rule rules[] = {
    {"quantization_config", IN_ALL, "null"},
    {"add_cross_attention", IN_ALL, "false"},
    {"is_encoder_decoder", IN_ALL, "false"},
    {"pruned_heads", IN_ALL, "{}"},
    {"activation_function", IN_GPT2, "\"gelu_new\""},
    {"scale_attn_weights", IN_GPT2, "true"},
    {"scale_attn_by_inverse_layer_idx", IN_GPT2, "false"},
    {"apply_residual_connection_post_layernorm", IN_BLOOM, "false"},
    {"hidden_act", IN_ROPE, "\"silu\""},
    {"rope_scaling", IN_ROPE, "null"},
    {"partial_rotary_factor", IN_ROPE, "1"},
    {"use_sliding_window", IN_ROPE, "false"},
    {"mlp_bias", IN_ROPE, "false"},
    {"clip_qkv", IN_ROPE, "null"},
    {"attention_bias", IN_QWEN, "false"},
    {"scoring_func", IN_DEEPSEEK, "\"softmax\""},
    {"topk_method", IN_DEEPSEEK, "\"greedy\""},
    {"routed_scaling_factor", IN_DEEPSEEK, "1"},
    {"n_group", IN_DEEPSEEK, "1"},
    {"topk_group", IN_DEEPSEEK, "1"},
    {"q_lora_rank", IN_DEEPSEEK, "null"},
    {"kv_lora_rank", IN_DEEPSEEK, "null"},
};

static bool equal(const json_t *a, const json_t *b) {
  if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
  return json_equal(a, b) != 0;
}

static ef_status check_rule(const json_t *config, const rule *r) {
  const json_t *value = ef_field(config, r->field);
  if (!value) return EF_OK;
  json_t *allowed = json_loads(r->allowed, JSON_DECODE_ANY, NULL);
  bool same = equal(value, allowed);
  json_decref(allowed);
  if (same) return EF_OK;
  char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
  ef_status status =
      ef_fail(EF_INPUT, __FILE__, __LINE__, "config.json: \"%s\" is %.200s; only %s is supported", r->field,
              text ? text : "?", r->allowed);
  free(text);
  return status;
}

/* Newer configs say per layer what use_sliding_window says for all. */
static ef_status check_layer_types(const json_t *config) {
  const json_t *types = ef_field(config, "layer_types");
  for (size_t i = 0; i < json_array_size(types); i++) {
    const char *type = json_string_value(json_array_get(types, i));
    EF_TRY(EF_CHECK(type && strcmp(type, "full_attention") == 0, EF_INPUT,
                    "config.json: \"layer_types\" has \"%s\"; only \"full_attention\" is supported",
                    type ? type : "?"));
  }
  return EF_OK;
}

ef_status ef_hf_refuse_unsupported(const json_t *config, ef_family family) {
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    if (rules[i].families >> family & 1) EF_TRY(check_rule(config, &rules[i]));
  }
  return check_layer_types(config);
}

void ef_hf_note_dropout(const json_t *config) {
  static const char *const fields[] = {"attention_dropout", "hidden_dropout", "attn_pdrop", "embd_pdrop",
                                       "resid_pdrop"};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    double rate = json_number_value(ef_field(config, fields[i]));
    if (rate != 0.0) ef_log(EF_LOG_VERBOSE, "config.json: \"%s\" is %g; taken as 0", fields[i], rate);
  }
}
