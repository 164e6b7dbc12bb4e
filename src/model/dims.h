/* The shape of one decoder-only transformer. One implementation, configured by this struct, is exactly each
 * of the families below; nothing else in the code asks for a family by name except import and export.
 *
 * Dimension letters, used beside every pointer of the program:
 *   B sequences, T tokens of a sequence, D width, V vocabulary, L layers, H query heads, G key-value heads,
 *   h head width (D/H), F width of a dense FFN, E routed experts, K experts per token, Fe expert width,
 *   Fs shared-expert width.
 */
#pragma once

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ef_family {
  EF_GPT2,
  EF_LLAMA,
  EF_QWEN2,
  EF_OLMO,
  EF_BLOOM,
  EF_QWEN2_MOE,
  EF_DEEPSEEK,
  EF_FAMILY_COUNT
} ef_family;

typedef enum ef_norm { EF_LAYERNORM, EF_LAYERNORM_PLAIN, EF_RMSNORM } ef_norm;
typedef enum ef_position { EF_LEARNED, EF_ROPE, EF_ALIBI } ef_position;
typedef enum ef_ffn { EF_GELU, EF_SWIGLU } ef_ffn;

/* Auxiliary load-balancing loss (models.md): POOLED is Qwen's one value over all layers and tokens; SEQUENCE
 * and BATCH are DeepSeek's with seq_aux true and false, summed over layers. */
typedef enum ef_aux { EF_AUX_NONE, EF_AUX_POOLED, EF_AUX_SEQUENCE, EF_AUX_BATCH } ef_aux;

enum { EF_MAX_LAYERS = 1024 };

typedef struct ef_dims {
  ef_family family;
  ef_norm norm;
  ef_position position;
  ef_ffn ffn;
  size_t V, D, L, H, G, h, F;
  size_t first,
      F_first;          /* dense FFNs of the first `first` layers are F_first wide, not F (a DeepSeek base) */
  size_t max_positions; /* longest T; a table of learned positions has that many rows */
  bool qkv_bias, o_bias, ffn_bias;
  bool fused_qkv;  /* one tensor for q, k, v: gpt2 (thirds), bloom (per head) */
  bool by_head;    /* rows of that tensor are ordered (head, {q,k,v}, h): bloom; otherwise q | k | v */
  bool conv1d;     /* weights of the blocks are stored (in,out): gpt2; otherwise (out,in) */
  bool tied;       /* the output head is the input embedding */
  bool embed_norm; /* LayerNorm after the embedding (bloom) */
  bool has_pad; /* the embedding row of token `pad` starts at zero and gets no gradient from the input ... */
  int32_t pad;  /* ... (padding_idx of torch); a tied head still trains it */
  float norm_eps, rope_theta, init_std;
  float embed_std; /* of the first token embedding, where it differs from init_std; 0: it does not */
  /* Mixture of experts; E = 0 for a dense model. */
  size_t E, K, Fe, Fs; /* Fs = 0: no shared expert */
  /* Only experts [0, held) are stored and may be chosen, by the softmax over all E logits; 0: all. The local
   * model of FedJETS (rivals/pruned.h), in which routed outputs keep the scale of the whole model. */
  size_t held;
  bool shared_gate;    /* sigmoid(w.x) scales the shared expert (qwen2_moe) */
  bool norm_topk;      /* divide the K weights by their sum ... */
  float norm_topk_eps; /* ... plus this (deepseek 1e-20) */
  ef_aux aux;
  float aux_coef;                          /* weight of the auxiliary loss in the total loss */
  uint64_t moe_layers[EF_MAX_LAYERS / 64]; /* bit l: layer l has experts; the others are dense */
  uint64_t exits[EF_MAX_LAYERS / 64];      /* bit l: an early exit stands behind layer l; never the last */
} ef_dims;

const char *ef_family_name(ef_family family); /* "gpt2", ..., "deepseek_moe" */
bool ef_family_find(const char *name, ef_family *family);

/* A dense model, or with E > 0 an MoE (qwen2_moe, deepseek), of a family with that family's norms, positions,
 * biases, tying and defaults (init 0.02, eps, theta, aux coefficient 0.001). Zero F: the family's usual
 * multiple of D (4D for GELU; 8D/3 up to a multiple of 16 for SwiGLU). Zero G: H. Checked by ef_dims_check.
 * Local. */
typedef struct ef_shape {
  size_t V, D, L, H, G, F, max_positions;
  size_t E, K, Fe, Fs, dense_first; /* dense_first: first layers that stay dense (deepseek) */
} ef_shape;
ef_status ef_dims_make(ef_family family, const ef_shape *shape, ef_dims *dims);

/* EF_INPUT with a message that names the first contradiction (D not divisible by H, H by G, odd h with RoPE,
 * K > E, more held than E, L above EF_MAX_LAYERS, ...). Local. */
ef_status ef_dims_check(const ef_dims *dims);

/* Width of a layer's FFN if that is dense. */
size_t ef_dims_ffn_width(const ef_dims *dims, size_t layer);

bool ef_dims_is_moe(const ef_dims *dims, size_t layer);
size_t ef_dims_moe_count(const ef_dims *dims); /* layers with experts */
size_t ef_dims_held(const ef_dims *dims); /* experts of a layer that are stored: held, or E if that is 0 */

/* Early exits (model/exits.h), the last head not counted; and the layers that run before the head of exit
 * `exit`: ascending for 0 .. count-1, L for exit = count, the last head. Local. */
size_t ef_dims_exit_count(const ef_dims *dims);
size_t ef_dims_exit_after(const ef_dims *dims, size_t exit);
bool ef_dims_has_exit(const ef_dims *dims, size_t layer); /* directly behind `layer` */

/* Puts an early exit behind the first `after` layers. EF_INPUT unless 1 <= after < L and all exits so far
 * stand before it. Local. */
ef_status ef_dims_add_exit(ef_dims *dims, size_t after);

/* Parameters stored in all; those active for one token (K of E experts; input embedding, learned positions
 * and head all counted, a tied head once); and FLOPs of one trained token at length T: 6 * (active parameters
 * without the pure look-ups: learned positions, and the input embedding unless it is also the head) +
 * 6*L*T*D, and 6*V*D for the output matrix behind every early exit. Local. */
size_t ef_dims_params(const ef_dims *dims);
size_t ef_dims_active_params(const ef_dims *dims);
double ef_dims_flops_per_token(const ef_dims *dims, size_t T);
