/* The rivals that run on S, and the benchmarks, against plain recomputation from their definitions: sets
 * instead of prefixes, cost sharing by dropping, DOT by leaving each bidder out.
 */
#include "market/mechanism.h"
#include "test_auction_plain.h"
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>

static const ef_setting setting = {.aeria = {.c = 1.5, .vickrey_prob = 0}, .posted_price = 0.8};

/* A set of bidders as marks. */
typedef struct marks {
  bool in[PLAIN_MOST];
} marks;

static marks marks_of(const plain_set *s) {
  marks m = {{false}};
  for (size_t k = 0; k < s->count; k++) m.in[s->index[k]] = true;
  return m;
}

static marks half_of(const marks *s, const ef_coin *coin, int half) {
  marks h = *s;
  for (size_t i = 0; i < PLAIN_MOST; i++) h.in[i] = s->in[i] && ef_coin_half(coin, i) == half;
  return h;
}

/* Units of the set's members that bid at least p. */
static int64_t demand_at(const ef_market *m, const marks *s, double p) {
  int64_t units = 0;
  for (size_t i = 0; i < m->n; i++)
    if (s->in[i] && plain_net(m, i) >= p) units += m->demand[i];
  return units;
}

/* The best single price of the set, the highest of equal ones; infinite if it is empty. The products are
 * exact in long double where they have at most 64 bits. */
_Static_assert(LDBL_MANT_DIG >= 64, "the recomputation needs products of 64 bits");
static double best_price(const ef_market *m, const marks *s, double *profit) {
  long double best = 0;
  double price = INFINITY;
  for (size_t i = 0; i < m->n; i++) {
    if (!s->in[i]) continue;
    const double r = plain_net(m, i);
    const long double worth = (long double)r * (long double)demand_at(m, s, r);
    if (worth > best || (worth == best && r > price)) {
      best = worth;
      price = r;
    }
  }
  *profit = (double)best;
  return price;
}

/* Moulin and Shenker on a set: its unit price, infinite if nobody can share the cost. */
static double share_price(const ef_market *m, const marks *s, double cost) {
  double price = 0;
  for (;;) {
    const int64_t units = demand_at(m, s, price);
    if (units == 0 || cost <= 0) return INFINITY;
    const double next = cost / (double)units;
    if (demand_at(m, s, next) == units) return next;
    price = next;
  }
}

static const ef_mechanism *rule(const char *name) { return ef_mechanism_find(name); }

/* What the mechanism did: i of the set wins iff r_i >= max(price_i, floor), at that. */
static void assert_offers(const ef_market *m, const marks *s, double floor, const double *price,
                          const ef_award *awards, const char *name) {
  for (size_t i = 0; i < m->n; i++) {
    const double net = fmax(price[i], floor);
    const bool wins = s->in[i] && plain_net(m, i) >= net;
    cr_assert_eq(awards[i].fate == EF_FATE_WIN, wins, "%s, bidder %zu of %zu: price %.17g, net density %.17g",
                 name, i, m->n, net, plain_net(m, i));
    if (wins) cr_assert_float_eq(awards[i].unit_price, m->unit_cost + net, 1e-12 * (1 + net), "%s", name);
  }
}

typedef struct fixture {
  ef_auction *a;
  ef_rng rng;
  plain_market store;
  ef_market m;
  ef_coin coin;
  plain_set set;
  marks s;
  double floor;
  ef_award awards[PLAIN_MOST];
} fixture;

static void open_fixture(fixture *f, uint32_t stream) {
  f->a = plain_auction();
  f->rng = ef_rng_stream(stream, EF_RNG_TEST, 0, 0);
}

static void draw(fixture *f, size_t most) {
  f->store = plain_random(&f->rng, 1, most);
  f->m = plain_view(&f->store);
  f->coin = (ef_coin){ef_rng_uniform(&f->rng), ef_rng_uniform(&f->rng)};
  f->set = plain_prefix(&f->m, SIZE_MAX, &f->floor);
  f->s = marks_of(&f->set);
}

static ef_sale clear(fixture *f, const char *name) {
  cr_assert_eq(rule(name)->clear(f->a, &f->m, &setting, &f->coin, f->awards), EF_OK);
  return ef_sale_sum(&f->m, f->awards);
}

Test(rival_plain, dot) {
  fixture f;
  open_fixture(&f, 41);
  double price[PLAIN_MOST], profit;
  for (int round = 0; round < 4000; round++) {
    draw(&f, round % 4 ? 12 : PLAIN_MOST);
    for (size_t i = 0; i < f.m.n; i++) {
      marks others = f.s;
      others.in[i] = false;
      price[i] = best_price(&f.m, &others, &profit);
    }
    clear(&f, "dot");
    assert_offers(&f.m, &f.s, f.floor, price, f.awards, "dot");
  }
  ef_auction_free(f.a);
}

