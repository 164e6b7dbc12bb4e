/* The auction written down from its definitions, slow and without sharing work: what the core is tested
 * against. Also random markets of many kinds.
 */
#pragma once

#include "base/rng.h"
#include "market/auction.h"

enum { PLAIN_MOST = 64 };

/* A market with its own arrays, and the view of it that the core takes. */
typedef struct plain_market {
  size_t n;
  double bid[PLAIN_MOST];
  int64_t demand[PLAIN_MOST];
  int64_t capacity;
  double unit_cost, margin;
} plain_market;
ef_market plain_view(const plain_market *m);

/* least..most bidders; kinds: small integers with ties, real bids, one giant, all demands distinct. */
plain_market plain_random(ef_rng *rng, size_t least, size_t most);

/* A set of bidders in their order. */
typedef struct plain_set {
  size_t count;
  size_t index[PLAIN_MOST];
} plain_set;

double plain_net(const ef_market *m, size_t i);
/* The capacity prefix of all bidders but `left_out` (SIZE_MAX: none); *floor is its first overflow's density.
 */
plain_set plain_prefix(const ef_market *m, size_t left_out, double *floor);
plain_set plain_minus(const plain_set *s, size_t bidder);
double plain_f(const ef_market *m, const plain_set *s);
double plain_f2(const ef_market *m, const plain_set *s);
double plain_estimate(double value, double c, double u);
/* Moulin-Shenker: drops whoever is below R / demand of those left, until nobody drops. */
plain_set plain_share(const ef_market *m, const plain_set *s, double r);
int64_t plain_units(const ef_market *m, const plain_set *s);
/* The core auction (no Vickrey branch). */
void plain_clear(const ef_market *m, const ef_aeria *rule, double u, ef_award *awards);

/* The auction under test, set up for PLAIN_MOST bidders; fails the test when memory is short. */
ef_auction *plain_auction(void);
