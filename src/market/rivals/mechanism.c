#include "base/rng.h"
#include "market/rivals/mechanism_internal.h"
#include <string.h>

static ef_status clear_aeria(ef_auction *a, const ef_market *market, const ef_setting *setting,
                             const ef_coin *coin, ef_variant variant, ef_award *awards) {
  ef_aeria rule = setting->aeria;
  rule.variant = variant;
  ef_aeria_clear(a, market, &rule, coin, awards, NULL);
  return EF_OK;
}

static ef_status clear_aeria_t(ef_auction *a, const ef_market *market, const ef_setting *setting,
                               const ef_coin *coin, ef_award *awards) {
  return clear_aeria(a, market, setting, coin, EF_VARIANT_T, awards);
}

static ef_status clear_aeria_e(ef_auction *a, const ef_market *market, const ef_setting *setting,
                               const ef_coin *coin, ef_award *awards) {
  return clear_aeria(a, market, setting, coin, EF_VARIANT_E, awards);
}

static ef_status clear_aeria_d(ef_auction *a, const ef_market *market, const ef_setting *setting,
                               const ef_coin *coin, ef_award *awards) {
  return clear_aeria(a, market, setting, coin, EF_VARIANT_D, awards);
}

static ef_status clear_vickrey(ef_auction *a, const ef_market *market, const ef_setting *setting,
                               const ef_coin *coin, ef_award *awards) {
  (void)a;
  (void)setting;
  (void)coin;
  ef_vickrey_clear(market, awards);
  return EF_OK;
}

const ef_mechanism ef_mechanisms[] = {
    {"aeria-t", "AERIA: one estimate per user from the others' bids (Goldberg and Hartline, SODA 2003)",
     EF_TRUTHFUL, EF_ONE_PRICE_UNDER_CONSENSUS, true, false, clear_aeria_t},
    {"aeria-e", "AERIA: one estimate from all bids, the paper's literal text (arXiv 2503.04521)",
     EF_TRUTHFUL_UNDER_CONSENSUS, EF_ONE_PRICE, true, false, clear_aeria_e},
    {"aeria-d", "AERIA: prices from the others alone, also truthful against over-stated demand", EF_TRUTHFUL,
     EF_MANY_PRICES, true, false, clear_aeria_d},
    {"posted", "one price from a prior, posted before the bids", EF_TRUTHFUL, EF_ONE_PRICE, true, false,
     ef_posted_clear},
    {"first-rejected", "all who fit pay the first rejected density; VCG for equal demands (Vickrey 1961)",
     EF_TRUTHFUL, EF_ONE_PRICE, true, false, ef_first_rejected_clear},
    {"rsop", "random halves, each offered the other's best price (Goldberg, Hartline, Wright, SODA 2001)",
     EF_TRUTHFUL, EF_MANY_PRICES, true, false, ef_rsop_clear},
    {"scs", "random halves, each shares the other's best profit (Fiat and others, STOC 2002)", EF_TRUTHFUL,
     EF_MANY_PRICES, true, false, ef_scs_clear},
    {"dot", "each user is offered the best price of the others (Goldberg, Hartline, Wright, SODA 2001)",
     EF_TRUTHFUL, EF_MANY_PRICES, true, false, ef_dot_clear},
    {"greedy-critical",
     "greedy by density with skipping, critical payments (Lehmann and others, J. ACM 2002)", EF_TRUTHFUL,
     EF_MANY_PRICES, true, false, ef_greedy_clear},
    {"knapsack-vcg", "the efficient allocation, exactly, with VCG payments (Clarke 1971; Groves 1973)",
     EF_TRUTHFUL, EF_MANY_PRICES, true, false, ef_knapsack_clear},
    {"pay-as-bid", "greedy by density with skipping, everyone pays its bid", EF_NOT_TRUTHFUL, EF_MANY_PRICES,
     true, false, ef_pay_as_bid_clear},
    {"proportional", "capacity in proportion to bids (Kelly, Eur. Trans. Telecomm. 1997)", EF_NOT_TRUTHFUL,
     EF_ONE_PRICE, false, false, ef_proportional_clear},
    {"vickrey", "the highest total bid alone, at the second highest (Vickrey 1961)", EF_TRUTHFUL,
     EF_ONE_PRICE, true, false, clear_vickrey},
    {"omniscient-f", "benchmark F: the best single price, values known", EF_NOT_TRUTHFUL, EF_ONE_PRICE, true,
     true, ef_omniscient_f_clear},
    {"omniscient-f2", "benchmark F2: the same, no user more than half of the counted demand", EF_NOT_TRUTHFUL,
     EF_ONE_PRICE, true, true, ef_omniscient_f2_clear},
    {0}};

const ef_mechanism *ef_mechanism_find(const char *name) {
  for (const ef_mechanism *m = ef_mechanisms; m->name; m++)
    if (strcmp(m->name, name) == 0) return m;
  return NULL;
}

const ef_mechanism *ef_mechanism_aeria(ef_variant variant) {
  static const char *const names[] = {
      [EF_VARIANT_T] = "aeria-t", [EF_VARIANT_E] = "aeria-e", [EF_VARIANT_D] = "aeria-d"};
  return ef_mechanism_find(names[variant]);
}

const char *ef_mechanism_names(void) {
  return "aeria-t, aeria-e, aeria-d, posted, first-rejected, rsop, scs, dot, greedy-critical, knapsack-vcg, "
         "pay-as-bid, proportional, vickrey, omniscient-f, omniscient-f2";
}

int ef_coin_half(const ef_coin *coin, size_t bidder) {
  uint64_t bits, unit = bidder;
  uint32_t out[4];
  memcpy(&bits, &coin->v, sizeof bits);
  ef_philox((const uint32_t[4]){(uint32_t)unit, (uint32_t)(unit >> 32), 0, 0},
            (const uint32_t[2]){(uint32_t)bits, (uint32_t)(bits >> 32)}, out);
  return (int)(out[0] & 1u);
}
