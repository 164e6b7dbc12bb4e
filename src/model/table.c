#include "model/table.h"

#include "base/memory.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN_FLOATS = EF_ALIGN / sizeof(float) };

/* The three ways of naming. Names of layers stand behind the layer's prefix; those of experts behind
 * "mlp.experts.N.", those of exits behind "exits.N.". */
typedef enum style { GPT2, BLOOM, LLAMA, STYLE_COUNT } style;

static const char *const layer_prefix[STYLE_COUNT] = {"transformer.h.%d.", "transformer.h.%d.",
                                                      "model.layers.%d."};

static const char *const names[STYLE_COUNT][EF_ROLE_COUNT] = {
    [GPT2] =
        {
            [EF_T_EMBED] = "transformer.wte.weight",
            [EF_T_POSITION] = "transformer.wpe.weight",
            [EF_T_NORM1_W] = "ln_1.weight",
            [EF_T_NORM1_B] = "ln_1.bias",
            [EF_T_QKV_W] = "attn.c_attn.weight",
            [EF_T_QKV_B] = "attn.c_attn.bias",
            [EF_T_O_W] = "attn.c_proj.weight",
            [EF_T_O_B] = "attn.c_proj.bias",
            [EF_T_NORM2_W] = "ln_2.weight",
            [EF_T_NORM2_B] = "ln_2.bias",
            [EF_T_UP_W] = "mlp.c_fc.weight",
            [EF_T_UP_B] = "mlp.c_fc.bias",
            [EF_T_DOWN_W] = "mlp.c_proj.weight",
            [EF_T_DOWN_B] = "mlp.c_proj.bias",
            [EF_T_FINAL_NORM_W] = "transformer.ln_f.weight",
            [EF_T_FINAL_NORM_B] = "transformer.ln_f.bias",
            [EF_T_HEAD_W] = "lm_head.weight",
            [EF_T_EXIT_NORM_W] = "norm.weight",
            [EF_T_EXIT_NORM_B] = "norm.bias",
        },
    [BLOOM] =
        {
            [EF_T_EMBED] = "transformer.word_embeddings.weight",
            [EF_T_EMBED_NORM_W] = "transformer.word_embeddings_layernorm.weight",
            [EF_T_EMBED_NORM_B] = "transformer.word_embeddings_layernorm.bias",
            [EF_T_NORM1_W] = "input_layernorm.weight",
            [EF_T_NORM1_B] = "input_layernorm.bias",
            [EF_T_QKV_W] = "self_attention.query_key_value.weight",
            [EF_T_QKV_B] = "self_attention.query_key_value.bias",
            [EF_T_O_W] = "self_attention.dense.weight",
            [EF_T_O_B] = "self_attention.dense.bias",
            [EF_T_NORM2_W] = "post_attention_layernorm.weight",
            [EF_T_NORM2_B] = "post_attention_layernorm.bias",
            [EF_T_UP_W] = "mlp.dense_h_to_4h.weight",
            [EF_T_UP_B] = "mlp.dense_h_to_4h.bias",
            [EF_T_DOWN_W] = "mlp.dense_4h_to_h.weight",
            [EF_T_DOWN_B] = "mlp.dense_4h_to_h.bias",
            [EF_T_FINAL_NORM_W] = "transformer.ln_f.weight",
            [EF_T_FINAL_NORM_B] = "transformer.ln_f.bias",
            [EF_T_HEAD_W] = "lm_head.weight",
            [EF_T_EXIT_NORM_W] = "norm.weight",
            [EF_T_EXIT_NORM_B] = "norm.bias",
        },
    [LLAMA] =
        {
            [EF_T_EMBED] = "model.embed_tokens.weight",
            [EF_T_NORM1_W] = "input_layernorm.weight",
            [EF_T_Q_W] = "self_attn.q_proj.weight",
            [EF_T_K_W] = "self_attn.k_proj.weight",
            [EF_T_V_W] = "self_attn.v_proj.weight",
            [EF_T_Q_B] = "self_attn.q_proj.bias",
            [EF_T_K_B] = "self_attn.k_proj.bias",
            [EF_T_V_B] = "self_attn.v_proj.bias",
            [EF_T_O_W] = "self_attn.o_proj.weight",
            [EF_T_O_B] = "self_attn.o_proj.bias",
            [EF_T_NORM2_W] = "post_attention_layernorm.weight",
            [EF_T_GATE_W] = "mlp.gate_proj.weight",
            [EF_T_UP_W] = "mlp.up_proj.weight",
            [EF_T_DOWN_W] = "mlp.down_proj.weight",
            [EF_T_ROUTER_W] = "mlp.gate.weight",
            [EF_T_EXPERT_GATE_W] = "gate_proj.weight",
            [EF_T_EXPERT_UP_W] = "up_proj.weight",
            [EF_T_EXPERT_DOWN_W] = "down_proj.weight",
            [EF_T_SHARED_GATE_W] = "mlp.shared_expert%s.gate_proj.weight",
            [EF_T_SHARED_UP_W] = "mlp.shared_expert%s.up_proj.weight",
            [EF_T_SHARED_DOWN_W] = "mlp.shared_expert%s.down_proj.weight",
            [EF_T_SHARED_ROUTER_W] = "mlp.shared_expert_gate.weight",
            [EF_T_FINAL_NORM_W] = "model.norm.weight",
            [EF_T_HEAD_W] = "lm_head.weight",
            [EF_T_EXIT_NORM_W] = "norm.weight",
            [EF_T_EXIT_NORM_B] = "norm.bias",
        },
};

