/* What one optimiser step (step/step.h) takes on ranks that fill some nodes evenly, from a network of two
 * levels: for plans of clusters that are not here. Pure.
 *
 * A message takes latency + bytes / bandwidth (Hockney, "The communication challenge for MPP: Intel Paragon
 * and Meiko CS-2", Parallel Computing 20, 1994), and the processor `overhead` on either side (the o of LogP:
 * Culler et al., PPoPP 1993); the ranks of a node share its way out. Messages of one exchange overlap but for
 * the overhead. Small collectives: recursive doubling, ceil(log2 N) rounds; an all-gather of much: a ring of
 * N-1 rounds (Thakur, Rabenseifner, Gropp, IJHPCA 19(1), 2005). What is sent and how often is read off the
 * code: step/step.c, step/exchange.c, par/tree_all.c and stages.h, par/swap_*.c.
 *
 * Left out: exchanges hidden behind blocks of own tokens (1/N of them), copies of memory, and lists of N*N
 * counts that every rank reads in each layer.
 */
#pragma once

#include "step/step.h"

typedef struct ef_interconnect {
  double latency, bandwidth;           /* between nodes: s, bytes/s of a node */
  double node_latency, node_bandwidth; /* between ranks of one node: s, bytes/s of a rank */
  double overhead;                     /* s that sending or receiving one message occupies a rank; may be 0 */
} ef_interconnect;

/* Seconds of computation on one rank. */
typedef struct ef_step_work {
  double micro; /* forward and backward of a micro-batch, all its experts included */
  double adam;  /* AdamW, of one float */
  double sum;   /* adding one float of a gradient to another; may be 0 */
  double skew;  /* rows that the busiest rank computes in a layer beyond those that even routing gives to a
                   rank with the most experts, as a share of these; 0 if even */
} ef_step_work;

/* Of the slowest rank. */
typedef struct ef_step_time {
  double seconds;   /* of the step: the sum of the next four */
  double compute;   /* micro-batches, sums of the experts' gradients, AdamW */
  double exchange;  /* routed rows, and the counts that announce them */
  double reduction; /* gradients of the shared tensors; norms and losses */
  double agreement; /* small reductions in which ranks agree that no one failed */
  double bytes;   /* that a rank hands to MPI, mean over ranks, if rows travel directly: see ef_step_bytes */
  ef_route route; /* of the routed rows: EF_PAIRWISE or EF_BY_NODE, the faster one */
} ef_step_time;

/* Rows that are computed on another rank than their token's, of all micro-batches and MoE layers of a step,
 * under even routing. */
double ef_step_far_rows(const ef_dims *dims, const ef_step_shape *shape, int ranks);

/* Bytes that a rank hands to MPI in a step, mean over ranks that fill `nodes` evenly, when that many rows are
 * far and travel directly (EF_PAIRWISE, EF_VECTOR). Exact for a step after the first one, which also tries
 * the routes. `table`: of dims, with any experts held. */
double ef_step_bytes(const ef_dims *dims, const ef_table *table, const ef_step_shape *shape, int ranks,
                     int nodes, double far_rows);

/* ranks >= nodes >= 1. */
ef_step_time ef_step_time_of(const ef_dims *dims, const ef_table *table, const ef_step_shape *shape,
                             int ranks, int nodes, const ef_interconnect *network, const ef_step_work *work);
