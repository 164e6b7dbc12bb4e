#include "cli/market_audit_report.h"

#include "cli/report.h"
#include "report/quality_json.h"
#include <math.h>
#include <string.h>

static const char *variant_of(const ef_mechanism *mechanism) {
  if (strcmp(mechanism->name, "aeria-t") == 0) return "T";
  if (strcmp(mechanism->name, "aeria-e") == 0) return "E";
  return strcmp(mechanism->name, "aeria-d") == 0 ? "D" : NULL;
}

static json_t *claims_json(const ef_audit *audit) {
  json_t *claims = json_object();
  for (ef_claim claim = 0; claim < EF_CLAIM_COUNT; claim++) {
    const ef_finding *f = &audit->findings[claim];
    json_t *finding =
        json_pack("{s:s, s:I, s:I, s:I, s:o, s:s}", "verdict", ef_verdict_name(f->verdict), "checks",
                  (json_int_t)f->checks, "faults", (json_int_t)f->faults, "consensus_faults",
                  (json_int_t)f->consensus_faults, "worst", ef_number_json(f->worst), "example", f->example);
    json_object_set_new(claims, ef_claim_name(claim), finding);
  }
  return claims;
}

static json_t *audit_json(const char *name, const ef_audit *a) {
  return json_pack("{s:s, s:I, s:I, s:b, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "market", name,
                   "bidders", (json_int_t)a->bidders, "replayed", (json_int_t)a->replayed, "sampled",
                   a->replayed < a->bidders, "deviations", (json_int_t)a->deviations, "clearings",
                   (json_int_t)a->clearings, "claims", claims_json(a), "expected_profit",
                   ef_number_json(a->expected_profit), "mean_profit", ef_number_json(a->mean_profit), "bound",
                   ef_number_json(a->bound), "F2", ef_number_json(a->f2), "ratio", ef_number_json(a->ratio),
                   "consensus_rate", ef_number_json(a->consensus_rate), "verdict",
                   ef_audit_fails(a) ? "fails" : "holds");
}

static ef_status print_json(const ef_audit_spec *spec, const ef_market_audit *audits, size_t count,
                            const ef_audit *sum) {
  json_t *markets = json_array();
  for (size_t m = 0; m < count; m++) {
    json_t *one = audit_json(audits[m].name, &audits[m].audit);
    json_object_set_new(one, "most_points", json_integer((json_int_t)audits[m].most_points));
    json_array_append_new(markets, one);
  }
  return ef_cli_print_json(json_pack("{s:s, s:s?, s:{s:f, s:f}, s:I, s:I, s:o, s:o, s:s}", "mechanism",
                                     spec->mechanism->name, "variant", variant_of(spec->mechanism), "coin",
                                     "u", spec->coin.u, "v", spec->coin.v, "coins", (json_int_t)spec->coins,
                                     "seed", (json_int_t)spec->seed, "markets", markets, "claims",
                                     claims_json(sum), "verdict", ef_audit_fails(sum) ? "fails" : "holds"));
}

static void print_markets(const ef_market_audit *audits, size_t count) {
  printf("%-12s %8s %9s %12s %13s %13s %13s %13s %8s %10s\n", "market", "bidders", "replayed", "misreports",
         "exp. profit", "mean profit", "bound", "F2", "ratio", "consensus");
  bool sampled = false, nearest = false;
  for (size_t m = 0; m < count; m++) {
    const ef_audit *a = &audits[m].audit;
    printf("%-12s %8zu %9zu %12zu %13.6g %13.6g %13.6g %13.6g %8.4f %9.0f%%\n", audits[m].name, a->bidders,
           a->replayed, a->deviations, a->expected_profit, a->mean_profit, a->bound, a->f2, a->ratio,
           100 * a->consensus_rate);
    sampled = sampled || a->replayed < a->bidders;
    nearest = nearest || (audits[m].most_points > 0 && audits[m].most_points + 1 < a->bidders);
  }
  if (sampled) puts("a sample of bidders was replayed; --users 0 replays all");
  if (nearest) puts("densities of the others nearest in rank were tried; --points 0 tries all");
}

static void print_claims(const ef_audit *audit) {
  printf("\n%-10s %-21s %12s %10s %12s %12s  %s\n", "claim", "verdict", "checks", "faults", "in consensus",
         "worst", "example");
  for (ef_claim claim = 0; claim < EF_CLAIM_COUNT; claim++) {
    const ef_finding *f = &audit->findings[claim];
    printf("%-10s %-21s %12zu %10zu %12zu %12.4g  %s\n", ef_claim_name(claim), ef_verdict_name(f->verdict),
           f->checks, f->faults, f->consensus_faults, f->worst, f->example);
  }
}

static void print_table(const ef_audit_spec *spec, const ef_market_audit *audits, size_t count,
                        const ef_audit *sum) {
  printf("%s: %s\n", spec->mechanism->name, spec->mechanism->help);
  printf("coin u = %.17g, v = %.17g, and %zu more\n\n", spec->coin.u, spec->coin.v, spec->coins);
  print_markets(audits, count);
  print_claims(sum);
}

/* EF_DIFFERS with the first claim that fails. */
static ef_status conclude(const ef_audit_spec *spec, const ef_audit *sum) {
  for (ef_claim claim = 0; claim < EF_CLAIM_COUNT; claim++) {
    const ef_finding *f = &sum->findings[claim];
    EF_TRY(EF_CHECK(f->verdict != EF_FAILS, EF_DIFFERS,
                    "market audit: %s: the claim \"%s\" fails %zu times: %s", spec->mechanism->name,
                    ef_claim_name(claim), f->faults, f->example));
  }
  return EF_OK;
}

ef_status ef_market_audit_print(const ef_audit_spec *spec, const ef_market_audit *audits, size_t count,
                                bool json) {
  ef_audit sum = {0};
  for (size_t m = 0; m < count; m++) ef_audit_add(&sum, &audits[m].audit);
  if (json)
    EF_TRY(print_json(spec, audits, count, &sum));
  else
    print_table(spec, audits, count, &sum);
  return conclude(spec, &sum);
}