/* The order of the state dicts: roles in front of the layers, of one layer, and behind them. Roles that a
 * family does not have fall out; the expert roles stand for all experts. */
static const ef_role before[] = {EF_T_EMBED, EF_T_POSITION, EF_T_EMBED_NORM_W, EF_T_EMBED_NORM_B};
static const ef_role behind[] = {EF_T_FINAL_NORM_W, EF_T_FINAL_NORM_B, EF_T_HEAD_W};
static const ef_role gpt_layer[] = {EF_T_NORM1_W, EF_T_NORM1_B, EF_T_QKV_W,   EF_T_QKV_B,
                                    EF_T_O_W,     EF_T_O_B,     EF_T_NORM2_W, EF_T_NORM2_B,
                                    EF_T_UP_W,    EF_T_UP_B,    EF_T_DOWN_W,  EF_T_DOWN_B};
static const ef_role llama_layer[] = {EF_T_Q_W,
                                      EF_T_Q_B,
                                      EF_T_K_W,
                                      EF_T_K_B,
                                      EF_T_V_W,
                                      EF_T_V_B,
                                      EF_T_O_W,
                                      EF_T_O_B,
                                      EF_T_GATE_W,
                                      EF_T_UP_W,
                                      EF_T_DOWN_W,
                                      EF_T_ROUTER_W,
                                      EF_T_EXPERT_GATE_W,
                                      EF_T_SHARED_GATE_W,
                                      EF_T_SHARED_UP_W,
                                      EF_T_SHARED_DOWN_W,
                                      EF_T_SHARED_ROUTER_W,
                                      EF_T_NORM1_W,
                                      EF_T_NORM2_W};

static style style_of(const ef_dims *d) {
  return d->family == EF_GPT2 ? GPT2 : d->family == EF_BLOOM ? BLOOM : LLAMA;
}

bool ef_role_is_expert(ef_role role) {
  return role == EF_T_EXPERT_GATE_W || role == EF_T_EXPERT_UP_W || role == EF_T_EXPERT_DOWN_W;
}

static bool of_exit(ef_role role) { return role == EF_T_EXIT_NORM_W || role == EF_T_EXIT_NORM_B; }

static bool in_layer(ef_role role) {
  return (role >= EF_T_NORM1_W && role <= EF_T_SHARED_ROUTER_W) || of_exit(role);
}

