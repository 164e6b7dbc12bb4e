#include "par/tree_nodes.h"

#include "base/memory.h"

ef_status ef_nodes_reserve(ef_node_set *set, size_t room) {
  if (room <= set->room) return EF_OK;
  ef_node *grown = ef_realloc(set->node, room, sizeof *grown);
  EF_TRY(EF_CHECK(grown != NULL, EF_MACHINE, "out of memory: %zu open nodes", room));
  set->node = grown;
  set->room = room;
  return EF_OK;
}

static size_t first_leaf(const ef_node *node) { return node->index << node->level; }

size_t ef_node_leaves(const ef_node *node, size_t units) {
  size_t first = first_leaf(node), span = (size_t)1 << node->level;
  return units - first < span ? units - first : span;
}

/* Entry of node (level, index), or count. */
static size_t find(const ef_node_set *set, size_t level, size_t index) {
  size_t i = 0;
  while (i < set->count && (set->node[i].level != level || set->node[i].index != index)) i++;
  return i;
}

/* Climbs to the parent as long as the other part is empty. */
static void climb(const ef_node_set *set, ef_node *node) {
  while (((size_t)1 << node->level) < set->units && node->index % 2 == 0 &&
         (node->index + 1) << node->level >= set->units) {
    node->level++;
    node->index /= 2;
  }
}

static void add(size_t n, const float *restrict right, float *restrict left) {
  for (size_t i = 0; i < n; i++) left[i] += right[i];
}

void ef_nodes_insert(ef_node_set *set, ef_node node, void (*release)(void *ctx, float *data), void *ctx) {
  climb(set, &node);
  size_t at = find(set, node.level, node.index ^ 1);
  while (at < set->count) {
    ef_node other = set->node[at];
    set->node[at] = set->node[--set->count];
    bool is_left = node.index % 2 == 0;
    ef_node left = is_left ? node : other, right = is_left ? other : node;
    add(set->n, right.data, left.data);
    if (release) release(ctx, right.data);
    node = (ef_node){.level = left.level + 1, .index = left.index / 2, .data = left.data};
    climb(set, &node);
    at = find(set, node.level, node.index ^ 1);
  }
  set->node[set->count++] = node;
}

/* By insertion: leaves come in order but for few. */
void ef_nodes_sort(ef_node_set *set) {
  for (size_t i = 1; i < set->count; i++) {
    ef_node node = set->node[i];
    size_t at = i;
    for (; at > 0 && first_leaf(&set->node[at - 1]) > first_leaf(&node); at--) {
      set->node[at] = set->node[at - 1];
    }
    set->node[at] = node;
  }
}

bool ef_nodes_cover(const ef_node_set *set, size_t unit) {
  for (size_t i = 0; i < set->count; i++) {
    if (unit >> set->node[i].level == set->node[i].index) return true;
  }
  return false;
}
