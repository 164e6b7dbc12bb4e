#include "test_auction_plain.h"
#include <criterion/criterion.h>
#include <math.h>

ef_market plain_view(const plain_market *m) {
  return (ef_market){m->n, m->bid, m->demand, m->capacity, m->unit_cost, m->margin};
}

static void draw_bidder(plain_market *m, size_t i, uint64_t kind, ef_rng *rng) {
  m->demand[i] = 1 + (int64_t)ef_rng_below(rng, kind == 3 ? 1000 : 4);
  if (kind == 0)
    m->bid[i] = (double)ef_rng_below(rng, 9);
  else
    m->bid[i] = (double)m->demand[i] * exp(ef_rng_normal(rng));
}

plain_market plain_random(ef_rng *rng, size_t least, size_t most) {
  plain_market m = {.n = least + ef_rng_below(rng, most - least + 1)};
  const uint64_t kind = ef_rng_below(rng, 4);
  int64_t sum = 0;
  for (size_t i = 0; i < m.n; i++) draw_bidder(&m, i, kind, rng);
  if (kind == 2) {
    const size_t giant = ef_rng_below(rng, m.n);
    m.demand[giant] *= 1 + (int64_t)ef_rng_below(rng, 20);
    m.bid[giant] *= 100;
  }
  for (size_t i = 0; i < m.n; i++) sum += m.demand[i];
  m.capacity = 1 + (int64_t)((0.2 + ef_rng_uniform(rng)) * (double)sum);
  m.unit_cost = ef_rng_below(rng, 2) ? 0 : 0.25 * (double)ef_rng_below(rng, 4);
  m.margin = ef_rng_below(rng, 2) ? 0 : 0.5;
  return m;
}

double plain_net(const ef_market *m, size_t i) { return m->bid[i] / (double)m->demand[i] - m->unit_cost; }

static bool admitted(const ef_market *m, size_t i) {
  const double net = plain_net(m, i);
  return !(net <= 0) && !(net < m->margin * m->unit_cost) && m->demand[i] <= m->capacity;
}

static bool ahead(const ef_market *m, size_t i, size_t j) {
  const double x = m->bid[i] / (double)m->demand[i], y = m->bid[j] / (double)m->demand[j];
  return x > y || (x == y && i < j);
}

plain_set plain_prefix(const ef_market *m, size_t left_out, double *floor) {
  bool taken[PLAIN_MOST] = {false};
  plain_set s = {0};
  int64_t sum = 0;
  *floor = 0;
  for (;;) {
    size_t next = SIZE_MAX;
    for (size_t i = 0; i < m->n; i++)
      if (i != left_out && !taken[i] && admitted(m, i) && (next == SIZE_MAX || ahead(m, i, next))) next = i;
    if (next == SIZE_MAX) break;
    taken[next] = true;
    sum += m->demand[next];
    if (sum > m->capacity) {
      *floor = plain_net(m, next);
      break;
    }
    s.index[s.count++] = next;
  }
  *floor = fmax(*floor, m->margin * m->unit_cost);
  return s;
}

plain_set plain_minus(const plain_set *s, size_t bidder) {
  plain_set rest = {0};
  for (size_t k = 0; k < s->count; k++)
    if (s->index[k] != bidder) rest.index[rest.count++] = s->index[k];
  return rest;
}

int64_t plain_units(const ef_market *m, const plain_set *s) {
  int64_t sum = 0;
  for (size_t k = 0; k < s->count; k++) sum += m->demand[s->index[k]];
  return sum;
}

/* Greatest r_k times the counted demand of the first k; half: at most half of it from one bidder. */
static double best_price(const ef_market *m, const plain_set *s, bool half) {
  double best = 0;
  for (size_t k = 1; k <= s->count; k++) {
    int64_t sum = 0, largest = 0;
    for (size_t j = 0; j < k; j++) {
      const int64_t d = m->demand[s->index[j]];
      sum += d;
      if (d > largest) largest = d;
    }
    if (half && 2 * (sum - largest) < sum) sum = 2 * (sum - largest);
    best = fmax(best, plain_net(m, s->index[k - 1]) * (double)sum);
  }
  return best;
}

double plain_f(const ef_market *m, const plain_set *s) { return best_price(m, s, false); }
double plain_f2(const ef_market *m, const plain_set *s) { return best_price(m, s, true); }

double plain_estimate(double value, double c, double u) {
  double best = 0;
  for (int j = -150; j <= 150; j++) {
    const double r = pow(c, j + u);
    if (r <= value && r > best) best = r;
  }
  return best;
}

plain_set plain_share(const ef_market *m, const plain_set *s, double r) {
  plain_set left = *s;
  if (r <= 0) left.count = 0;
  for (;;) {
    const double price = r / (double)plain_units(m, &left);
    plain_set stay = {0};
    for (size_t k = 0; k < left.count; k++)
      if (plain_net(m, left.index[k]) >= price) stay.index[stay.count++] = left.index[k];
    if (stay.count == left.count) return left;
    left = stay;
  }
}

/* Net price before the floor that bidder i of S pays, or INFINITY. */
static double price_of(const ef_market *m, const ef_aeria *rule, double u, const plain_set *s, size_t i) {
  double ignored;
  plain_set others = plain_minus(s, i), served;
  if (rule->variant == EF_VARIANT_D) others = plain_prefix(m, i, &ignored);
  const double value = plain_f2(m, rule->variant == EF_VARIANT_E ? s : &others);
  const double r = plain_estimate(value, rule->c, u);
  served = plain_share(m, rule->variant == EF_VARIANT_D ? &others : s, r);
  if (served.count == 0) return INFINITY;
  const double price = r / (double)plain_units(m, &served);
  if (rule->variant == EF_VARIANT_D) return price;
  return plain_minus(&served, i).count < served.count ? price : INFINITY;
}

void plain_clear(const ef_market *m, const ef_aeria *rule, double u, ef_award *awards) {
  double floor;
  const plain_set s = plain_prefix(m, SIZE_MAX, &floor);
  for (size_t i = 0; i < m->n; i++) {
    const double net = plain_net(m, i);
    const bool reserved = net <= 0 || net < m->margin * m->unit_cost;
    awards[i] = (ef_award){.fate = reserved ? EF_FATE_RESERVE : EF_FATE_PRUNED};
  }
  for (size_t k = 0; k < s.count; k++) {
    const size_t i = s.index[k];
    const double price = price_of(m, rule, u, &s, i);
    awards[i].fate = EF_FATE_LOSE;
    if (!(plain_net(m, i) >= price)) continue;
    const double paid = m->unit_cost + fmax(price, floor);
    awards[i] = (ef_award){EF_FATE_WIN, paid, paid * (double)m->demand[i]};
  }
}

ef_auction *plain_auction(void) {
  ef_auction *a = NULL;
  cr_assert(ef_auction_create(PLAIN_MOST, &a) == EF_OK);
  return a;
}
