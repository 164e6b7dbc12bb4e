/* Sums over units in one fixed binary tree, so that a sum has the same bits on any number of ranks.
 *
 * Leaves are unit ids 0..units-1. The node of level j and index i covers the leaves [i*2^j, (i+1)*2^j) and is
 * left + right; a node without a right part is its left part. Leaves may come in any order; a node is made as
 * soon as both of its parts are there. MPI_SUM on floating-point numbers is never used for a result.
 */
#pragma once

#include "par/par.h"

typedef struct ef_tree ef_tree; /* opaque */

/* A sum of vectors of `n` floats over `units` leaves (at least one); buffers for `pending` open nodes at once
 * are placed now, more if they are needed. EF_MACHINE. Local. */
ef_status ef_tree_create(size_t units, size_t n, size_t pending, ef_tree **tree);
void ef_tree_free(ef_tree *tree);

/* A zeroed buffer (n) for the next leaf, owned by the tree; ef_tree_add gives it back as leaf `unit`.
 * EF_MACHINE when memory is short; EF_FAULT for a unit that is out of range or was added before. Local. */
ef_status ef_tree_leaf(ef_tree *tree, float **leaf);
ef_status ef_tree_add(ef_tree *tree, size_t unit, float *leaf);
/* Takes back a leaf that is not needed after all. Local. */
void ef_tree_drop(ef_tree *tree, float *leaf);

/* Local sum: all leaves were added here (else EF_FAULT); *sum (n) belongs to the tree until the next
 * ef_tree_reset. Local. */
ef_status ef_tree_sum(ef_tree *tree, const float **sum);
/* Sum over the leaves of all ranks (each leaf added on exactly one rank, else EF_FAULT everywhere); the whole
 * sum on every rank, as above. Reduce-scatter of the open nodes, then all-gather, both in the stages of
 * stages.h: O(log ranks) messages of a rank where each has one open node. Allocates nothing after the
 * first sum over leaves that are spread alike. Collective. */
ef_status ef_tree_sum_all(ef_tree *tree, ef_par *par, const float **sum);
/* Ready for the next sum over the same units; all leaves, those not added included, go back to the tree.
 * Local. */
void ef_tree_reset(ef_tree *tree);

/* Open nodes of a tree over `units` when the leaves [first, end) and no others were added. Pure. */
size_t ef_tree_open_nodes(size_t units, size_t first, size_t end);

/* The same tree over one double per unit: value (units) known here. Pure. */
double ef_tree_fold(size_t units, const double *value);
