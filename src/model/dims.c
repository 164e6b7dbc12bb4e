#include "model/dims.h"

#include "model/table.h"
#include <string.h>

/* What a family fixes, whatever the size of the model. */
typedef struct traits {
  const char *name;
  ef_norm norm;
  ef_position position;
  ef_ffn ffn;
  bool qkv_bias, o_bias, ffn_bias, fused_qkv, by_head, conv1d, tied, embed_norm, moe;
  float norm_eps, rope_theta;
} traits;

static const traits families[EF_FAMILY_COUNT] = {
    [EF_GPT2] = {.name = "gpt2",
                 .norm = EF_LAYERNORM,
                 .position = EF_LEARNED,
                 .ffn = EF_GELU,
                 .qkv_bias = true,
                 .o_bias = true,
                 .ffn_bias = true,
                 .fused_qkv = true,
                 .conv1d = true,
                 .tied = true,
                 .norm_eps = 1e-5f},
    [EF_LLAMA] = {.name = "llama",
                  .norm = EF_RMSNORM,
                  .position = EF_ROPE,
                  .ffn = EF_SWIGLU,
                  .norm_eps = 1e-5f,
                  .rope_theta = 1e4f},
    [EF_QWEN2] = {.name = "qwen2",
                  .norm = EF_RMSNORM,
                  .position = EF_ROPE,
                  .ffn = EF_SWIGLU,
                  .qkv_bias = true,
                  .norm_eps = 1e-6f,
                  .rope_theta = 1e6f},
    [EF_OLMO] = {.name = "olmo",
                 .norm = EF_LAYERNORM_PLAIN,
                 .position = EF_ROPE,
                 .ffn = EF_SWIGLU,
                 .tied = true,
                 .norm_eps = 1e-5f,
                 .rope_theta = 1e4f},
    [EF_BLOOM] = {.name = "bloom",
                  .norm = EF_LAYERNORM,
                  .position = EF_ALIBI,
                  .ffn = EF_GELU,
                  .qkv_bias = true,
                  .o_bias = true,
                  .ffn_bias = true,
                  .fused_qkv = true,
                  .by_head = true,
                  .tied = true,
                  .embed_norm = true,
                  .norm_eps = 1e-5f},
    [EF_QWEN2_MOE] = {.name = "qwen2_moe",
                      .norm = EF_RMSNORM,
                      .position = EF_ROPE,
                      .ffn = EF_SWIGLU,
                      .qkv_bias = true,
                      .moe = true,
                      .norm_eps = 1e-6f,
                      .rope_theta = 1e6f},
    [EF_DEEPSEEK] = {.name = "deepseek_moe",
                     .norm = EF_RMSNORM,
                     .position = EF_ROPE,
                     .ffn = EF_SWIGLU,
                     .moe = true,
                     .norm_eps = 1e-6f,
                     .rope_theta = 1e4f},
};

const char *ef_family_name(ef_family family) { return families[family].name; }

bool ef_family_find(const char *name, ef_family *family) {
  for (int f = 0; f < EF_FAMILY_COUNT; f++) {
    if (strcmp(name, families[f].name) == 0) {
      *family = (ef_family)f;
      return true;
    }
  }
  return false;
}

static void set_traits(ef_family family, ef_dims *d) {
  const traits *t = &families[family];
  d->family = family;
  d->norm = t->norm;
  d->position = t->position;
  d->ffn = t->ffn;
  d->qkv_bias = t->qkv_bias;
  d->o_bias = t->o_bias;
  d->ffn_bias = t->ffn_bias;
  d->fused_qkv = t->fused_qkv;
  d->by_head = t->by_head;
  d->conv1d = t->conv1d;
  d->tied = t->tied;
  d->embed_norm = t->embed_norm;
  d->norm_eps = t->norm_eps;
  d->rope_theta = t->rope_theta;
  d->init_std = 0.02f;
}

static void set_experts(const ef_shape *shape, ef_dims *d) {
  d->E = shape->E;
  d->K = shape->K;
  d->Fe = shape->Fe;
  d->Fs = shape->Fs;
  d->shared_gate = d->family == EF_QWEN2_MOE && shape->Fs > 0;
  d->norm_topk_eps = d->family == EF_DEEPSEEK ? 1e-20f : 0.0f;
  d->aux = d->family == EF_DEEPSEEK ? EF_AUX_SEQUENCE : EF_AUX_POOLED;
  d->aux_coef = 0.001f;
  for (size_t l = shape->dense_first; l < shape->L && l < EF_MAX_LAYERS; l++) {
    d->moe_layers[l / 64] |= UINT64_C(1) << (l % 64);
  }
}

