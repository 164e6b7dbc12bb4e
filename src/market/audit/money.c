#include "market/audit/audit_internal.h"

#include <math.h>

bool ef_audit_exceeds(double a, double b) {
  return !(a - b <= EF_AUDIT_TOLERANCE * fmax(fabs(a), fabs(b))); /* so that NaN exceeds */
}

static bool differs(double a, double b) { return ef_audit_exceeds(a, b) || ef_audit_exceeds(b, a); }

double ef_audit_units(const ef_audit_run *run, size_t i, const ef_award *award) {
  if (run->spec->mechanism->meets_deadlines) return (double)run->market->demand[i];
  return award->unit_price > 0 ? award->payment / award->unit_price : 0;
}

/* No winner pays more than its bid, no loser pays. */
static void check_rational(ef_audit_run *run, const ef_audit_coin *coin, size_t i) {
  ef_finding *finding = &run->audit->findings[EF_CLAIM_RATIONAL];
  const ef_award *award = &coin->awards[i];
  double most = award->fate == EF_FATE_WIN ? run->market->bid[i] : 0;
  char room[EF_AUDIT_NAME];
  finding->checks++;
  if (!ef_audit_exceeds(award->payment, most)) return;
  ef_audit_fault(finding, coin->consensus, award->payment - most, "%s %s %.9g and pays %.9g at u=%.6g",
                 ef_audit_name(run, i, room),
                 award->fate == EF_FATE_WIN ? "wins with a bid of" : "loses with", run->market->bid[i],
                 award->payment, coin->coin.u);
}

static void check_reserve(ef_audit_run *run, const ef_audit_coin *coin, size_t i) {
  ef_finding *finding = &run->audit->findings[EF_CLAIM_RESERVE];
  double reserve = (1 + run->market->margin) * run->market->unit_cost, price = coin->awards[i].unit_price;
  char room[EF_AUDIT_NAME];
  finding->checks++;
  if (!ef_audit_exceeds(reserve, price)) return;
  ef_audit_fault(finding, coin->consensus, reserve - price,
                 "%s pays %.9g a unit, under the reserve of %.9g at u=%.6g", ef_audit_name(run, i, room),
                 price, reserve, coin->coin.u);
}

/* A bidder's payment is its units at its price. */
static void check_payment(ef_audit_run *run, const ef_audit_coin *coin, size_t i) {
  ef_finding *finding = &run->audit->findings[EF_CLAIM_BUDGET];
  const ef_award *award = &coin->awards[i];
  double wanted = award->fate == EF_FATE_WIN ? award->unit_price * ef_audit_units(run, i, award) : 0;
  char room[EF_AUDIT_NAME];
  finding->checks++;
  if (!differs(award->payment, wanted)) return;
  ef_audit_fault(finding, coin->consensus, fabs(award->payment - wanted),
                 "%s pays %.9g, but its units at its price cost %.9g at u=%.6g", ef_audit_name(run, i, room),
                 award->payment, wanted, coin->coin.u);
}

static void check_capacity(ef_audit_run *run, const ef_audit_coin *coin, double used) {
  ef_finding *finding = &run->audit->findings[EF_CLAIM_CAPACITY];
  double capacity = (double)run->market->capacity;
  finding->checks++;
  if (!ef_audit_exceeds(used, capacity)) return;
  ef_audit_fault(finding, coin->consensus, used - capacity, "%.17g units sold of %.17g at u=%.6g", used,
                 capacity, coin->coin.u);
}

/* The sums that the program reports are those of the awards. */
static void check_sums(ef_audit_run *run, const ef_audit_coin *coin, double paid, double used) {
  ef_finding *finding = &run->audit->findings[EF_CLAIM_BUDGET];
  ef_sale sale = ef_sale_sum(run->market, coin->awards);
  double income = run->market->unit_cost * (double)sale.used;
  finding->checks++;
  if (!differs(sale.revenue, paid) && !differs(sale.profit + income, paid) &&
      (!run->spec->mechanism->meets_deadlines || !differs((double)sale.used, used)))
    return;
  ef_audit_fault(finding, coin->consensus, fabs(sale.profit + income - paid),
                 "users pay %.9g, but profit %.9g and infrastructure income %.9g are reported at u=%.6g",
                 paid, sale.profit, income, coin->coin.u);
}

/* AERIA recovers its estimate: profit = max(R, phi * units), T under consensus and E always (3.6). */
static void check_recovered(ef_audit_run *run, const ef_audit_coin *coin, double profit, double paid,
                            double used) {
  if (!run->aeria || coin->vickrey || run->variant == EF_VARIANT_D) return;
  if (run->variant == EF_VARIANT_T && !coin->core) return;
  ef_finding *finding = &run->audit->findings[EF_CLAIM_BUDGET];
  double wanted = coin->estimate > 0 ? fmax(coin->estimate, run->floor * used) : 0;
  finding->checks++;
  if (fabs(profit - wanted) <= EF_AUDIT_TOLERANCE * fmax(fabs(wanted), fabs(paid))) return;
  ef_audit_fault(finding, coin->consensus, fabs(profit - wanted),
                 "profit is %.9g where the agreed estimate asks for %.9g at u=%.6g", profit, wanted,
                 coin->coin.u);
}

void ef_audit_money(ef_audit_run *run, const ef_audit_coin *coin) {
  double used = 0, paid = 0;
  for (size_t i = 0; i < run->market->n; i++) {
    check_rational(run, coin, i);
    check_payment(run, coin, i);
    if (coin->awards[i].fate != EF_FATE_WIN) continue;
    check_reserve(run, coin, i);
    used += ef_audit_units(run, i, &coin->awards[i]);
    paid += coin->awards[i].payment;
  }
  check_capacity(run, coin, used);
  check_sums(run, coin, paid, used);
  check_recovered(run, coin, paid - run->market->unit_cost * used, paid, used);
}
