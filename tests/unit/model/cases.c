#include "cases.h"

#include "model/hf.h"
#include "model/loss.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define GPT2(more)                                                                                           \
  "{\"model_type\":\"gpt2\",\"vocab_size\":37,\"n_embd\":20,\"n_layer\":2,\"n_head\":4,\"n_positions\":"     \
  "16," more "\"layer_norm_epsilon\":1e-5}"
#define BLOOM(heads, more)                                                                                   \
  "{\"model_type\":\"bloom\",\"vocab_size\":37,\"hidden_size\":24,\"n_layer\":2,\"n_head\":" heads           \
  ",\"seq_length\":16," more "\"layer_norm_epsilon\":1e-5}"
#define ROPE(type, layers, kv, more)                                                                         \
  "{\"model_type\":\"" type "\",\"vocab_size\":37,\"hidden_size\":24,\"num_hidden_layers\":" layers          \
  ",\"num_attention_heads\":4,\"num_key_value_heads\":" kv                                                   \
  ",\"intermediate_size\":40,\"max_position_embeddings\":16," more "\"hidden_act\":\"silu\"}"
#define QWEN_MOE(layers, kv, more)                                                                           \
  ROPE("qwen2_moe", layers, kv,                                                                              \
       "\"num_experts\":6,\"num_experts_per_tok\":2,\"moe_intermediate_size\":10,\"rope_theta\":1e6,"        \
       "\"shared_expert_intermediate_size\":14,\"router_aux_loss_coef\":0.05," more)
#define DEEPSEEK(layers, kv, more)                                                                           \
  ROPE("deepseek", layers, kv,                                                                               \
       "\"n_routed_experts\":6,\"moe_intermediate_size\":10,\"aux_loss_alpha\":0.05," more)

