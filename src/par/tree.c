#include "base/memory.h"
#include "par/tree_nodes.h"

#include <string.h>

static void give(ef_tree *tree, float *buffer) { tree->idle[tree->idle_count++] = buffer; }

static void give_back(void *ctx, float *buffer) { give(ctx, buffer); }

static ef_status widen(float ***list, size_t count) {
  float **wider = ef_realloc(*list, count, sizeof *wider);
  if (wider) *list = wider;
  return EF_CHECK(wider != NULL, EF_MACHINE, "out of memory: list of %zu buffers", count);
}

/* Places buffers until there are `wanted`. */
static ef_status grow(ef_tree *tree, size_t wanted) {
  EF_TRY(widen(&tree->owned, wanted));
  EF_TRY(widen(&tree->idle, wanted));
  while (tree->buffers < wanted) {
    float *buffer;
    EF_TRY(EF_NEW(buffer, tree->n));
    tree->owned[tree->buffers++] = buffer;
    give(tree, buffer);
  }
  return EF_OK;
}

ef_status ef_tree_create(size_t units, size_t n, size_t pending, ef_tree **tree) {
  *tree = NULL;
  EF_TRY(EF_CHECK(units > 0, EF_FAULT, "a tree sum over no units"));
  ef_tree *t = NULL;
  ef_status status = EF_NEW(t, 1);
  if (status != EF_OK) return status;
  *t = (ef_tree){.units = units, .n = n};
  t->open = (ef_node_set){.units = units, .n = n};
  EF_GO(ef_nodes_reserve(&t->open, pending + 1));
  EF_GO(grow(t, pending));
done:
  if (status != EF_OK) {
    ef_tree_free(t);
    return status;
  }
  *tree = t;
  return EF_OK;
}

void ef_tree_free(ef_tree *tree) {
  if (!tree) return;
  for (size_t i = 0; i < tree->buffers; i++) ef_free(tree->owned[i]);
  ef_free(tree->owned);
  ef_free(tree->idle);
  ef_free(tree->open.node);
  ef_free(tree->all.node);
  ef_free(tree->together.node);
  ef_free(tree->coming.node);
  ef_free(tree->starts);
  ef_free(tree->lists);
  ef_free(tree->segments);
  ef_free(tree->pairs);
  ef_free(tree->counts);
  ef_free(tree);
}

ef_status ef_tree_take(ef_tree *tree, float **buffer) {
  if (tree->idle_count == 0) EF_TRY(grow(tree, tree->buffers + 1));
  *buffer = tree->idle[--tree->idle_count];
  return EF_OK;
}

ef_status ef_tree_leaf(ef_tree *tree, float **leaf) {
  EF_TRY(ef_tree_take(tree, leaf));
  memset(*leaf, 0, tree->n * sizeof **leaf);
  return EF_OK;
}

ef_status ef_tree_add(ef_tree *tree, size_t unit, float *leaf) {
  EF_TRY(EF_CHECK(unit < tree->units, EF_FAULT, "leaf %zu of a tree of %zu", unit, tree->units));
  EF_TRY(EF_CHECK(!ef_nodes_cover(&tree->open, unit), EF_FAULT, "leaf %zu was added twice", unit));
  EF_TRY(ef_nodes_reserve(&tree->open, tree->open.count + 1));
  ef_nodes_insert(&tree->open, (ef_node){.index = unit, .data = leaf}, give_back, tree);
  return EF_OK;
}

void ef_tree_drop(ef_tree *tree, float *leaf) { give(tree, leaf); }

ef_status ef_tree_sum(ef_tree *tree, const float **sum) {
  bool whole = tree->open.count == 1 && ef_node_leaves(&tree->open.node[0], tree->units) == tree->units;
  EF_TRY(EF_CHECK(whole, EF_FAULT, "tree sum over %zu leaves, but some are missing", tree->units));
  *sum = tree->open.node[0].data;
  return EF_OK;
}

void ef_tree_reset(ef_tree *tree) {
  tree->open.count = 0;
  tree->idle_count = 0;
  for (size_t i = 0; i < tree->buffers; i++) give(tree, tree->owned[i]);
}

/* Each the widest that starts at `first` and fits, where one that reaches beyond the last leaf ends with it.
 */
size_t ef_tree_open_nodes(size_t units, size_t first, size_t end) {
  size_t count = 0;
  for (; first < end; count++) {
    size_t span = 1;
    while (span < units && first % (2 * span) == 0) {
      size_t wider = first + 2 * span < units ? first + 2 * span : units;
      if (wider > end) break;
      span *= 2;
    }
    first += span;
  }
  return count;
}

static double fold(size_t first, size_t span, size_t units, const double *value) {
  if (span == 1) return value[first];
  size_t half = span / 2;
  double left = fold(first, half, units, value);
  return first + half < units ? left + fold(first + half, half, units, value) : left;
}

double ef_tree_fold(size_t units, const double *value) {
  if (units == 0) return 0.0;
  size_t span = 1;
  while (span < units) span *= 2;
  return fold(0, span, units, value);
}
