#include "market/simulation/simulate_internal.h"

#include "market/audit.h"
#include <math.h>
#include <stdlib.h>

/* Rounding in times and in needs: demands are whole units up to 1e-9 of one. */
static const double ROUNDING = 1e-8;

static double bought(const ef_award *award) {
  return award->unit_price > 0.0 ? award->payment / award->unit_price : 0.0;
}

void ef_units_allot(const ef_mechanism *mechanism, const ef_market *market, const ef_award *awards,
                    double *units) {
  for (size_t i = 0; i < market->n; i++) {
    double own = mechanism->meets_deadlines ? (double)market->demand[i] : bought(&awards[i]);
    units[i] = awards[i].fate == EF_FATE_WIN ? own : 0.0;
  }
}

/* Every piece of edge work takes 1/x of its time on one unit, so edge_s scales from the speed it stands for.
 */
bool ef_units_suffice(const ef_rules *rules, const ef_user *user, const ef_demand *demand, double units) {
  if (!(units > 0.0)) return false;
  double edge_s = demand->edge_s * demand->flops / (units * rules->unit_flops);
  double total_s = demand->device_s + demand->network_s + edge_s;
  return total_s <= user->deadline * (1.0 + ROUNDING) && user->rate * edge_s <= 1.0 + ROUNDING;
}

/* A bundle that was sold. */
typedef struct bundle {
  double units, payment;
} bundle;

static int larger_first(const void *a, const void *b) {
  double x = ((const bundle *)a)->units, y = ((const bundle *)b)->units;
  return (x < y) - (x > y);
}

/* Bundles by size, each with the least payment among those at least as large. */
static size_t sort_bundles(const ef_award *awards, const double *units, size_t n, bundle *bundles) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    if (awards[i].fate == EF_FATE_WIN) bundles[count++] = (bundle){units[i], awards[i].payment};
  }
  qsort(bundles, count, sizeof *bundles, larger_first);
  for (size_t k = 1; k < count; k++) {
    bundles[k].payment = fmin(bundles[k].payment, bundles[k - 1].payment);
  }
  return count;
}

/* Least payment for a bundle of at least `need` units; INFINITY if there is none. */
static double cheapest(const bundle *bundles, size_t count, double need) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    if (bundles[mid].units >= need) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  return low > 0 ? bundles[low - 1].payment : INFINITY;
}

static bool is_served(const ef_slot_facts *facts, size_t bidder, double units) {
  size_t user = facts->book->user[bidder];
  const ef_demand *demand = &facts->crowd->demands[user];
  const ef_user *who = &facts->crowd->users[user];
  return demand->accuracy >= who->accuracy &&
         ef_units_suffice(&facts->crowd->shell.rules, who, demand, units);
}

bool ef_awards_envied(const ef_slot_facts *facts, const ef_award *awards, const double *units,
                      double *scratch) {
  size_t n = facts->book->market.n;
  bundle *bundles = (bundle *)scratch;
  size_t count = sort_bundles(awards, units, n, bundles);
  double unit_flops = facts->crowd->shell.rules.unit_flops;
  for (size_t i = 0; i < n; i++) {
    size_t user = facts->book->user[i];
    double value = facts->crowd->users[user].value;
    double own = (is_served(facts, i, units[i]) ? value : 0.0) - awards[i].payment;
    double need = facts->crowd->demands[user].flops / unit_flops * (1.0 - ROUNDING);
    if (value - cheapest(bundles, count, need) > own + EF_AUDIT_TOLERANCE * value) return true;
  }
  return false;
}

static bool is_consensus(const ef_slot_facts *facts, const ef_mechanism *mechanism) {
  if (mechanism->price == EF_ONE_PRICE_UNDER_CONSENSUS) return facts->consensus;
  return mechanism->price == EF_ONE_PRICE;
}