ef_status ef_dims_make(ef_family family, const ef_shape *shape, ef_dims *dims) {
  *dims = (ef_dims){0};
  set_traits(family, dims);
  dims->V = shape->V;
  dims->D = shape->D;
  dims->L = shape->L;
  dims->H = shape->H;
  dims->G = shape->G ? shape->G : shape->H;
  dims->h = shape->H ? shape->D / shape->H : 0;
  size_t usual = dims->ffn == EF_GELU ? 4 * shape->D : (8 * shape->D / 3 + 15) / 16 * 16;
  dims->F = shape->F ? shape->F : usual;
  dims->max_positions = shape->max_positions;
  if (shape->E) set_experts(shape, dims);
  return ef_dims_check(dims);
}

/* Sizes go to 32-bit BLAS integers and token ids. */
static ef_status check_size(const char *what, size_t n) {
  return EF_CHECK(n > 0 && n <= INT32_MAX, EF_INPUT, "model: %s is %zu; it must be from 1 to 2147483647",
                  what, n);
}

static ef_status check_attention(const ef_dims *d) {
  EF_TRY(EF_CHECK(d->D % d->H == 0, EF_INPUT, "model: width %zu is not divisible by %zu heads", d->D, d->H));
  EF_TRY(EF_CHECK(d->h == d->D / d->H, EF_INPUT, "model: head width %zu is not width %zu / heads %zu", d->h,
                  d->D, d->H));
  EF_TRY(EF_CHECK(d->H % d->G == 0, EF_INPUT, "model: %zu heads are not divisible by %zu key-value heads",
                  d->H, d->G));
  EF_TRY(EF_CHECK(!d->fused_qkv || d->G == d->H, EF_INPUT,
                  "model: %s has as many key-value heads as heads, not %zu for %zu",
                  ef_family_name(d->family), d->G, d->H));
  EF_TRY(EF_CHECK(d->position != EF_ROPE || d->h % 2 == 0, EF_INPUT,
                  "model: head width %zu is odd; rotary positions need an even one", d->h));
  return EF_CHECK(d->position != EF_ROPE || d->rope_theta > 0.0f, EF_INPUT,
                  "model: rope_theta must be positive");
}

static ef_status check_experts(const ef_dims *d) {
  EF_TRY(EF_CHECK(families[d->family].moe, EF_INPUT, "model: family %s has no experts (E = %zu)",
                  ef_family_name(d->family), d->E));
  EF_TRY(check_size("the number of experts", d->E));
  EF_TRY(check_size("the number of experts per token", d->K));
  EF_TRY(EF_CHECK(d->K <= d->E, EF_INPUT, "model: %zu experts per token, but only %zu experts", d->K, d->E));
  EF_TRY(EF_CHECK(d->held <= d->E && d->K <= ef_dims_held(d), EF_INPUT,
                  "model: %zu of %zu experts are held; from %zu (those of a token) to all are possible",
                  d->held, d->E, d->K));
  EF_TRY(check_size("the width of an expert", d->Fe));
  EF_TRY(EF_CHECK(d->Fs <= INT32_MAX, EF_INPUT, "model: the shared expert's width %zu is too large", d->Fs));
  return EF_CHECK(!d->shared_gate || d->Fs > 0, EF_INPUT,
                  "model: a gate of the shared expert, but none shared");
}

