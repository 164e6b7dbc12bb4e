#include "market/audit/audit_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

const char *ef_verdict_name(ef_audit_verdict verdict) {
  static const char *const names[] = {"holds", "holds under consensus", "fails", "not claimed",
                                      "not checked"};
  return names[verdict];
}

const char *ef_claim_name(ef_claim claim) {
  static const char *const names[EF_CLAIM_COUNT] = {"truthful", "demand",     "rational", "capacity",
                                                    "reserve",  "envy_price", "envy",     "budget",
                                                    "estimate", "revenue"};
  return names[claim];
}

const char *ef_audit_name(const ef_audit_run *run, size_t i, char room[EF_AUDIT_NAME]) {
  if (run->spec->names) return run->spec->names[i];
  snprintf(room, EF_AUDIT_NAME, "bidder %zu", i);
  return room;
}

void ef_audit_fault(ef_finding *finding, bool consensus, double amount, const char *fmt, ...) {
  if (finding->faults++ == 0) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(finding->example, sizeof finding->example, fmt, args);
    va_end(args);
  }
  finding->consensus_faults += consensus;
  finding->worst = fmax(finding->worst, amount);
}

/* How much of a claim the mechanism makes. */
typedef enum strength { NEVER, UNDER_CONSENSUS, ALWAYS } strength;

static strength truth_claimed(const ef_mechanism *mechanism) {
  switch (mechanism->truth) {
  case EF_TRUTHFUL:
    return ALWAYS;
  case EF_TRUTHFUL_UNDER_CONSENSUS:
    return UNDER_CONSENSUS;
  default:
    return NEVER;
  }
}

static strength price_claimed(const ef_mechanism *mechanism) {
  switch (mechanism->price) {
  case EF_ONE_PRICE:
    return ALWAYS;
  case EF_ONE_PRICE_UNDER_CONSENSUS:
    return UNDER_CONSENSUS;
  default:
    return NEVER;
  }
}

static strength claimed(const ef_audit_run *run, ef_claim claim) {
  const ef_mechanism *mechanism = run->spec->mechanism;
  switch (claim) {
  case EF_CLAIM_TRUTHFUL:
    return truth_claimed(mechanism);
  case EF_CLAIM_DEMAND:
    return run->aeria && run->variant == EF_VARIANT_D ? ALWAYS : NEVER;
  case EF_CLAIM_ENVY_PRICE:
    return price_claimed(mechanism);
  case EF_CLAIM_ENVY: /* follows from one price where everyone buys just what it needs */
    return mechanism->meets_deadlines ? price_claimed(mechanism) : NEVER;
  case EF_CLAIM_ESTIMATE:
    return run->aeria ? ALWAYS : NEVER;
  case EF_CLAIM_REVENUE:
    return run->aeria && run->variant != EF_VARIANT_D ? ALWAYS : NEVER;
  default:
    return ALWAYS;
  }
}

static ef_audit_verdict judge(const ef_finding *finding, strength claim) {
  if (claim == NEVER) return EF_NOT_CLAIMED;
  if (finding->checks == 0) return EF_NOT_CHECKED;
  if (finding->faults == 0) return EF_HOLDS;
  return claim == UNDER_CONSENSUS && finding->consensus_faults == 0 ? EF_HOLDS_UNDER_CONSENSUS : EF_FAILS;
}

void ef_audit_judge(ef_audit_run *run) {
  for (ef_claim claim = 0; claim < EF_CLAIM_COUNT; claim++) {
    ef_finding *finding = &run->audit->findings[claim];
    finding->verdict = judge(finding, claimed(run, claim));
  }
}

/* The graver of two verdicts on one claim. */
static ef_audit_verdict graver(ef_audit_verdict a, ef_audit_verdict b) {
  static const int gravity[] = {[EF_NOT_CLAIMED] = 0,
                                [EF_NOT_CHECKED] = 1,
                                [EF_HOLDS] = 2,
                                [EF_HOLDS_UNDER_CONSENSUS] = 3,
                                [EF_FAILS] = 4};
  return gravity[a] > gravity[b] ? a : b;
}

static void add_finding(ef_finding *sum, const ef_finding *part, bool first) {
  if (first || (sum->faults == 0 && part->faults > 0)) {
    for (size_t k = 0; k < sizeof sum->example; k++) sum->example[k] = part->example[k];
  }
  sum->verdict = first ? part->verdict : graver(sum->verdict, part->verdict);
  sum->checks += part->checks;
  sum->faults += part->faults;
  sum->consensus_faults += part->consensus_faults;
  sum->worst = fmax(sum->worst, part->worst);
}

void ef_audit_add(ef_audit *sum, const ef_audit *part) {
  for (ef_claim claim = 0; claim < EF_CLAIM_COUNT; claim++)
    add_finding(&sum->findings[claim], &part->findings[claim], sum->markets == 0);
  double markets = (double)(sum->markets + part->markets);
  sum->consensus_rate =
      (sum->consensus_rate * (double)sum->markets + part->consensus_rate * (double)part->markets) / markets;
  sum->markets += part->markets;
  sum->bidders += part->bidders;
  sum->replayed += part->replayed;
  sum->deviations += part->deviations;
  sum->clearings += part->clearings;
  sum->expected_profit += part->expected_profit;
  sum->mean_profit += part->mean_profit;
  sum->bound += part->bound;
  sum->f2 += part->f2;
  sum->ratio = sum->f2 > 0 ? sum->expected_profit / sum->f2 : NAN;
}

bool ef_audit_fails(const ef_audit *audit) {
  for (ef_claim claim = 0; claim < EF_CLAIM_COUNT; claim++) {
    if (audit->findings[claim].verdict == EF_FAILS) return true;
  }
  return false;
}
