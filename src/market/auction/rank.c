#include "market/auction/auction_internal.h"
#include <string.h>

enum { DIGIT = 256, DIGITS = 8 };

static size_t digit(uint64_t key, int place) { return (key >> (8 * place)) & (DIGIT - 1); }

/* Scatters by one digit; false where all share it and nothing moved. */
static bool scatter(const ef_rank *from, ef_rank *to, size_t n, int place, size_t start[DIGIT]) {
  if (start[digit(from[0].key, place)] == n) return false;
  size_t sum = 0;
  for (size_t b = 0; b < DIGIT; b++) {
    const size_t count = start[b];
    start[b] = sum;
    sum += count;
  }
  for (size_t i = 0; i < n; i++) to[start[digit(from[i].key, place)]++] = from[i];
  return true;
}

static void insertion(ef_rank *ranks, size_t n) {
  for (size_t i = 1; i < n; i++) {
    const ef_rank moved = ranks[i];
    size_t at = i;
    for (; at > 0 && ranks[at - 1].key > moved.key; at--) ranks[at] = ranks[at - 1];
    ranks[at] = moved;
  }
}

void ef_rank_sort(ef_rank *ranks, ef_rank *spare, size_t n) {
  if (n <= 48) {
    insertion(ranks, n);
    return;
  }
  size_t counts[DIGITS][DIGIT] = {{0}};
  for (size_t i = 0; i < n; i++)
    for (int place = 0; place < DIGITS; place++) counts[place][digit(ranks[i].key, place)]++;
  ef_rank *from = ranks, *to = spare;
  for (int place = 0; place < DIGITS; place++) {
    if (!scatter(from, to, n, place, counts[place])) continue;
    ef_rank *const swap = from;
    from = to;
    to = swap;
  }
  if (from != ranks) memcpy(ranks, from, n * sizeof *ranks);
}