ef_status ef_dims_check(const ef_dims *d) {
  EF_TRY(EF_CHECK(d->L > 0 && d->L <= EF_MAX_LAYERS, EF_INPUT, "model: %zu layers; from 1 to %d are possible",
                  d->L, EF_MAX_LAYERS));
  EF_TRY(check_size("the vocabulary", d->V));
  EF_TRY(check_size("the width", d->D));
  EF_TRY(check_size("the number of heads", d->H));
  EF_TRY(check_size("the number of key-value heads", d->G));
  EF_TRY(check_size("the number of positions", d->max_positions));
  EF_TRY(check_attention(d));
  EF_TRY(EF_CHECK(d->E > 0 || d->held == 0, EF_INPUT, "model: %zu experts are held, but there are none",
                  d->held));
  if (d->E > 0) EF_TRY(check_experts(d));
  for (size_t l = 0; l < d->L; l++) {
    if (!ef_dims_is_moe(d, l))
      EF_TRY(check_size("the width of the feed-forward layers", ef_dims_ffn_width(d, l)));
  }
  EF_TRY(EF_CHECK(d->norm_eps > 0.0f, EF_INPUT, "model: the epsilon of the norms must be positive"));
  EF_TRY(EF_CHECK(d->init_std >= 0.0f && d->embed_std >= 0.0f, EF_INPUT,
                  "model: an initial standard deviation is negative"));
  for (size_t l = d->L - 1; l < EF_MAX_LAYERS; l++) {
    EF_TRY(EF_CHECK(!ef_dims_has_exit(d, l), EF_INPUT,
                    "model: an early exit behind %zu of %zu layers; the last head stands there", l + 1,
                    d->L));
  }
  return EF_CHECK(!d->has_pad || (d->pad >= 0 && (size_t)d->pad < d->V), EF_INPUT,
                  "model: the pad token %d is outside the vocabulary of %zu", d->pad, d->V);
}

size_t ef_dims_ffn_width(const ef_dims *dims, size_t layer) {
  return layer < dims->first ? dims->F_first : dims->F;
}

bool ef_dims_is_moe(const ef_dims *dims, size_t layer) {
  return dims->E > 0 && (dims->moe_layers[layer / 64] >> (layer % 64) & 1) != 0;
}

size_t ef_dims_moe_count(const ef_dims *dims) {
  size_t n = 0;
  for (size_t l = 0; l < dims->L; l++) n += ef_dims_is_moe(dims, l);
  return n;
}

size_t ef_dims_held(const ef_dims *dims) { return dims->held ? dims->held : dims->E; }

bool ef_dims_has_exit(const ef_dims *dims, size_t layer) {
  return (dims->exits[layer / 64] >> (layer % 64) & 1) != 0;
}

size_t ef_dims_exit_count(const ef_dims *dims) {
  size_t n = 0;
  for (size_t l = 0; l < dims->L; l++) n += ef_dims_has_exit(dims, l);
  return n;
}

size_t ef_dims_exit_after(const ef_dims *dims, size_t exit) {
  for (size_t l = 0; l < dims->L; l++) {
    if (ef_dims_has_exit(dims, l) && exit-- == 0) return l + 1;
  }
  return dims->L;
}

ef_status ef_dims_add_exit(ef_dims *dims, size_t after) {
  size_t count = ef_dims_exit_count(dims), last = count > 0 ? ef_dims_exit_after(dims, count - 1) : 0;
  EF_TRY(EF_CHECK(after >= 1 && after < dims->L, EF_INPUT,
                  "an early exit behind %zu layers; it must be from 1 to %zu, below the %zu layers", after,
                  dims->L - 1, dims->L));
  EF_TRY(EF_CHECK(after > last, EF_INPUT,
                  "an early exit behind %zu layers follows one behind %zu: they ascend", after, last));
  dims->exits[(after - 1) / 64] |= UINT64_C(1) << ((after - 1) % 64);
  return EF_OK;
}

/* Parameters if `experts` routed experts of every MoE layer are counted. */
static size_t count_params(const ef_dims *dims, size_t experts) {
  size_t n = 0;
  for (int l = -1; l < (int)dims->L; l++) {
    for (int r = 0; r < EF_ROLE_COUNT; r++) {
      n += ef_role_size(dims, (ef_role)r, l) * (ef_role_is_expert((ef_role)r) ? experts : 1);
    }
  }
  return n;
}

size_t ef_dims_params(const ef_dims *dims) { return count_params(dims, ef_dims_held(dims)); }
size_t ef_dims_active_params(const ef_dims *dims) { return count_params(dims, dims->K); }

double ef_dims_flops_per_token(const ef_dims *dims, size_t T) {
  size_t lookups = ef_role_size(dims, EF_T_POSITION, -1) + (dims->tied ? 0 : dims->V * dims->D);
  size_t exits = ef_dims_exit_count(dims) * dims->V * dims->D;
  double products = (double)(ef_dims_active_params(dims) - lookups + exits);
  return 6.0 * products + 6.0 * (double)dims->L * (double)T * (double)dims->D;
}
