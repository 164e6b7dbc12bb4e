#include "market/audit/audit_internal.h"

#include <math.h>

/* The prefix on whose demand bidder i's price was formed: S, or for D that of the others. */
static ef_kept prefix_of(ef_audit_run *run, size_t i) {
  if (run->variant == EF_VARIANT_D) ef_auction_deviate(run->auction, run->market, i, 0);
  return ef_auction_kept(run->auction);
}

/* Units that share the estimate behind the net unit price: cost sharing takes everyone who can pay it. */
static double sharing(const ef_kept *kept, double net, double rounding) {
  size_t k = 0;
  while (k < kept->kept && kept->density[k] >= net - rounding) k++;
  return k > 0 ? (double)kept->total[k - 1] : 0;
}

/* A winner that pays more than the floor shows its estimate, R = net price * units that share it: on the
 * grid c^(j+u), and at most F2. */
static void check_winner(ef_audit_run *run, const ef_audit_coin *coin, size_t i) {
  ef_finding *finding = &run->audit->findings[EF_CLAIM_ESTIMATE];
  double price = coin->awards[i].unit_price, net = price - run->market->unit_cost;
  double rounding = EF_AUDIT_TOLERANCE * price;
  if (net <= run->floor + rounding) return;
  ef_kept kept = prefix_of(run, i);
  double units = sharing(&kept, net, rounding), estimate = net * units, slack = rounding * units;
  double least = ef_estimate(estimate + slack, run->spec->setting.aeria.c, coin->coin.u);
  double f2 = ef_benchmark_f2(&kept);
  char room[EF_AUDIT_NAME];
  finding->checks += 2;
  if (!(least >= estimate - slack)) /* the grid's next value below is not the estimate itself */
    ef_audit_fault(finding, coin->consensus, estimate - least,
                   "%s's price shows an estimate of %.9g, not on the grid at u=%.6g",
                   ef_audit_name(run, i, room), estimate, coin->coin.u);
  if (!(estimate - slack <= f2))
    ef_audit_fault(finding, coin->consensus, estimate - f2,
                   "%s's price shows an estimate of %.9g above F2 = %.9g at u=%.6g",
                   ef_audit_name(run, i, room), estimate, f2, coin->coin.u);
}

void ef_audit_estimate(ef_audit_run *run, const ef_audit_coin *coin) {
  if (!run->aeria || coin->vickrey) return;
  for (size_t i = 0; i < run->market->n; i++) {
    if (coin->awards[i].fate == EF_FATE_WIN) check_winner(run, coin, i);
  }
}

/* F2 max(0, lambda - 1/c)/ln c, lambda = min F2(S minus i)/F2 (E: 1), when no Vickrey branch is taken. */
static double bound_of(const ef_audit_run *run) {
  const ef_aeria *rule = &run->spec->setting.aeria;
  if (!run->aeria || run->variant == EF_VARIANT_D || !(run->f2 > 0)) return 0;
  double least = run->f2;
  for (size_t i = 0; run->variant == EF_VARIANT_T && i < run->market->n; i++)
    least = fmin(least, run->without[i]);
  return (1 - rule->vickrey_prob) * fmax(0, least - run->f2 / rule->c) / log(rule->c);
}

static double mean_profit(const ef_audit_run *run) {
  double sum = 0;
  for (size_t k = 0; k < run->coin_count; k++) sum += ef_sale_sum(run->market, run->coins[k].awards).profit;
  return sum / (double)run->coin_count;
}

void ef_audit_revenue(ef_audit_run *run) {
  ef_audit *audit = run->audit;
  audit->f2 = run->f2;
  audit->bound = bound_of(run);
  audit->mean_profit = audit->expected_profit = mean_profit(run);
  if (run->fast) {
    ef_expectation expectation;
    ef_aeria_expect(run->auction, run->market, &run->rule, run->scratch, &expectation);
    audit->expected_profit = expectation.profit;
    ef_finding *finding = &audit->findings[EF_CLAIM_REVENUE];
    finding->checks++;
    if (ef_audit_exceeds(audit->bound, expectation.profit))
      ef_audit_fault(finding, true, audit->bound - expectation.profit,
                     "expected profit %.9g is below the bound %.9g", expectation.profit, audit->bound);
  }
  audit->ratio = run->f2 > 0 ? audit->expected_profit / run->f2 : NAN;
}
