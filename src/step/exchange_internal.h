/* Inside the exchange: who sends how many rows to whom in one layer, and the buffers for them. Read by
 * exchange*.c only.
 *
 * Rows from the micro-batches of other ranks stand rank by rank, inside by expert, in buffers of `others`
 * rows. The inner activations of all rows computed here follow the same order, own rows last.
 */
#pragma once

#include "step/exchange.h"

/* One buffer and its size on every rank: all ranks know when one of them must grow. */
typedef struct ef_room {
  float *block;   /* owned */
  size_t *floats; /* (size) */
} ef_room;

/* A layer between forward and backward. Layers share one of these when nothing is trained. */
typedef struct ef_kept {
  int64_t *count; /* (size,E) rows that each rank's micro-batch routed to each expert */
  ef_room room;   /* train: xs (others,D), gu (rows,2Fe), act (rows,Fe); else xs alone */
} ef_kept;

/* Rows [first, first+rows) of a buffer. */
typedef struct ef_range {
  size_t first, rows;
} ef_range;

/* The layer under way. */
typedef struct ef_flow {
  ef_range *from; /* (size) rows of each rank's micro-batch computed here: place among those computed here */
  ef_range *to;   /* (size) rows of this rank's micro-batch computed by each rank: place in the sorted rows */
  size_t others, rows;  /* computed here for other ranks, and in all */
  size_t widest;        /* largest (micro-batch, expert) block computed here */
  const int64_t *count; /* (size,E) */
} ef_flow;

struct ef_exchange {
  ef_par *par;
  const ef_kernels *k;
  const ef_model *model;
  bool train;
  size_t max_rows;
  size_t *moe_index; /* (L) rank of a layer among the MoE layers */
  ef_kept *kept;     /* (kept_count) */
  size_t kept_count;
  ef_room scratch; /* results (others,D); train: gradients (others,D) too; dgu, dact of the widest block */
  ef_flow flow;
  int64_t *units; /* (size) micro-batch of each rank in this slot, -1: none */
  float **leaf;   /* (size) gradients of the experts held here from each rank's micro-batch, or NULL */
  ef_tree *tree;
  ef_pair *pairs;              /* (size) */
  ef_route route;              /* of the rows */
  bool routed;                 /* it was chosen */
  bool staged;                 /* room for two levels is kept: ... */
  size_t rank_rows, node_rows; /* ... of so many rows */
  int64_t *my_count;           /* (E) */
  size_t *zeros;               /* (E) */
};

/* Reads the counts of a layer: who sends what to whom. Local. */
void ef_flow_read(ef_exchange *x, const int64_t *count);

/* Makes the buffers of this layer large enough on every rank; agrees if any of them had to grow. Collective.
 */
ef_status ef_rooms_grow(ef_exchange *x, ef_kept *kept);

/* The most rows that a rank sends or receives, and that the ranks of a node do in both directions together.
 */
void ef_staging_rows(const ef_exchange *x, size_t *rank, size_t *node);

/* True if the layer under way is to have room for two levels: while the ways are tried, where nodes are
 * several and a leader can hold what it would gather; later if two levels were chosen. The same on all ranks.
 * Local. */
bool ef_route_stages(const ef_exchange *x);

/* Tries the ways of the all-to-all on the rows `send` of this layer, to `recv`, and keeps the fastest for all
 * that follow: of each the least of some times on the slowest rank, the same on all. Collective. */
ef_status ef_route_choose(ef_exchange *x, int tag, const float *send, float *recv);

/* Starts and ends the all-to-all of rows of D floats: rows `out` of `send` go to, and rows `in` of `recv`
 * come from, each rank. Collective. */
ef_status ef_rows_begin(ef_exchange *x, int tag, const ef_range *out, const float *send, const ef_range *in,
                        float *recv);
ef_status ef_rows_end(ef_exchange *x, int tag);

/* Allocates and frees all lists. Local. */
ef_status ef_exchange_lists(ef_exchange *x);
void ef_exchange_release(ef_exchange *x);
