/* The inside of a pass: which arrays a batch needs. Read by the files of the transformer only.
 *
 * R = B*T rows, W = (H+2G)h columns of q|k|v. In TRAIN every layer has its own arrays; otherwise the layers
 * share one set, x = mid = next is one array that the layers change in place (or, with residuals kept, x is
 * kept and mid = next). Scratch is shared by the layers always.
 */
#pragma once

#include "model/model.h"
#include "model/weights.h"

/* An MoE block; `experts` and `position` as in kernels.h, N = R*K. */
typedef struct ef_moe_state {
  float *logits, *probs;                /* (R,E) */
  float *weights;                       /* (R,K) */
  int32_t *experts, *source, *position; /* (R,K), (N), (N) */
  float *ys;                            /* (N,D) outputs of the experts, sorted */
  float *gu, *act;                      /* (N,2Fe), (N,Fe); only if the experts are computed here */
  float *shared_gu, *shared_act, *shared_y, *gate; /* (R,2Fs), (R,Fs), (R,D), (R); the last two if gated */
} ef_moe_state;

typedef struct ef_layer_state {
  float *x, *mid, *next;      /* (R,D) input, after attention, output (= input of the next layer) */
  float *mean1, *rstd1, *xn1; /* (R), (R), (R,D) */
  float *qkv, *att, *lse;     /* (R,W), (R,D), (B,H,T) */
  float *mean2, *rstd2, *xn2; /* (R), (R), (R,D) */
  float *gu, *act;            /* (R,2F) or, GELU, (R,F) before the activation; (R,F) */
  ef_moe_state moe;
} ef_layer_state;

typedef struct ef_scratch {
  float *attention; /* workspace of the kernel */
  float *xs;        /* (N,D) rows sorted by expert */
  /* TRAIN only: */
  float *dx, *dxn, *datt;            /* (R,D) */
  float *dqkv;                       /* (R,W) */
  float *dgu, *dact;                 /* of the widest FFN: (R,2F), (R,F) */
  float *dys, *dxs;                  /* (N,D) */
  float *dweights, *dlogits, *dgate; /* (R,K), (R,E), (R) */
  float *dshared;                    /* (R,D) */
} ef_scratch;

/* Auxiliary loss (aux.c): groups of rows that share one coefficient vector. */
typedef struct ef_aux_state {
  size_t groups, slots;  /* groups of one layer; layers with groups of their own (1 if pooled) */
  double *count, *probs; /* (slots,groups,E) sums of the last forward */
  float *coef;           /* (groups,E) */
  double value;          /* of the last forward */
} ef_aux_state;

/* Blocks of rows of the head (loss.c). */
typedef struct ef_head_state {
  size_t rows;               /* of a block */
  size_t top_k;              /* largest */
  float *logits, *dlogits;   /* (rows,V); dlogits in TRAIN only */
  float *teacher;            /* (rows,V) */
  float *losses, *top_value; /* (rows), (rows,top_k) */
  int32_t *top_index;        /* (rows,top_k) */
  uint8_t *hits;             /* (rows) */
} ef_head_state;

/* The early exit under way (exits.c); nothing for models without exits. */
typedef struct ef_exit_state {
  float *hidden;      /* (R,D) after the exit's norm */
  float *mean, *rstd; /* (R) */
  float *dhidden;     /* (R,D), TRAIN only */
} ef_exit_state;

/* The experts computed here (experts.c). */
typedef struct ef_local_experts {
  ef_pass *pass;
  const ef_model *model;
  float *grads;
} ef_local_experts;

struct ef_pass {
  ef_dims dims;
  const ef_kernels *k;
  ef_pass_kind kind;
  bool keep_residuals;
  size_t max_B, max_T;
  size_t B, T;                               /* of the last forward */
  size_t cached;                             /* positions in the cache */
  ef_weights at;                             /* owned */
  ef_arena arena;                            /* owned */
  ef_layer_state *layers;                    /* (L), in the arena, as all that follows */
  int32_t *ids, *positions;                  /* (R) */
  float *cos, *sin;                          /* (max_T,h/2) */
  float *slopes;                             /* (H) */
  float *embedded, *embed_mean, *embed_rstd; /* (R,D), (R), (R): input of the norm of the embedding */
  float *final, *final_mean, *final_rstd;    /* (R,D), (R), (R) */
  float **cache;                             /* (L) of (max_B,max_T,2*G*h): k | v */
  size_t *load;                              /* (MoE layers,E) tokens of each expert */
  size_t *moe_index;                         /* (L) rank of a layer among the MoE layers */
  size_t last_moe;                           /* layer, SIZE_MAX: none run yet */
  ef_scratch scratch;
  ef_aux_state aux;
  ef_head_state head;
  ef_exit_state exit;
  ef_experts experts;
  ef_local_experts local;
  bool experts_here;
};

/* Parameters and gradients of one call. */
typedef struct ef_blocks {
  const float *params;
  float *grads; /* NULL in forward */
} ef_blocks;

/* One layer's parts (attention_block.c, ffn.c, moe.c). Forward: x -> mid -> next. Backward: scratch.dx holds
 * the gradient of the part's output on entry and of its input on return. */
void ef_embed_forward(ef_pass *s, const float *params);
void ef_embed_backward(ef_pass *s, const ef_blocks *blocks);
void ef_attention_forward(ef_pass *s, const float *params, size_t layer);
void ef_attention_backward(ef_pass *s, const ef_blocks *blocks, size_t layer);
void ef_ffn_forward(ef_pass *s, const float *params, size_t layer);
void ef_ffn_backward(ef_pass *s, const ef_blocks *blocks, size_t layer);
ef_status ef_moe_forward(ef_pass *s, const float *params, size_t layer);
ef_status ef_moe_backward(ef_pass *s, const ef_blocks *blocks, size_t layer, float aux_scale);

/* The experts computed here, as an implementation of ef_experts; ctx is an ef_local_experts. */
ef_experts ef_experts_local(ef_local_experts *ctx);

/* Angles, slopes and groups that depend on the dims only (positions.c, aux.c). */
void ef_rope_tables(const ef_dims *dims, size_t T, float *cos, float *sin);
void ef_alibi_slopes(size_t H, float *slopes);

/* Auxiliary loss: forget, add the router of one layer, finish; and, in backward, the gradient with respect to
 * each probability of a layer, (groups,E), with the rows of a group; NULL if there is no such loss. */
void ef_aux_begin(ef_pass *s);
void ef_aux_add(ef_pass *s, size_t layer);
void ef_aux_finish(ef_pass *s);
const float *ef_aux_gradient(ef_pass *s, size_t layer, float scale, size_t *group_rows);

/* y = x unless they are one array: the residual stream goes on in place or in a new one. */
void ef_carry(const ef_pass *s, const float *x, float *y);
