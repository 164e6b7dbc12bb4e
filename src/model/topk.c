#include "model/topk.h"

#include <stdbool.h>

typedef struct heap {
  int32_t *index;
  float *value;
} heap;

/* a stands behind b in the result: a root of the heap is the entry to give way first. */
static bool worse(const heap *h, size_t a, size_t b) {
  if (h->value[a] < h->value[b]) return true;
  return h->value[a] == h->value[b] && h->index[a] > h->index[b];
}

static void swap(heap *h, size_t a, size_t b) {
  int32_t index = h->index[a];
  float value = h->value[a];
  h->index[a] = h->index[b];
  h->value[a] = h->value[b];
  h->index[b] = index;
  h->value[b] = value;
}

static void sink(heap *h, size_t n, size_t i) {
  for (;;) {
    size_t least = i, left = 2 * i + 1, right = left + 1;
    if (left < n && worse(h, left, least)) least = left;
    if (right < n && worse(h, right, least)) least = right;
    if (least == i) return;
    swap(h, i, least);
    i = least;
  }
}

void ef_top_k(size_t n, size_t k, const float *x, int32_t *index, float *value) {
  heap h = {index, value};
  for (size_t i = 0; i < k; i++) {
    index[i] = (int32_t)i;
    value[i] = x[i];
  }
  for (size_t i = k / 2; i-- > 0;) sink(&h, k, i);
  for (size_t i = k; i < n; i++) {
    if (!(x[i] > value[0])) continue;
    index[0] = (int32_t)i;
    value[0] = x[i];
    sink(&h, k, 0);
  }
  for (size_t i = k; i-- > 1;) {
    swap(&h, 0, i);
    sink(&h, i, 0);
  }
}
