/* Open nodes of the fixed binary tree of tree.h, kept as a set in which complete pairs are merged at once.
 * Private to par/: tree.c keeps the nodes of this rank, tree_all.c merges those of all ranks.
 */
#pragma once

#include "par/stages.h"
#include "par/tree.h"

/* Node (level, index) with its partial sum; `data` is NULL once the node has become part of another. */
typedef struct ef_node {
  size_t level, index;
  float *data;
} ef_node;

typedef struct ef_node_set {
  size_t units;
  size_t n;      /* floats of each node that are summed */
  size_t count;  /* open nodes */
  size_t room;   /* entries of `node` */
  ef_node *node; /* (room), owned; no order but behind ef_nodes_sort */
} ef_node_set;

/* Room for `room` open nodes; what is in the set stays. EF_MACHINE. Local. */
ef_status ef_nodes_reserve(ef_node_set *set, size_t room);

/* Puts a node in and merges as far as its siblings are there. Merging adds the right part to the left one's
 * data; the data that are no longer needed are handed to `release` (may be NULL). There must be room. Local.
 */
void ef_nodes_insert(ef_node_set *set, ef_node node, void (*release)(void *ctx, float *data), void *ctx);

/* By the first leaf: sets of the same leaves list the same nodes then. Local. */
void ef_nodes_sort(ef_node_set *set);

/* True if an open node covers this leaf. Local. */
bool ef_nodes_cover(const ef_node_set *set, size_t unit);

/* Leaves that a node covers. Local. */
size_t ef_node_leaves(const ef_node *node, size_t units);

/* What a tree is; tree_all.c has the collective half of it. */
struct ef_tree {
  size_t units, n;
  ef_node_set open; /* nodes of this rank */
  float **owned;    /* (buffers) all of them, so that none is lost */
  float **idle;     /* (buffers) those not in use, idle_count */
  size_t idle_count, buffers;
  ef_node_set all;      /* parts of the nodes merged so far in a sum over ranks */
  ef_node_set together; /* nodes of some ranks, without data */
  ef_node_set coming;   /* nodes that a stage brings, row by row, ... */
  size_t *starts;       /* (ranks+1) ... and where those of a row start */
  int64_t *lists;       /* (size*lists_room*2) level and index of every rank's open nodes */
  size_t lists_entries; /* numbers that `lists` holds */
  float *segments;      /* (segments_floats) parts received */
  size_t segments_floats;
  ef_pair *pairs;  /* (ranks) */
  int64_t *counts; /* (ranks) open nodes of each rank */
  int ranks;       /* for which these and the stages were made; 0: none yet */
  size_t stage_count;
  ef_stage stage[EF_STAGES_MOST];
  ef_segment segment[EF_STAGES_MOST + 1]; /* of this rank, before each stage and behind the last */
};

/* A buffer (n) that is not zeroed. EF_MACHINE. Local. */
ef_status ef_tree_take(ef_tree *tree, float **buffer);
