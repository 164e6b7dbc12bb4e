/* Upper envelope of lines over the auction's columns: a tree of intervals, each node holding the line that
 * wins at its middle (Li Chao). Comparisons are exact, so the greatest value has the bits of a plain maximum,
 * and what a bidder is told about the others cannot depend on its own bid through rounding.
 */
#include "market/auction/auction_internal.h"
#include <math.h>
#include <string.h>

static double at(ef_line line, int64_t x) { return line.slope * (double)(line.root - x); }

/* Equal products differ in their rounding errors. */
bool ef_line_above(ef_line f, ef_line g, int64_t x) {
  const double pf = at(f, x), pg = at(g, x);
  if (pf != pg) return pf > pg;
  const double ef = fma(f.slope, (double)(f.root - x), -pf), eg = fma(g.slope, (double)(g.root - x), -pg);
  return ef != eg ? ef > eg : f.slope > g.slope;
}

/* A node covers the columns low..high. */
typedef struct node {
  size_t id, low, high;
} node;

static size_t middle(node at) { return at.low + (at.high - at.low) / 2; }
static node left(node at) { return (node){2 * at.id, at.low, middle(at)}; }
static node right(node at) { return (node){2 * at.id + 1, middle(at) + 1, at.high}; }

static void settle(ef_auction *a, node at, ef_line line) {
  for (;;) {
    ef_line *held = &a->tree[at.id];
    if (ef_line_above(line, *held, a->abscissa[middle(at)])) {
      const ef_line swap = *held;
      *held = line;
      line = swap;
    }
    if (at.low == at.high) return;
    if (ef_line_above(line, *held, a->abscissa[at.low]))
      at = left(at);
    else if (ef_line_above(line, *held, a->abscissa[at.high]))
      at = right(at);
    else
      return;
  }
}

/* The line on the columns from..to alone (from <= to). */
static void settle_on(ef_auction *a, node at, size_t from, size_t to, ef_line line) {
  if (from <= at.low && at.high <= to) {
    settle(a, at, line);
    return;
  }
  if (from <= middle(at)) settle_on(a, left(at), from, to, line);
  if (to > middle(at)) settle_on(a, right(at), from, to, line);
}

static node root(const ef_auction *a) { return (node){1, 0, a->columns - 1}; }

void ef_envelope_clear(ef_auction *a) { memset(a->tree, 0, 4 * a->columns * sizeof *a->tree); }

/* First column whose demand is more than x. */
static size_t column_above(const ef_auction *a, int64_t x) {
  size_t low = 0, high = a->columns;
  while (low < high) {
    const size_t mid = low + (high - low) / 2;
    if (a->abscissa[mid] > x)
      high = mid;
    else
      low = mid + 1;
  }
  return low;
}

void ef_envelope_add(ef_auction *a, double density, int64_t total, int64_t largest) {
  const size_t last = a->columns - 1;
  const int64_t bend = total - 2 * largest; /* T2 = total - x up to here, 2(total - largest - x) behind */
  const size_t split = a->abscissa[last] <= bend ? last + 1 : column_above(a, bend);
  if (split > 0) settle_on(a, root(a), 0, split - 1, (ef_line){density, total});
  if (split <= last) settle_on(a, root(a), split, last, (ef_line){2 * density, total - largest});
}

ef_line ef_envelope_line(const ef_auction *a, size_t column) {
  ef_line best = {0};
  node here = root(a);
  for (;;) {
    if (ef_line_above(a->tree[here.id], best, a->abscissa[column])) best = a->tree[here.id];
    if (here.low == here.high) return best;
    here = column <= middle(here) ? left(here) : right(here);
  }
}

double ef_envelope_at(const ef_auction *a, size_t column) {
  const ef_line best = ef_envelope_line(a, column);
  return best.slope > 0 ? at(best, a->abscissa[column]) : 0;
}
