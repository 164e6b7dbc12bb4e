/* Tree sums over ranks. Every rank owns one segment of the vector; the open nodes of all ranks travel segment
 * by segment to its owner, which merges them in the order of the tree; the sums then go to everyone.
 */
#include "base/memory.h"
#include "par/tags.h"
#include "par/tree_nodes.h"
#include "par/units.h"

#include <string.h>

/* The segment of a rank. */
typedef struct segment {
  size_t first, count;
} segment;

static segment segment_of(const ef_tree *tree, const ef_par *par, int rank) {
  size_t first = ef_block_first(tree->n, par->size, rank);
  return (segment){first, ef_block_first(tree->n, par->size, rank + 1) - first};
}

static ef_status prepare(ef_tree *tree, const ef_par *par) {
  if (tree->ranks == par->size) return EF_OK;
  tree->ranks = par->size;
  EF_TRY(EF_NEW(tree->pairs, (size_t)par->size));
  return EF_NEW(tree->counts, (size_t)par->size);
}

/* Grows a list whose contents need not stay. */
static ef_status reserve_lists(ef_tree *tree, size_t entries) {
  if (entries <= tree->lists_entries) return EF_OK;
  ef_free(tree->lists);
  tree->lists_entries = 0;
  EF_TRY(EF_NEW(tree->lists, entries));
  tree->lists_entries = entries;
  return EF_OK;
}

static ef_status reserve_segments(ef_tree *tree, size_t floats) {
  if (floats <= tree->segments_floats) return EF_OK;
  ef_free(tree->segments);
  tree->segments_floats = 0;
  EF_TRY(EF_NEW(tree->segments, floats));
  tree->segments_floats = floats;
  return EF_OK;
}

static size_t most_nodes(const ef_tree *tree, int ranks) {
  int64_t most = 0;
  for (int r = 0; r < ranks; r++) {
    if (tree->counts[r] > most) most = tree->counts[r];
  }
  return (size_t)most;
}

/* Open node `k` of `rank`, as its owner listed it. */
static ef_node listed(const ef_tree *tree, size_t room, int rank, size_t k) {
  const int64_t *entry = tree->lists + 2 * ((size_t)rank * room + k);
  return (ef_node){.level = (size_t)entry[0], .index = (size_t)entry[1]};
}

/* Tells everyone the open nodes of every rank: the lists have room for *room nodes a rank. */
static ef_status share_lists(ef_tree *tree, ef_par *par, size_t *room) {
  int64_t count = (int64_t)tree->open.count;
  EF_TRY(ef_agree(par, prepare(tree, par)));
  EF_TRY(ef_allgather_i64(par, &count, 1, tree->counts));
  *room = most_nodes(tree, par->size);
  size_t width = 2 * *room;
  EF_TRY(ef_agree(par, reserve_lists(tree, width * (size_t)(par->size + 1))));
  int64_t *mine = tree->lists + width * (size_t)par->size; /* a place behind those of all ranks */
  for (size_t k = 0; k < tree->open.count; k++) {
    mine[2 * k] = (int64_t)tree->open.node[k].level;
    mine[2 * k + 1] = (int64_t)tree->open.node[k].index;
  }
  return ef_allgather_i64(par, mine, width, tree->lists);
}

/* Every leaf must be there once. Equal lists give equal verdicts on all ranks. */
static ef_status check_leaves(const ef_tree *tree, const ef_par *par, size_t room) {
  size_t leaves = 0;
  for (int r = 0; r < par->size; r++) {
    for (size_t k = 0; k < (size_t)tree->counts[r]; k++) {
      ef_node node = listed(tree, room, r, k);
      leaves += ef_node_leaves(&node, tree->units);
    }
  }
  return EF_CHECK(leaves == tree->units, EF_FAULT, "tree sum: %zu leaves on all ranks where %zu are due",
                  leaves, tree->units);
}

/* Buffers for the segments of all nodes. */
static ef_status prepare_merge(ef_tree *tree, const ef_par *par) {
  size_t nodes = 0, count = segment_of(tree, par, par->rank).count;
  for (int r = 0; r < par->size; r++) nodes += (size_t)tree->counts[r];
  EF_TRY(ef_nodes_reserve(&tree->all, nodes));
  return reserve_segments(tree, (nodes - tree->open.count) * count + 1); /* never NULL, even for no floats */
}

