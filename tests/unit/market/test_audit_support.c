#include "test_audit.h"

#include "base/rng.h"
#include <criterion/criterion.h>
#include <math.h>

void test_audit_market_make(uint64_t seed, test_audit_market *m) {
  ef_rng rng = ef_rng_stream(seed, EF_RNG_TEST, 0, 0);
  int64_t total = 0;
  *m = (test_audit_market){.market.n = 2 + (size_t)ef_rng_below(&rng, TEST_AUDIT_MOST - 2)};
  bool unit = ef_rng_below(&rng, 3) == 0;
  for (size_t i = 0; i < m->market.n; i++) {
    m->demand[i] = unit ? 1 : 1 + (int64_t)ef_rng_below(&rng, 6);
    m->bid[i] = pow((double)m->demand[i], 0.85) * exp(0.6 * ef_rng_normal(&rng));
    total += m->demand[i];
  }
  m->market.bid = m->bid;
  m->market.demand = m->demand;
  m->market.capacity = (int64_t)ceil((double)total * (0.3 + 0.9 * ef_rng_uniform(&rng)));
  m->market.unit_cost = ef_rng_below(&rng, 2) ? 0.2 * ef_rng_uniform(&rng) : 0;
  m->market.margin = ef_rng_below(&rng, 2) ? 0.5 * ef_rng_uniform(&rng) : 0;
}

void test_audit_sum(const ef_mechanism *mechanism, double vickrey_prob, bool demands, uint64_t count,
                    ef_audit *sum) {
  *sum = (ef_audit){0};
  for (uint64_t seed = 0; seed < count; seed++) {
    test_audit_market m;
    ef_audit audit;
    test_audit_market_make(seed, &m);
    ef_audit_spec spec = {.mechanism = mechanism,
                          .setting = {.aeria = {.c = 2, .vickrey_prob = vickrey_prob}, .posted_price = 0.6},
                          .coin = {.u = 0.37, .v = 0.61},
                          .coins = 4,
                          .seed = seed,
                          .demands = demands};
    cr_assert_eq(ef_audit_market(&m.market, &spec, &audit), EF_OK, "%s", ef_message());
    ef_audit_add(sum, &audit);
  }
}

/* Winners and net unit price of the estimate r, as the fault has it; 0: nobody. */
static size_t share(const ef_kept *kept, double r, test_fault fault, double *price) {
  size_t k = ef_cost_share(kept, r), sharing = k;
  if (k == 0) return 0;
  if (fault == TEST_ONE_MORE && k < kept->kept) sharing = ++k;
  if (fault == TEST_ONE_LESS) k--;
  *price = r / (double)kept->total[sharing - 1];
  return k;
}

static double estimate_of(const ef_kept *kept, double without, const ef_setting *setting, const ef_coin *coin,
                          test_fault fault) {
  double value = fault == TEST_OWN_BID ? ef_benchmark_f2(kept) : without;
  double r = ef_estimate(value, setting->aeria.c, coin->u);
  if (fault == TEST_ROUND_UP) r *= setting->aeria.c;
  return fault == TEST_OFF_GRID ? 0.9 * r : r;
}

static void sell(const ef_market *market, size_t i, double net, test_fault fault, ef_award *award) {
  award->fate = EF_FATE_WIN;
  award->unit_price = market->unit_cost + net;
  award->payment = award->unit_price * (double)market->demand[i] * (fault == TEST_FEE ? 0.999 : 1);
}

static ef_status clear(ef_auction *a, const ef_market *market, const ef_setting *setting, const ef_coin *coin,
                       ef_award *awards, test_fault fault) {
  double without[TEST_AUDIT_MOST];
  ef_market seen = *market;
  if (fault == TEST_NO_CAPACITY) seen.capacity = 1000000;
  ef_auction_load(a, &seen);
  ef_kept kept = ef_auction_kept(a);
  ef_benchmark_f2_without(a, without);
  for (size_t i = 0; i < market->n; i++) awards[i] = (ef_award){.fate = EF_FATE_PRUNED};
  for (size_t p = 0; p < kept.kept; p++) {
    size_t i = kept.index[p];
    double price = 0;
    awards[i].fate = EF_FATE_LOSE;
    if (fault == TEST_LOSER_PAYS) awards[i].payment = 1e-3;
    if (p >= share(&kept, estimate_of(&kept, without[p], setting, coin, fault), fault, &price)) continue;
    double net = fault == TEST_NO_FLOOR ? price : fmax(kept.floor, price);
    sell(market, i, fault == TEST_PAY_AS_BID ? kept.density[p] : net, fault, &awards[i]);
  }
  return EF_OK;
}

#define BROKEN(name, fault)                                                                                  \
  static ef_status name(ef_auction *a, const ef_market *market, const ef_setting *setting,                   \
                        const ef_coin *coin, ef_award *awards) {                                             \
    return clear(a, market, setting, coin, awards, fault);                                                   \
  }
BROKEN(clear_sound, TEST_SOUND)
BROKEN(clear_no_capacity, TEST_NO_CAPACITY)
BROKEN(clear_no_floor, TEST_NO_FLOOR)
BROKEN(clear_pay_as_bid, TEST_PAY_AS_BID)
BROKEN(clear_one_more, TEST_ONE_MORE)
BROKEN(clear_one_less, TEST_ONE_LESS)
BROKEN(clear_round_up, TEST_ROUND_UP)
BROKEN(clear_off_grid, TEST_OFF_GRID)
BROKEN(clear_own_bid, TEST_OWN_BID)
BROKEN(clear_fee, TEST_FEE)
BROKEN(clear_loser_pays, TEST_LOSER_PAYS)

ef_mechanism test_audit_broken(test_fault fault) {
  static ef_status (*const clears[TEST_FAULTS])(ef_auction *, const ef_market *, const ef_setting *,
                                                const ef_coin *, ef_award *) = {
      clear_sound,    clear_no_capacity, clear_no_floor, clear_pay_as_bid, clear_one_more,  clear_one_less,
      clear_round_up, clear_off_grid,    clear_own_bid,  clear_fee,        clear_loser_pays};
  return (ef_mechanism){.name = "aeria-t",
                        .help = "broken",
                        .truth = EF_TRUTHFUL,
                        .price = EF_ONE_PRICE_UNDER_CONSENSUS,
                        .meets_deadlines = true,
                        .clear = clears[fault]};
}