Test(rival_plain, sampling) {
  fixture f;
  open_fixture(&f, 42);
  double rsop[PLAIN_MOST], scs[PLAIN_MOST];
  for (int round = 0; round < 4000; round++) {
    draw(&f, round % 4 ? 12 : PLAIN_MOST);
    double offer[2], profit[2], share[2];
    for (int h = 0; h < 2; h++) {
      const marks half = half_of(&f.s, &f.coin, h);
      offer[1 - h] = best_price(&f.m, &half, &profit[1 - h]);
    }
    for (int h = 0; h < 2; h++) {
      const marks half = half_of(&f.s, &f.coin, h);
      share[h] = share_price(&f.m, &half, profit[h]);
    }
    for (size_t i = 0; i < f.m.n; i++) {
      rsop[i] = offer[ef_coin_half(&f.coin, i)];
      scs[i] = share[ef_coin_half(&f.coin, i)];
    }
    const ef_sale sale = clear(&f, "rsop");
    assert_offers(&f.m, &f.s, f.floor, rsop, f.awards, "rsop");
    cr_assert(sale.profit <= (profit[0] + profit[1]) * (1 + 1e-12));
    clear(&f, "scs");
    assert_offers(&f.m, &f.s, f.floor, scs, f.awards, "scs");
  }
  ef_auction_free(f.a);
}

Test(rival_plain, posted_and_first_rejected) {
  fixture f;
  open_fixture(&f, 43);
  double price[PLAIN_MOST];
  for (int round = 0; round < 2000; round++) {
    draw(&f, 20);
    for (size_t i = 0; i < f.m.n; i++) price[i] = setting.posted_price;
    clear(&f, "posted");
    assert_offers(&f.m, &f.s, f.floor, price, f.awards, "posted");
    for (size_t i = 0; i < f.m.n; i++) price[i] = 0;
    clear(&f, "first-rejected");
    assert_offers(&f.m, &f.s, f.floor, price, f.awards, "first-rejected");
  }
  ef_auction_free(f.a);
}

/* No single price earns more than F; F2 <= F. Vickrey is left out: its winner need not be in S. */
Test(rival_plain, omniscient_is_a_ceiling) {
  fixture f;
  open_fixture(&f, 44);
  size_t compared = 0;
  for (int round = 0; round < 2000; round++) {
    draw(&f, 20);
    const double ceiling = clear(&f, "omniscient-f").profit * (1 + 1e-12) + 1e-12;
    cr_assert_float_eq(ceiling, plain_f(&f.m, &f.set), 1e-9 * (1 + ceiling));
    const ef_sale second = clear(&f, "omniscient-f2");
    cr_assert(second.profit <= ceiling);
    cr_assert(second.profit >= plain_f2(&f.m, &f.set) * (1 - 1e-12) - 1e-12);
    for (const ef_mechanism *r = ef_mechanisms; r->name; r++) {
      if (r->price != EF_ONE_PRICE || !r->meets_deadlines || r == rule("vickrey")) continue;
      cr_assert(clear(&f, r->name).profit <= ceiling, "%s earns more than F", r->name);
      compared++;
    }
  }
  cr_assert_eq(compared, 2000 * 5);
  ef_auction_free(f.a);
}

/* A dense small bidder keeps a giant out of S: the giant's total is what Vickrey sells. */
Test(rival_plain, vickrey_may_earn_more_than_f) {
  const double bid[] = {2, 15, 14};
  const int64_t demand[] = {1, 10, 10};
  const ef_market m = {3, bid, demand, 10, 0, 0};
  ef_auction *a = plain_auction();
  const ef_coin coin = {0};
  ef_award awards[3];
  cr_assert_eq(rule("omniscient-f")->clear(a, &m, &setting, &coin, awards), EF_OK);
  cr_assert_eq(ef_sale_sum(&m, awards).profit, 2);
  cr_assert_eq(rule("vickrey")->clear(a, &m, &setting, &coin, awards), EF_OK);
  cr_assert_eq(ef_sale_sum(&m, awards).profit, 14);
  ef_auction_free(a);
}

/* Shares by their definition: one price clears C units, and who is served holds at least its demand. */
Test(rival_plain, proportional) {
  fixture f;
  open_fixture(&f, 45);
  for (int round = 0; round < 2000; round++) {
    draw(&f, 20);
    clear(&f, "proportional");
    double sum = 0;
    for (size_t i = 0; i < f.m.n; i++)
      if (f.awards[i].fate == EF_FATE_WIN || f.awards[i].fate == EF_FATE_LOSE) sum += f.m.bid[i];
    for (size_t i = 0; i < f.m.n; i++) {
      const ef_award *w = &f.awards[i];
      if (w->fate != EF_FATE_WIN && w->fate != EF_FATE_LOSE) continue;
      const double share = (double)f.m.capacity * f.m.bid[i] / sum;
      cr_assert_eq(w->fate == EF_FATE_WIN, share >= (double)f.m.demand[i]);
      if (w->fate == EF_FATE_WIN) cr_assert_float_eq(w->unit_price * share, w->payment, 1e-12 * w->payment);
    }
  }
  ef_auction_free(f.a);
}
