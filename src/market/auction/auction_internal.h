/* What the files of the auction core share: the memory of an auction, the stable sort, the envelope of lines.
 *
 * Places are positions in the order (density descending, then index). The arrays by place reach a little
 * beyond the kept prefix: as far as any bidder's leaving could let others in, which is what variant D asks.
 */
#pragma once

#include "base/arena.h"
#include "market/auction.h"

/* A key to sort by, and what it belongs to. */
typedef struct ef_rank {
  uint64_t key;
  size_t item;
} ef_rank;

/* Sorts n ranks by key ascending, stable, with a spare array of the same size. O(n). Local. */
void ef_rank_sort(ef_rank *ranks, ef_rank *spare, size_t n);

/* f(x) = slope * (root - x); slope 0: none. */
typedef struct ef_line {
  double slope;
  int64_t root;
} ef_line;

/* Prices of cost sharing as a function of R (expect.c): up to `top`, R is shared by `total` units. */
typedef struct ef_step {
  double top, sum; /* sum: the price integrated up to top */
  int64_t total;
} ef_step;

struct ef_auction {
  size_t room; /* bidders that fit */
  ef_arena arena;

  /* the market of the last load */
  size_t n, ranked; /* bidders; those that pass the reserve and fit the capacity alone */
  int64_t capacity;
  double unit_cost, reserve; /* kappa, gamma kappa */
  ef_rank *rank;             /* (ranked) key: complement of the bits of b/d */
  ef_rank *spare, *scratch;  /* for sorting */
  double *bid;               /* (n), the deviation included */
  unsigned char *gate;       /* (n) RESERVE or PRUNED: the fate of who is not kept */
  size_t deviant;            /* who deviates from the load, or SIZE_MAX */
  double loaded_bid;         /* its bid and fate at the load */
  unsigned char loaded_gate;

  /* by place */
  size_t kept, reach; /* kept <= reach: places filled */
  size_t *index;
  double *density;
  int64_t *demand, *total, *largest; /* largest demand of places 0..k */
  double floor;

  /* by column: the distinct demands of the kept, ascending */
  size_t columns;
  size_t *column;    /* (kept) of each place */
  int64_t *abscissa; /* (columns) */
  double *beyond;    /* (columns) best term among the places that enter when such a demand leaves */
  size_t *limit;     /* (columns) how many places fit then, the leaver's own counted */
  ef_line *tree;     /* (4 columns) envelope */
  ef_line *before;   /* (kept) DOT's best line before each place */

  /* estimates */
  double *value; /* (kept) what estimates are taken of; then the estimates */
  double *price; /* (kept) net price that each place is offered, before the floor; INFINITY: none */
  double *peak;  /* (4 reach) tree of variant D */
  size_t estimates;
  double *estimate; /* (estimates) distinct, descending */
  size_t *count;    /* (estimates) */
  size_t *served;   /* (estimates) winners of cost sharing */
  ef_step *step;    /* (kept) of an expectation */
};

/* Cost sharing of R among the first k places. O(k). Local. */
size_t ef_cost_share_of(const ef_auction *a, double r, size_t k);

/* Variant D: F2 of the capacity prefix of the others of each kept bidder, out (kept); sets limit. The same
 * cost as ef_benchmark_f2_without, over reach. Local. */
void ef_others_of_each(ef_auction *a, double *out);

/* T2(D, m) = min(D, 2(D - m)): the demand that counts if nobody may be more than half of it. */
static inline double ef_counted(int64_t total, int64_t largest) {
  const int64_t most = 2 * (total - largest);
  return (double)(total < most ? total : most);
}

/* Whether f(x) > g(x) as real numbers, without rounding; of equal ones the steeper is above. Local. */
bool ef_line_above(ef_line f, ef_line g, int64_t x);

/* The distinct demands of the kept places as columns. O(kept). Local. */
void ef_columns_make(ef_auction *a);

/* Makes the lines' envelope empty for the auction's columns. Local. */
void ef_envelope_clear(ef_auction *a);
/* Adds r * T2(total - x, largest) as a function of x. O(log^2 columns). Local. */
void ef_envelope_add(ef_auction *a, double density, int64_t total, int64_t largest);
/* Greatest value at a column, at least 0, and the line that has it (slope 0: none). O(log columns). Local. */
double ef_envelope_at(const ef_auction *a, size_t column);
ef_line ef_envelope_line(const ef_auction *a, size_t column);

/* Place of an estimate in the table of distinct ones, or where it belongs. Local. */
size_t ef_estimate_slot(const ef_auction *a, double r);

/* Variant D: the net prices that the places are offered, from the others' bids alone, for their estimates in
 * `value`; INFINITY where R serves nobody. Needs ef_others_of_each and the table of estimates. O(log n) a
 * place and O(reach) an estimate. Local. */
void ef_others_prices(ef_auction *a);