/* Does a layer (or, with -1, the model outside its layers) have this role? */
static bool present(const ef_dims *d, ef_role role, int layer) {
  if (!names[style_of(d)][role] || in_layer(role) != (layer >= 0)) return false;
  if (of_exit(role) && !ef_dims_has_exit(d, (size_t)layer)) return false;
  bool moe = layer >= 0 && ef_dims_is_moe(d, (size_t)layer);
  switch (role) {
  case EF_T_NORM1_W:
  case EF_T_NORM2_W:
  case EF_T_FINAL_NORM_W:
  case EF_T_EXIT_NORM_W:
    return d->norm != EF_LAYERNORM_PLAIN;
  case EF_T_NORM1_B:
  case EF_T_NORM2_B:
  case EF_T_FINAL_NORM_B:
  case EF_T_EXIT_NORM_B:
    return d->norm == EF_LAYERNORM;
  case EF_T_QKV_B:
  case EF_T_Q_B:
  case EF_T_K_B:
  case EF_T_V_B:
    return d->qkv_bias;
  case EF_T_O_B:
    return d->o_bias;
  case EF_T_UP_B:
  case EF_T_DOWN_B:
    return d->ffn_bias;
  case EF_T_GATE_W:
  case EF_T_UP_W:
  case EF_T_DOWN_W:
    return !moe;
  case EF_T_ROUTER_W:
  case EF_T_EXPERT_GATE_W:
  case EF_T_EXPERT_UP_W:
  case EF_T_EXPERT_DOWN_W:
    return moe;
  case EF_T_SHARED_GATE_W:
  case EF_T_SHARED_UP_W:
  case EF_T_SHARED_DOWN_W:
    return moe && d->Fs > 0;
  case EF_T_SHARED_ROUTER_W:
    return moe && d->shared_gate;
  case EF_T_HEAD_W:
    return !d->tied;
  default:
    return true;
  }
}

/* Output and input extent of a role; a vector has no input (0). */
static void extents(const ef_dims *d, ef_role role, int layer, size_t *out, size_t *in) {
  size_t F = layer >= 0 ? ef_dims_ffn_width(d, (size_t)layer) : 0;
  *in = d->D;
  switch (role) {
  case EF_T_EMBED:
  case EF_T_HEAD_W:
    *out = d->V;
    break;
  case EF_T_POSITION:
    *out = d->max_positions;
    break;
  case EF_T_QKV_W:
    *out = 3 * d->D;
    break;
  case EF_T_QKV_B:
    *out = 3 * d->D, *in = 0;
    break;
  case EF_T_Q_W:
  case EF_T_O_W:
    *out = d->D;
    break;
  case EF_T_K_W:
  case EF_T_V_W:
    *out = d->G * d->h;
    break;
  case EF_T_K_B:
  case EF_T_V_B:
    *out = d->G * d->h, *in = 0;
    break;
  case EF_T_GATE_W:
  case EF_T_UP_W:
    *out = F;
    break;
  case EF_T_UP_B:
    *out = F, *in = 0;
    break;
  case EF_T_DOWN_W:
    *out = d->D, *in = F;
    break;
  case EF_T_ROUTER_W:
    *out = d->E;
    break;
  case EF_T_EXPERT_GATE_W:
  case EF_T_EXPERT_UP_W:
    *out = d->Fe;
    break;
  case EF_T_EXPERT_DOWN_W:
    *out = d->D, *in = d->Fe;
    break;
  case EF_T_SHARED_GATE_W:
  case EF_T_SHARED_UP_W:
    *out = d->Fs;
    break;
  case EF_T_SHARED_DOWN_W:
    *out = d->D, *in = d->Fs;
    break;
  case EF_T_SHARED_ROUTER_W:
    *out = 1;
    break;
  default:
    *out = d->D, *in = 0;
    break; /* norms, biases of width D */
  }
}

size_t ef_role_size(const ef_dims *dims, ef_role role, int layer) {
  if (!present(dims, role, layer)) return 0;
  size_t out, in;
  extents(dims, role, layer, &out, &in);
  return out * (in ? in : 1);
}