/* Round k: the k-th node of every rank goes out by segments. Received segments stand rank by rank in `at`. */
static ef_status scatter_round(ef_tree *tree, ef_par *par, size_t k, size_t room, float **at) {
  bool have = k < tree->open.count;
  const float *data = have ? tree->open.node[k].data : NULL;
  segment mine = segment_of(tree, par, par->rank);
  for (int r = 0; r < par->size; r++) {
    segment theirs = segment_of(tree, par, r);
    bool comes = r != par->rank && k < (size_t)tree->counts[r];
    ef_node node = listed(tree, room, r, k);
    node.data = *at;
    tree->pairs[r] = (ef_pair){.send = have ? data + theirs.first : NULL,
                               .send_bytes = have ? theirs.count * sizeof(float) : 0,
                               .recv = *at,
                               .recv_bytes = comes ? mine.count * sizeof(float) : 0};
    if (!comes) continue;
    tree->all.node[tree->all.count++] = node;
    *at += mine.count;
  }
  EF_TRY(ef_swap_begin(par, EF_PAIRWISE, EF_TAG_TREE, tree->pairs));
  return ef_swap_end(par, EF_PAIRWISE, EF_TAG_TREE, tree->pairs);
}

/* The whole sum takes the place of the first open node; a rank without nodes takes a fresh buffer. */
static ef_status settle(ef_tree *tree) {
  if (tree->open.count > 0) return EF_OK;
  EF_TRY(ef_nodes_reserve(&tree->open, 1));
  EF_TRY(ef_tree_take(tree, &tree->open.node[0].data));
  tree->open.count = 1;
  return EF_OK;
}

/* Merges the segments, in place, those of this rank's nodes inside its own buffers, and puts the sum where
 * the whole sum will stand. */
static ef_status merge(ef_tree *tree, const ef_par *par) {
  size_t arrived = tree->all.count;
  segment mine = segment_of(tree, par, par->rank);
  tree->all.count = 0; /* the list is rewritten in place: never more nodes than were read before */
  for (size_t i = 0; i < arrived; i++) ef_nodes_insert(&tree->all, tree->all.node[i], NULL, NULL);
  for (size_t k = 0; k < tree->open.count; k++) {
    ef_node node = tree->open.node[k];
    node.data += mine.first;
    ef_nodes_insert(&tree->all, node, NULL, NULL);
  }
  EF_TRY(EF_CHECK(tree->all.count == 1, EF_FAULT, "tree sum: leaves overlap"));
  EF_TRY(settle(tree));
  float *sum = tree->open.node[0].data + mine.first;
  if (tree->all.node[0].data != sum) memcpy(sum, tree->all.node[0].data, mine.count * sizeof *sum);
  return EF_OK;
}

static ef_status gather_segments(ef_tree *tree, ef_par *par, float *out) {
  segment mine = segment_of(tree, par, par->rank);
  for (int r = 0; r < par->size; r++) {
    segment theirs = segment_of(tree, par, r);
    tree->pairs[r] = (ef_pair){.send = out + mine.first,
                               .send_bytes = mine.count * sizeof(float),
                               .recv = out + theirs.first,
                               .recv_bytes = theirs.count * sizeof(float)};
  }
  EF_TRY(ef_swap_begin(par, EF_PAIRWISE, EF_TAG_TREE, tree->pairs));
  return ef_swap_end(par, EF_PAIRWISE, EF_TAG_TREE, tree->pairs);
}

/* The tree is then one whole node, as after a local sum. */
static void become_whole(ef_tree *tree) {
  while (tree->open.count > 1) ef_tree_drop(tree, tree->open.node[--tree->open.count].data);
  ef_node *root = &tree->open.node[0];
  root->level = root->index = 0;
  while (((size_t)1 << root->level) < tree->units) root->level++;
}

ef_status ef_tree_sum_all(ef_tree *tree, ef_par *par, const float **sum) {
  if (par->size == 1) return ef_tree_sum(tree, sum);
  size_t room = 0;
  EF_TRY(share_lists(tree, par, &room));
  EF_TRY(check_leaves(tree, par, room));
  tree->all.units = tree->units;
  tree->all.n = segment_of(tree, par, par->rank).count;
  tree->all.count = 0;
  EF_TRY(ef_agree(par, prepare_merge(tree, par)));
  float *at = tree->segments;
  for (size_t k = 0; k < room; k++) EF_TRY(scatter_round(tree, par, k, room, &at));
  EF_TRY(ef_agree(par, merge(tree, par)));
  float *out = tree->open.node[0].data;
  EF_TRY(gather_segments(tree, par, out));
  become_whole(tree);
  *sum = out;
  return EF_OK;
}
