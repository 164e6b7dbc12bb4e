/* The table of tensors of a model, computed from its dims. It drives allocation, initialisation, the
 * optimiser, communication, checkpoint datasets and test labels: no other code lists tensors.
 *
 * Names, shapes and layouts are those of the Hugging Face state dict, so import and export move bytes. The
 * norm of an early exit, which no such dict has, is "exits.<layers before it>.norm.weight" (and ".bias"). In
 * memory the shared tensors (all that is not a routed expert) come first, in one range [0, shared); behind
 * them the routed experts that are held here, layer by layer, expert by expert. Matrices that are used in one
 * product stand side by side without padding: q|k|v weights, q|k|v biases, gate|up of every FFN. Of the
 * routed experts the table lists those that models of these dims store (ef_dims_held).
 */
#pragma once

#include "model/dims.h"

/* What a tensor is; with (layer, expert) it is the key of a tensor. The order here is the order in memory
 * of one layer. */
typedef enum ef_role {
  EF_T_EMBED,    /* (V,D) */
  EF_T_POSITION, /* (max_positions,D), gpt2 */
  EF_T_EMBED_NORM_W,
  EF_T_EMBED_NORM_B, /* (D), bloom */
  EF_T_NORM1_W,
  EF_T_NORM1_B, /* (D) before attention */
  EF_T_QKV_W,
  EF_T_QKV_B, /* fused: gpt2 (D,3D) and (3D); bloom (3D,D), rows head-major: head, {q,k,v}, h */
  EF_T_Q_W,
  EF_T_K_W,
  EF_T_V_W, /* (H*h,D), (G*h,D), (G*h,D) */
  EF_T_Q_B,
  EF_T_K_B,
  EF_T_V_B,
  EF_T_O_W,
  EF_T_O_B, /* (D,H*h); gpt2 (D,D) input-major */
  EF_T_NORM2_W,
  EF_T_NORM2_B, /* (D) before the FFN */
  EF_T_GATE_W,  /* (F,D), SwiGLU; stands directly before EF_T_UP_W */
  EF_T_UP_W,
  EF_T_UP_B,
  EF_T_DOWN_W,
  EF_T_DOWN_B,   /* dense: (F,D), (F), (D,F), (D); gpt2 input-major */
  EF_T_ROUTER_W, /* (E,D), held or not */
  EF_T_EXPERT_GATE_W,
  EF_T_EXPERT_UP_W,
  EF_T_EXPERT_DOWN_W, /* (Fe,D), (Fe,D), (D,Fe); expert = global index */
  EF_T_SHARED_GATE_W,
  EF_T_SHARED_UP_W,
  EF_T_SHARED_DOWN_W,   /* (Fs,D), (Fs,D), (D,Fs) */
  EF_T_SHARED_ROUTER_W, /* (1,D) */
  EF_T_FINAL_NORM_W,
  EF_T_FINAL_NORM_B, /* (D) */
  EF_T_HEAD_W,       /* (V,D), absent when tied */
  EF_T_EXIT_NORM_W,
  EF_T_EXIT_NORM_B, /* (D) of the early exit behind a layer; kind as the final norm */
  EF_ROLE_COUNT
} ef_role;

typedef enum ef_init { EF_INIT_NORMAL, EF_INIT_ZERO, EF_INIT_ONE, EF_INIT_UNIFORM } ef_init;

typedef struct ef_tensor {
  char name[160]; /* Hugging Face name, e.g. "model.layers.3.mlp.experts.7.up_proj.weight" */
  ef_role role;
  int layer;  /* -1: none */
  int expert; /* global index of a routed expert, -1: shared tensor */
  size_t rank, shape[2];
  size_t count;     /* elements */
  size_t offset;    /* of the first element in the parameter block; SIZE_MAX if the expert is not held here */
  bool input_major; /* (in,out) as gpt2's Conv1D; otherwise (out,in) */
  ef_init init;
  float init_scale; /* standard deviation, or half width of the uniform law */
} ef_tensor;

typedef struct ef_table {
  size_t count;
  ef_tensor *tensors; /* owned; in the order of the Hugging Face state dict: layer by layer; norms of
                         early exits last, so that they change no stream of ef_model_init */
  size_t shared; /* floats of all shared tensors: [0, shared) of the block, alignment gaps (zeros) included */
  size_t floats; /* floats of the block held here */
  size_t expert_first, expert_count; /* routed experts held here, of every MoE layer */
  /* Distance of one held expert from the next: expert e of the m-th MoE layer starts at
   * shared + (m*expert_count + e - expert_first)*expert_floats, with gate | up | gap | down. */
  size_t expert_floats;
  size_t expert_down;       /* of the down matrix from the start of its expert */
  const ef_tensor **by_key; /* owned: the tensors in memory order (shared, layer, expert, role) */
} ef_table;

/* Builds the table; experts [expert_first, expert_first + expert_count) are held here (0,
 * ef_dims_held(dims) for all that there are). ef_table_free releases it. EF_MACHINE. Local. */
ef_status ef_table_build(const ef_dims *dims, size_t expert_first, size_t expert_count, ef_table *table);
void ef_table_free(ef_table *table);

/* Elements of the tensor of one role in a layer (-1: outside the layers), 0 if these dims have none; of one
 * expert for the roles of routed experts. Local. */
size_t ef_role_size(const ef_dims *dims, ef_role role, int layer);
bool ef_role_is_expert(ef_role role);

/* The tensor with this key, or NULL if the model has none such. layer and expert -1 where not applicable.
 * A binary search; callers on hot paths resolve once (model/weights.h). Local. */
const ef_tensor *ef_table_find(const ef_table *table, ef_role role, int layer, int expert);
/* Start of expert `expert`, held here, of the `index`-th MoE layer in the block. Pure. */
size_t ef_table_expert(const ef_table *table, size_t index, size_t expert);
const ef_tensor *ef_table_find_name(const ef_table *table, const char *name);