void ef_row_fill(const ef_slot_facts *facts, const ef_mechanism *mechanism, const ef_award *awards,
                 const double *units, double *scratch, ef_slot_row *row) {
  const ef_market *market = &facts->book->market;
  double winners = 0.0, used = 0.0, in_time = 0.0, accurate = 0.0, values = 0.0, revenue = 0.0;
  for (size_t i = 0; i < market->n; i++) {
    if (awards[i].fate != EF_FATE_WIN) continue;
    size_t user = facts->book->user[i];
    const ef_user *who = &facts->crowd->users[user];
    const ef_demand *demand = &facts->crowd->demands[user];
    winners += 1.0;
    used += fmin(units[i], (double)market->demand[i]);
    revenue += awards[i].payment;
    if (ef_units_suffice(&facts->crowd->shell.rules, who, demand, units[i])) in_time += 1.0;
    if (demand->accuracy >= who->accuracy) accurate += 1.0;
    if (is_served(facts, i, units[i])) values += who->value;
  }
  *row = (ef_slot_row){.revenue = revenue,
                       .profit = revenue - market->unit_cost * used,
                       .f = facts->f,
                       .f2 = facts->f2,
                       .served = winners / (double)market->n,
                       .utilisation = used / (double)market->capacity,
                       .latency_met = in_time / winners,
                       .accuracy_met = accurate / winners,
                       .envy = ef_awards_envied(facts, awards, units, scratch),
                       .consensus = is_consensus(facts, mechanism),
                       .welfare = values - market->unit_cost * used,
                       .utility = values - revenue};
  row->ratio = facts->f2 > 0.0 ? row->profit / facts->f2 : NAN;
}

ef_slot_row ef_row_refused(void) {
  return (ef_slot_row){.refused = true,
                       .revenue = NAN,
                       .profit = NAN,
                       .f = NAN,
                       .f2 = NAN,
                       .ratio = NAN,
                       .served = NAN,
                       .utilisation = NAN,
                       .latency_met = NAN,
                       .accuracy_met = NAN,
                       .welfare = NAN,
                       .utility = NAN,
                       .seconds = NAN};
}

/* Mean of the rows' number at `offset` where it exists. */
static double mean_at(const ef_slot_row *rows, size_t slots, size_t offset) {
  double sum = 0.0;
  size_t count = 0;
  for (size_t t = 0; t < slots; t++) {
    double x = *(const double *)((const char *)&rows[t] + offset);
    if (isnan(x)) continue;
    sum += x;
    count++;
  }
  return count > 0 ? sum / (double)count : NAN;
}

#define MEAN(field) mean_at(rows, slots, offsetof(ef_slot_row, field))

ef_summary_row ef_rows_summarise(const ef_slot_row *rows, size_t slots) {
  ef_summary_row sum = {.revenue = MEAN(revenue),
                        .profit = MEAN(profit),
                        .f = MEAN(f),
                        .f2 = MEAN(f2),
                        .ratio_mean = MEAN(ratio),
                        .ratio_min = NAN,
                        .served = MEAN(served),
                        .utilisation = MEAN(utilisation),
                        .latency_met = MEAN(latency_met),
                        .accuracy_met = MEAN(accuracy_met),
                        .welfare = MEAN(welfare),
                        .utility = MEAN(utility),
                        .seconds = MEAN(seconds)};
  double envy = 0.0, consensus = 0.0;
  for (size_t t = 0; t < slots; t++) {
    sum.ratio_min = fmin(sum.ratio_min, rows[t].ratio); /* fmin passes over NaN */
    if (rows[t].refused) continue;
    sum.cleared++;
    envy += rows[t].envy ? 1.0 : 0.0;
    consensus += rows[t].consensus ? 1.0 : 0.0;
  }
  sum.envy_rate = sum.cleared > 0 ? envy / (double)sum.cleared : NAN;
  sum.consensus_rate = sum.cleared > 0 ? consensus / (double)sum.cleared : NAN;
  return sum;
}
