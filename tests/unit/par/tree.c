#include "par/tree.h"
#include "base/memory.h"
#include <criterion/criterion.h>
#include <math.h>

enum { N = 5, MOST = 20 };

/* The sum of [first, first+span) by the definition of the tree, element by element. */
static float defined(size_t first, size_t span, size_t units, const float *leaf, size_t stride) {
  if (span == 1) return leaf[first * stride];
  float left = defined(first, span / 2, units, leaf, stride);
  size_t middle = first + span / 2;
  return middle < units ? left + defined(middle, span / 2, units, leaf, stride) : left;
}

static float value_of(size_t unit, size_t i) {
  return sinf((float)(unit * 37 + i * 11 + 1)) * powf(10.0f, (float)(unit % 7));
}

static void check_order(size_t units, size_t step, size_t start) {
  float leaves[MOST * N];
  ef_tree *tree;
  cr_assert_eq(ef_tree_create(units, N, 1, &tree), EF_OK);
  for (size_t k = 0; k < units; k++) {
    size_t unit = (start + k * step) % units;
    float *leaf;
    cr_assert_eq(ef_tree_leaf(tree, &leaf), EF_OK);
    for (size_t i = 0; i < N; i++) {
      cr_assert_eq(leaf[i], 0.0f);
      leaves[unit * N + i] = leaf[i] = value_of(unit, i);
    }
    cr_assert_eq(ef_tree_add(tree, unit, leaf), EF_OK);
  }
  const float *sum;
  cr_assert_eq(ef_tree_sum(tree, &sum), EF_OK);
  for (size_t i = 0; i < N; i++)
    cr_assert_eq(sum[i], defined(0, 32, units, leaves + i, N), "%zu units", units);
  ef_tree_free(tree);
}

Test(tree, any_order_of_leaves_gives_the_defined_sum) {
  size_t before = ef_memory_blocks();
  for (size_t units = 1; units <= MOST; units++) {
    for (size_t step = 1; step <= units; step++) {
      size_t a = step, b = units; /* only steps without a common divisor visit every leaf */
      while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
      }
      if (a == 1) check_order(units, step, step % units);
    }
  }
  cr_assert_eq(ef_memory_blocks(), before);
}

/* Nodes of a range by the definition: whole ones where all leaves are in it, else those of both halves. */
static size_t nodes_in(size_t units, size_t first, size_t span, size_t from, size_t to) {
  size_t end = first + span < units ? first + span : units;
  if (first >= units || end <= from || to <= first) return 0;
  if (from <= first && end <= to) return 1;
  return nodes_in(units, first, span / 2, from, to) + nodes_in(units, first + span / 2, span / 2, from, to);
}

Test(tree, open_nodes_of_a_range_are_the_largest_that_fit) {
  for (size_t units = 1; units <= MOST; units++) {
    for (size_t first = 0; first <= units; first++) {
      for (size_t end = first; end <= units; end++) {
        size_t expected = first < end ? nodes_in(units, 0, 32, first, end) : 0;
        cr_assert_eq(ef_tree_open_nodes(units, first, end), expected, "%zu to %zu of %zu", first, end, units);
      }
    }
  }
}

Test(tree, fold_is_the_same_tree) {
  float leaf[MOST];
  double value[MOST];
  for (size_t units = 1; units <= MOST; units++) {
    for (size_t u = 0; u < units; u++)
      value[u] = leaf[u] = (float)(1 << (u % 10)); /* exact in both precisions */
    cr_assert_eq(ef_tree_fold(units, value), (double)defined(0, 32, units, leaf, 1));
  }
  const double three[] = {1e16, 1.0, 1.0};
  cr_assert_eq(ef_tree_fold(3, three), (1e16 + 1.0) + 1.0);
  const double four[] = {1e16, 1.0, 1.0, 1.0};
  cr_assert_eq(ef_tree_fold(4, four), (1e16 + 1.0) + 2.0);
  cr_assert_eq(ef_tree_fold(0, NULL), 0.0);
}

Test(tree, wrong_leaves_are_refused) {
  ef_tree *tree;
  float *leaf;
  const float *sum;
  cr_assert_eq(ef_tree_create(3, N, 0, &tree), EF_OK);
  cr_assert_eq(ef_tree_leaf(tree, &leaf), EF_OK);
  cr_assert_eq(ef_tree_add(tree, 3, leaf), EF_FAULT);
  cr_assert_eq(ef_tree_add(tree, 2, leaf), EF_OK);
  cr_assert_eq(ef_tree_sum(tree, &sum), EF_FAULT);
  cr_assert_eq(ef_tree_leaf(tree, &leaf), EF_OK);
  cr_assert_eq(ef_tree_add(tree, 2, leaf), EF_FAULT);
  ef_tree_drop(tree, leaf);
  ef_tree_free(tree);
  cr_assert_eq(ef_tree_create(0, N, 0, &tree), EF_FAULT);
}

Test(tree, a_reset_tree_allocates_nothing) {
  ef_tree *tree;
  cr_assert_eq(ef_tree_create(6, N, 3, &tree), EF_OK);
  size_t blocks = 0;
  for (int round = 0; round < 3; round++) {
    for (size_t unit = 0; unit < 6; unit++) {
      float *leaf;
      cr_assert_eq(ef_tree_leaf(tree, &leaf), EF_OK);
      cr_assert_eq(ef_tree_add(tree, unit, leaf), EF_OK);
    }
    if (round == 0) blocks = ef_memory_blocks();
    cr_assert_eq(ef_memory_blocks(), blocks);
    ef_tree_reset(tree);
  }
  ef_tree_free(tree);
}