const test_case test_cases[] = {
    {"gpt2", GPT2("")},
    {"gpt2 untied, n_inner", GPT2("\"tie_word_embeddings\":false,\"n_inner\":50,")},
    {"llama", ROPE("llama", "2", "4", "")},
    {"llama tied, one kv head, attention_bias",
     ROPE("llama", "2", "1", "\"tie_word_embeddings\":true,\"attention_bias\":true,\"rms_norm_eps\":1e-5,")},
    {"qwen2", ROPE("qwen2", "2", "4", "\"rope_theta\":1e6,")},
    {"qwen2 tied, grouped", ROPE("qwen2", "2", "2", "\"tie_word_embeddings\":true,")},
    {"olmo", ROPE("olmo", "2", "4", "\"pad_token_id\":null,")},
    {"olmo tied, grouped", ROPE("olmo", "2", "2", "\"pad_token_id\":null,\"tie_word_embeddings\":true,")},
    {"olmo attention_bias", ROPE("olmo", "2", "4", "\"pad_token_id\":null,\"attention_bias\":true,")},
    {"bloom", BLOOM("4", "")},
    {"bloom untied, 6 heads", BLOOM("6", "\"tie_word_embeddings\":false,")},
    {"bloom 3 heads", BLOOM("3", "")},
    {"qwen2_moe", QWEN_MOE("2", "4", "\"output_router_logits\":true,")},
    {"qwen2_moe norm_topk", QWEN_MOE("2", "2", "\"output_router_logits\":true,\"norm_topk_prob\":true,")},
    {"qwen2_moe tied, mlp_only", QWEN_MOE("3", "4",
                                          "\"output_router_logits\":true,\"tie_word_embeddings\":true,"
                                          "\"mlp_only_layers\":[1],")},
    {"qwen2_moe sparse step", QWEN_MOE("3", "1", "\"output_router_logits\":true,\"decoder_sparse_step\":2,")},
    {"qwen2_moe without aux", QWEN_MOE("2", "4", "")},
    {"qwen2_moe, four held", QWEN_MOE("2", "4", "\"output_router_logits\":true,\"edgefuse_held\":4,")},
    {"qwen2_moe norm_topk, three held",
     QWEN_MOE("3", "2",
              "\"output_router_logits\":true,\"norm_topk_prob\":true,\"mlp_only_layers\":[1],"
              "\"edgefuse_held\":3,")},
    {"deepseek norm_topk, five held",
     DEEPSEEK("2", "4",
              "\"num_experts_per_tok\":3,\"n_shared_experts\":2,\"norm_topk_prob\":true,"
              "\"edgefuse_held\":5,")},
    {"deepseek batch aux, two held",
     DEEPSEEK("3", "4",
              "\"num_experts_per_tok\":2,\"seq_aux\":false,\"first_k_dense_replace\":1,"
              "\"edgefuse_held\":2,")},
    {"qwen2_moe dense", ROPE("qwen2_moe", "2", "2", "\"num_experts\":0,")},
    {"deepseek", DEEPSEEK("2", "4", "\"num_experts_per_tok\":3,\"n_shared_experts\":2,")},
    {"deepseek norm_topk",
     DEEPSEEK("2", "2", "\"num_experts_per_tok\":3,\"n_shared_experts\":1,\"norm_topk_prob\":true,")},
    {"deepseek batch aux",
     DEEPSEEK("3", "4", "\"num_experts_per_tok\":2,\"seq_aux\":false,\"first_k_dense_replace\":1,")},
    {"deepseek tied, every other",
     DEEPSEEK("4", "1", "\"num_experts_per_tok\":2,\"moe_layer_freq\":2,\"tie_word_embeddings\":true,")},
    {"deepseek one of six", DEEPSEEK("2", "4", "\"num_experts_per_tok\":1,\"norm_topk_prob\":true,")},
    {"deepseek base with a wider first layer",
     ROPE("deepseek", "3", "4", "\"edgefuse_first_layers\":1,\"edgefuse_first_size\":56,")},
    {"deepseek dense, attention_bias",
     ROPE("deepseek", "2", "2", "\"n_routed_experts\":null,\"attention_bias\":true,")},
    {"gpt2 with an exit", GPT2("\"edgefuse_exits\":[1],")},
    {"bloom with an exit", BLOOM("3", "\"edgefuse_exits\":[1],")},
    {"llama with an exit", ROPE("llama", "3", "2", "\"edgefuse_exits\":[2],")},
    {"olmo tied, with an exit", ROPE("olmo", "2", "2",
                                     "\"pad_token_id\":null,\"tie_word_embeddings\":true,"
                                     "\"edgefuse_exits\":[1],")},
    {"qwen2_moe with exits", QWEN_MOE("3", "4",
                                      "\"output_router_logits\":true,\"mlp_only_layers\":[1],"
                                      "\"edgefuse_exits\":[1,2],")},
    {"deepseek tied, with exits", DEEPSEEK("4", "1",
                                           "\"num_experts_per_tok\":2,\"moe_layer_freq\":2,"
                                           "\"tie_word_embeddings\":true,\"edgefuse_exits\":[1,3],")},
};
const size_t test_case_count = sizeof test_cases / sizeof *test_cases;

const test_case *case_named(const char *name) {
  for (size_t i = 0; i < test_case_count; i++) {
    if (strcmp(test_cases[i].name, name) == 0) return &test_cases[i];
  }
  cr_assert_fail("no case %s", name);
  return NULL;
}

void case_fill(ef_model *model, unsigned stream) {
  for (size_t i = 0; i < model->table.count; i++) {
    const ef_tensor *t = &model->table.tensors[i];
    float *p = model->params + t->offset;
    size_t fan_in = t->rank == 2 ? t->shape[t->input_major ? 0 : 1] : 1;
    float scale = t->rank == 1 ? 0.2f : t->role == EF_T_ROUTER_W ? 4.0f : t->role == EF_T_EMBED ? 6.0f : 1.7f;
    if (t->offset == SIZE_MAX) continue;
    test_fill(p, t->count, scale / sqrtf((float)fan_in), stream + (unsigned)i);
    for (size_t j = 0; t->init == EF_INIT_ONE && j < t->count; j++) p[j] += 1.0f;
  }
}

ef_model case_model(const char *config) {
  ef_dims dims;
  ef_model model;
  cr_assert_eq(ef_hf_read_config(config, &dims), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_model_create(&dims, &model), EF_OK, "%s", ef_message());
  case_fill(&model, 100);
  return model;
}

void case_batch(int32_t *ids, int32_t *targets) {
  for (int i = 0; i < CASE_B * CASE_T; i++) ids[i] = (i * i * 7 + i * 3 + 5) % CASE_V;
  ef_shift_labels(CASE_B, CASE_T, ids, targets);
  targets[2] = targets[CASE_T + 5] = EF_IGNORE;
}
