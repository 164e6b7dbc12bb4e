/* Tree sums over ranks, in the stages of stages.h: in each, the open nodes of a row of ranks travel by parts
 * of the segment to those who keep them, which merge them in the order of the tree. The sums then go back to
 * everyone, stage by stage.
 */
#include "base/memory.h"
#include "par/tags.h"
#include "par/tree_nodes.h"

#include <string.h>

/* Ranks of a node if all nodes have as many, one after the other; else 1. */
static int ranks_per_node(const ef_par *par) {
  int each = par->size % par->nodes.count == 0 ? par->size / par->nodes.count : 1;
  for (int r = 0; r < par->size; r++) {
    if (par->nodes.leader[r] != r - r % each) return 1;
  }
  return each;
}

static ef_status prepare(ef_tree *tree, const ef_par *par) {
  if (tree->ranks == par->size) return EF_OK;
  tree->ranks = par->size;
  tree->stage_count = ef_stages_make(par->size, ranks_per_node(par), tree->stage);
  tree->segment[0] = (ef_segment){0, tree->n};
  for (size_t s = 0; s < tree->stage_count; s++) {
    int row = ef_stage_row(tree->stage[s], par->rank);
    tree->segment[s + 1] = ef_stage_part(tree->stage[s], tree->segment[s], row);
  }
  EF_TRY(EF_NEW(tree->pairs, (size_t)par->size));
  EF_TRY(EF_NEW(tree->starts, (size_t)par->size + 1));
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

/* ---- down the stages: sums -------------------------------------------------------------------------- */

/* Lists the open nodes that `count` ranks from `first` on have when their leaves stand together. */
static void list_together(ef_tree *tree, size_t room, int first, int count) {
  ef_node_set *set = &tree->together;
  set->units = tree->units;
  set->count = 0;
  for (int r = first; r < first + count; r++) {
    for (size_t k = 0; k < (size_t)tree->counts[r]; k++) {
      ef_nodes_insert(set, listed(tree, room, r, k), NULL, NULL);
    }
  }
  ef_nodes_sort(set);
}

/* Lists what comes to this rank in a stage, row by row, as the senders have it. */
static void list_coming(ef_tree *tree, const ef_par *par, ef_stage stage, size_t room) {
  ef_node_set *coming = &tree->coming;
  coming->count = 0;
  for (int row = 0; row < stage.radix; row++) {
    int member = ef_stage_member(stage, par->rank, row);
    tree->starts[row] = coming->count;
    if (member == par->rank) continue;
    list_together(tree, room, ef_stage_first(stage, member), stage.stride);
    for (size_t k = 0; k < tree->together.count; k++) {
      coming->node[coming->count++] = tree->together.node[k];
    }
  }
  tree->starts[stage.radix] = coming->count;
}

/* Buffers for all nodes that come. */
static ef_status prepare_merge(ef_tree *tree, const ef_par *par, size_t room) {
  size_t nodes = 0, floats = 1; /* never NULL, even for no floats */
  for (int r = 0; r < par->size; r++) nodes += (size_t)tree->counts[r];
  EF_TRY(ef_nodes_reserve(&tree->all, nodes));
  EF_TRY(ef_nodes_reserve(&tree->together, nodes));
  EF_TRY(ef_nodes_reserve(&tree->coming, nodes));
  for (size_t s = 0; s < tree->stage_count; s++) {
    list_coming(tree, par, tree->stage[s], room);
    floats += tree->coming.count * tree->segment[s + 1].count;
  }
  return reserve_segments(tree, floats);
}

static ef_status swap(ef_tree *tree, ef_par *par) {
  EF_TRY(ef_swap_begin(par, EF_PAIRWISE, EF_TAG_TREE, tree->pairs));
  return ef_swap_end(par, EF_PAIRWISE, EF_TAG_TREE, tree->pairs);
}

/* Round k of stage s: the k-th node of every rank goes out by parts. */
static ef_status scatter_round(ef_tree *tree, ef_par *par, size_t s, size_t k) {
  ef_stage stage = tree->stage[s];
  ef_segment before = tree->segment[s], mine = tree->segment[s + 1];
  bool have = k < tree->all.count;
  for (int row = 0; row < stage.radix; row++) {
    int member = ef_stage_member(stage, par->rank, row);
    if (member == par->rank) continue;
    ef_segment theirs = ef_stage_part(stage, before, row);
    size_t at = tree->starts[row] + k;
    bool comes = at < tree->starts[row + 1];
    tree->pairs[member] =
        (ef_pair){.send = have ? tree->all.node[k].data + (theirs.first - before.first) : NULL,
                  .send_bytes = have ? theirs.count * sizeof(float) : 0,
                  .recv = comes ? tree->coming.node[at].data : NULL,
                  .recv_bytes = comes ? mine.count * sizeof(float) : 0};
  }
  return swap(tree, par);
}

static size_t most_rounds(const ef_tree *tree, int radix) {
  size_t most = tree->all.count;
  for (int row = 0; row < radix; row++) {
    size_t count = tree->starts[row + 1] - tree->starts[row];
    if (count > most) most = count;
  }
  return most;
}

/* Stage s: parts of the open nodes travel and are merged, in place where this rank had them and from *at on.
 */
static ef_status sum_stage(ef_tree *tree, ef_par *par, size_t s, size_t room, float **at) {
  size_t shift = tree->segment[s + 1].first - tree->segment[s].first, count = tree->segment[s + 1].count;
  list_coming(tree, par, tree->stage[s], room);
  for (size_t i = 0; i < tree->coming.count; i++, *at += count) tree->coming.node[i].data = *at;
  ef_nodes_sort(&tree->all); /* the order in which the receivers list them */
  memset(tree->pairs, 0, (size_t)par->size * sizeof *tree->pairs);
  size_t rounds = most_rounds(tree, tree->stage[s].radix);
  for (size_t k = 0; k < rounds; k++) EF_TRY(scatter_round(tree, par, s, k));
  for (size_t i = 0; i < tree->all.count; i++) tree->all.node[i].data += shift;
  tree->all.n = count;
  for (size_t i = 0; i < tree->coming.count; i++) {
    ef_nodes_insert(&tree->all, tree->coming.node[i], NULL, NULL);
  }
  return EF_OK;
}

static ef_status sum_stages(ef_tree *tree, ef_par *par, size_t room) {
  float *at = tree->segments;
  tree->all.units = tree->units;
  tree->all.count = tree->open.count;
  memcpy(tree->all.node, tree->open.node, tree->open.count * sizeof *tree->all.node);
  for (size_t s = 0; s < tree->stage_count; s++) EF_TRY(sum_stage(tree, par, s, room, &at));
  return EF_OK;
}

/* ---- up the stages: the sums of all segments go to everyone ----------------------------------------- */

/* The whole sum will take the place of the first open node; a rank without nodes takes a fresh buffer. The
 * segment of this rank is put there. */
static ef_status settle(ef_tree *tree) {
  EF_TRY(EF_CHECK(tree->all.count == 1, EF_FAULT, "tree sum: leaves overlap"));
  if (tree->open.count == 0) {
    EF_TRY(ef_nodes_reserve(&tree->open, 1));
    EF_TRY(ef_tree_take(tree, &tree->open.node[0].data));
    tree->open.count = 1;
  }
  ef_segment mine = tree->segment[tree->stage_count];
  float *sum = tree->open.node[0].data + mine.first;
  if (tree->all.node[0].data != sum) memcpy(sum, tree->all.node[0].data, mine.count * sizeof *sum);
  return EF_OK;
}

static ef_status gather_stage(ef_tree *tree, ef_par *par, size_t s, float *out) {
  ef_stage stage = tree->stage[s];
  ef_segment mine = tree->segment[s + 1];
  memset(tree->pairs, 0, (size_t)par->size * sizeof *tree->pairs);
  for (int row = 0; row < stage.radix; row++) {
    int member = ef_stage_member(stage, par->rank, row);
    if (member == par->rank) continue;
    ef_segment theirs = ef_stage_part(stage, tree->segment[s], row);
    tree->pairs[member] = (ef_pair){.send = out + mine.first,
                                    .send_bytes = mine.count * sizeof(float),
                                    .recv = out + theirs.first,
                                    .recv_bytes = theirs.count * sizeof(float)};
  }
  return swap(tree, par);
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
  EF_TRY(ef_agree(par, prepare_merge(tree, par, room)));
  EF_TRY(sum_stages(tree, par, room));
  EF_TRY(ef_agree(par, settle(tree)));
  float *out = tree->open.node[0].data;
  for (size_t s = tree->stage_count; s-- > 0;) EF_TRY(gather_stage(tree, par, s, out));
  become_whole(tree);
  *sum = out;
  return EF_OK;
}
