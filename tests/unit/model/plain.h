/* An independent transformer in double precision: plain loops over the textbook formulas, an explicit (T,T)
 * softmax, tensors found by their Hugging Face names. Slow; every family and option of the program is
 * measured against it.
 */
#pragma once

#include "model/model.h"

typedef struct plain {
  const ef_dims *d;
  const ef_table *table;
  const double *params; /* the block of the model, widened */
  const int *forbidden; /* (L,E): 1 for experts that no token may choose; NULL: none */
  size_t B, T;
  const int32_t *ids;
  double *hidden;    /* (L+1,B*T,D): inputs of the layers, and before the final norm */
  double *ffn_input; /* (L,B*T,D) normed inputs of the FFNs */
  double *final;     /* (B*T,D) */
  double *logits;    /* (B*T,V) */
  double *probs;     /* (L,B*T,E) of the routers, and ... */
  int *chosen;       /* ... (L,B*T,E): 1 if among the K */
} plain;

/* The model on ids (B,T); plain_free releases the results. */
void plain_forward(plain *p, const ef_dims *d, const ef_table *table, const double *params,
                   const int32_t *ids, size_t B, size_t T);
/* The same with experts forbidden: (L,E), or NULL. */
void plain_forward_without(plain *p, const ef_dims *d, const ef_table *table, const double *params,
                           const int *forbidden, const int32_t *ids, size_t B, size_t T);
void plain_free(plain *p);

/* Value of the auxiliary loss: raw if pooled, alpha included otherwise. */
double plain_aux(const plain *p);

/* Sum of -log softmax(logits)[target] over rows whose target is not EF_IGNORE. */
double plain_cross_entropy(const plain *p, const int32_t *targets);

/* The same of the early exit behind the first `after` layers: its own norm, the matrix of the last head. */
double plain_exit_cross_entropy(const plain *p, size_t after, const int32_t *targets);

/* The parameters of a model in double; freed with free(). */
double *plain_params(const ef_model *model);
