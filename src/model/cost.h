/* What inference costs, layer by layer, for plans and for the edge market: FLOPs and bytes of one token, from
 * the table of tensors. A multiply-add is 2 FLOPs; norms, biases and activations are counted in bytes only.
 */
#pragma once

#include "model/table.h"

/* One layer, one token, float32. Of the routed experts the K active ones count. */
typedef struct ef_token_cost {
  double flops;           /* of all products with parameters */
  double attention_flops; /* per position of the context: scores and weighted sum, 4 H h */
  double weight_bytes;    /* parameters read for the token */
  double expert_bytes;    /* of those, routed experts: a batch of n tokens reads up to E/K times as many */
  double cache_bytes;     /* keys and values of one position, 2 G h numbers */
  double out_bytes;       /* D numbers leave the layer */
} ef_token_cost;

/* Local. */
ef_token_cost ef_layer_token_cost(const ef_dims *dims, const ef_table *table, size_t layer);

/* A head (final or of an early exit): its norm and the (V,D) output matrix. flops 2 D V. Local. */
ef_token_cost ef_head_token_cost(const ef_dims *dims, const ef_table *table);

/* Bytes of a layer's parameters that a batch of n tokens reads if it meets as many experts as it can. Local.
 */
double ef_batch_weight_bytes(const ef_dims *dims, const ef_token_cost *cost, double tokens);