static void set_shape(const ef_dims *d, ef_tensor *t) {
  size_t out, in;
  extents(d, t->role, t->layer, &out, &in);
  t->rank = in ? 2 : 1;
  t->input_major = d->conv1d && in && in_layer(t->role);
  t->shape[0] = t->input_major ? in : out;
  t->shape[1] = t->input_major ? out : in;
  t->count = out * (in ? in : 1);
}

static void set_init(const ef_dims *d, ef_tensor *t) {
  bool norm = t->role == EF_T_EMBED_NORM_W || t->role == EF_T_NORM1_W || t->role == EF_T_NORM2_W ||
              t->role == EF_T_FINAL_NORM_W || t->role == EF_T_EXIT_NORM_W;
  t->init = norm ? EF_INIT_ONE : t->rank == 1 ? EF_INIT_ZERO : EF_INIT_NORMAL;
  t->init_scale = t->role == EF_T_EMBED && d->embed_std > 0.0f ? d->embed_std : d->init_std;
  if (d->family == EF_DEEPSEEK && t->role == EF_T_ROUTER_W) {
    t->init = EF_INIT_UNIFORM;
    t->init_scale = 1.0f / sqrtf((float)d->D);
  }
  if (d->family == EF_GPT2 && (t->role == EF_T_O_W || t->role == EF_T_DOWN_W)) {
    t->init_scale = d->init_std / sqrtf(2.0f * (float)d->L);
  }
}

static void set_name(const ef_dims *d, ef_tensor *t) {
  style s = style_of(d);
  char prefix[40] = "", expert[32] = "", role[72];
  if (of_exit(t->role)) {
    snprintf(prefix, sizeof prefix, "exits.%d.", t->layer + 1);
  } else if (t->layer >= 0) {
    snprintf(prefix, sizeof prefix, layer_prefix[s], t->layer);
  }
  if (t->expert >= 0) snprintf(expert, sizeof expert, "mlp.experts.%d.", t->expert);
  snprintf(role, sizeof role, names[s][t->role], d->family == EF_DEEPSEEK ? "s" : "");
  snprintf(t->name, sizeof t->name, "%s%s%s", prefix, expert, role);
}

/* Counts while `table->tensors` is NULL, fills in the second run. */
static void put(const ef_dims *d, ef_table *table, ef_role role, int layer, int expert) {
  if (!present(d, role, layer)) return;
  if (table->tensors) {
    ef_tensor *t = &table->tensors[table->count];
    *t = (ef_tensor){.role = role, .layer = layer, .expert = expert, .offset = SIZE_MAX};
    set_shape(d, t);
    set_init(d, t);
    set_name(d, t);
  }
  table->count++;
}

static void put_experts(const ef_dims *d, ef_table *table, int layer) {
  for (int e = 0; e < (int)ef_dims_held(d); e++) {
    put(d, table, EF_T_EXPERT_GATE_W, layer, e);
    put(d, table, EF_T_EXPERT_UP_W, layer, e);
    put(d, table, EF_T_EXPERT_DOWN_W, layer, e);
  }
}

/* In DeepSeek's modules the router stands behind the experts. */
static void put_layer(const ef_dims *d, ef_table *table, int layer) {
  bool llama = style_of(d) == LLAMA, late = d->family == EF_DEEPSEEK;
  const ef_role *roles = llama ? llama_layer : gpt_layer;
  size_t n = llama ? sizeof llama_layer / sizeof *roles : sizeof gpt_layer / sizeof *roles;
  for (size_t i = 0; i < n; i++) {
    if (ef_role_is_expert(roles[i])) {
      put_experts(d, table, layer);
      if (late) put(d, table, EF_T_ROUTER_W, layer, -1);
    } else if (roles[i] != EF_T_ROUTER_W || !late) {
      put(d, table, roles[i], layer, -1);
    }
  }
}

static void list_tensors(const ef_dims *d, ef_table *table) {
  table->count = 0;
  for (size_t i = 0; i < sizeof before / sizeof *before; i++) put(d, table, before[i], -1, -1);
  for (int l = 0; l < (int)d->L; l++) put_layer(d, table, l);
  for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) put(d, table, behind[i], -1, -1);
  for (int l = 0; l < (int)d->L; l++) {
    put(d, table, EF_T_EXIT_NORM_W, l, -1);
    put(d, table, EF_T_EXIT_NORM_B, l, -1);
  }
}

static int compare_keys(const void *left, const void *right) {
  const ef_tensor *a = *(const ef_tensor *const *)left, *b = *(const ef_tensor *const *)right;
  if ((a->expert >= 0) != (b->expert >= 0)) return a->expert >= 0 ? 1 : -1;
  if (a->layer != b->layer) return a->layer < b->layer ? -1 : 1;
  if (a->expert != b->expert) return a->expert < b->expert ? -1 : 1;
  return (a->role > b->role) - (a->role < b->role);
}

/* Stands directly behind the tensor before it: one product serves both. */
static bool glued(const ef_dims *d, ef_role role) {
  switch (role) {
  case EF_T_K_W:
  case EF_T_V_W:
  case EF_T_K_B:
  case EF_T_V_B:
  case EF_T_EXPERT_UP_W:
  case EF_T_SHARED_UP_W:
    return true;
  case EF_T_UP_W:
    return d->ffn == EF_SWIGLU;
  default:
    return false;
  }
}

static size_t align_up(size_t n) { return (n + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS; }

static bool held(const ef_table *table, const ef_tensor *t) {
  size_t e = (size_t)t->expert;
  return t->expert < 0 || (e >= table->expert_first && e - table->expert_first < table->expert_count);
}

static void place(const ef_dims *d, ef_table *table) {
  size_t at = 0;
  for (size_t i = 0; i < table->count; i++) {
    ef_tensor *t = &table->tensors[table->by_key[i] - table->tensors];
    if (!held(table, t)) continue;
    t->offset = glued(d, t->role) ? at : align_up(at);
    at = t->offset + t->count;
    if (t->expert < 0) table->shared = align_up(at);
  }
  table->floats = align_up(at);
  table->expert_down = align_up(2 * d->Fe * d->D);
  table->expert_floats = table->expert_down + align_up(d->Fe * d->D);
}

ef_status ef_table_build(const ef_dims *dims, size_t expert_first, size_t expert_count, ef_table *table) {
  *table = (ef_table){.expert_first = expert_first, .expert_count = expert_count};
  ef_status status = EF_OK;
  list_tensors(dims, table);
  EF_GO(EF_NEW(table->tensors, table->count));
  EF_GO(EF_NEW(table->by_key, table->count));
  list_tensors(dims, table);
  for (size_t i = 0; i < table->count; i++) table->by_key[i] = &table->tensors[i];
  qsort(table->by_key, table->count, sizeof *table->by_key, compare_keys);
  place(dims, table);
done:
  if (status != EF_OK) ef_table_free(table);
  return status;
}

void ef_table_free(ef_table *table) {
  ef_free(table->tensors);
  ef_free(table->by_key);
  *table = (ef_table){0};
}

const ef_tensor *ef_table_find(const ef_table *table, ef_role role, int layer, int expert) {
  const ef_tensor key = {.role = role, .layer = layer, .expert = expert}, *wanted = &key;
  const ef_tensor **found =
      bsearch(&wanted, table->by_key, table->count, sizeof *table->by_key, compare_keys);
  return found ? *found : NULL;
}

size_t ef_table_expert(const ef_table *table, size_t index, size_t expert) {
  return table->shared + (index * table->expert_count + expert - table->expert_first) * table->expert_floats;
}

const ef_tensor *ef_table_find_name(const ef_table *table, const char *name) {
  for (size_t i = 0; i < table->count; i++) {
    if (strcmp(table->tensors[i].name, name) == 0) return &table->tensors[i];
  }
  return NULL;
}
