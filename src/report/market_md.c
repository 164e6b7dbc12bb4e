#include "base/markdown.h"
#include "report/market.h"

static void print_head(const ef_clearing_run *c, FILE *out) {
  const ef_workload *w = &c->instance.workloads[0];
  const ef_market_summary *m = &c->outcome.markets[0];
  const ef_rules *r = &c->instance.rules;
  fprintf(out, "## Edge market\n\n");
  fprintf(out,
          "The devices ask for inference of the trained model (%.0f prompt tokens, %.0f decoded); AERIA, "
          "variant %s, c = %g, clears %lld units of %.4g GFLOP/s at a unit cost of %.4g.\n\n",
          w->prompt_tokens, w->decode_tokens, ef_variant_name(r->variant), r->c, (long long)m->capacity,
          r->unit_flops / 1e9, r->unit_cost);
  fprintf(out,
          "%zu of %zu devices bid, %zu win %lld units; revenue %.4f, profit %.4f (F2 %.4f, expected over the "
          "coin %.4f, guaranteed %.4f)%s.\n\n",
          m->users, c->instance.user_count, m->sale.winners, (long long)m->sale.used, c->outcome.revenue,
          c->outcome.profit, m->f2, m->expected.profit, m->expected.bound,
          m->consensus && m->sale.winners > 0 ? "; the estimates agree: one price" : "");
}

/* Token accuracy and shares under each threshold. */
static ef_status print_policies(const ef_clearing_run *c, FILE *out) {
  const ef_workload *w = &c->instance.workloads[0];
  ef_md_table t = ef_md_table_make("threshold|token accuracy (%)|leave early (%)|mean layers run");
  for (size_t p = 0; p < w->policy_count; p++) {
    const ef_policy *policy = &w->policies[p];
    double layers = 0.0, last = policy->leave[w->exit_count - 1];
    for (size_t e = 0; e < w->exit_count; e++) layers += policy->leave[e] * (double)w->exits[e].after;
    ef_md_cell(&t, "%.4g", policy->threshold);
    ef_md_real(&t, 100.0 * policy->accuracy, 2);
    ef_md_real(&t, 100.0 * (1.0 - last), 2);
    ef_md_real(&t, layers, 2);
  }
  fprintf(out, "Early exits, measured on %zu validation tokens:\n\n", c->tokens);
  return ef_md_print(&t, out);
}

static ef_status print_users(const ef_clearing_run *c, FILE *out) {
  ef_md_table t = ef_md_table_make("device|status|bid|units|threshold|layers on the device|unit price|pays");
  for (size_t i = 0; i < c->instance.user_count; i++) {
    const ef_user_outcome *u = &c->users[i];
    bool served = u->demand.need != EF_NEED_INFEASIBLE;
    ef_md_cell(&t, "%zu", i);
    ef_md_cell(&t, "%s", ef_user_status_name(u->status));
    ef_md_real(&t, c->instance.users[i].bid, 4);
    ef_md_count(&t, (size_t)u->demand.units);
    if (served) {
      ef_md_cell(&t, "%.4g", c->instance.workloads[0].policies[u->demand.choice].threshold);
      ef_md_count(&t, u->demand.partition);
    } else {
      ef_md_cell(&t, "-");
      ef_md_cell(&t, "-");
    }
    ef_md_real(&t, u->unit_price, 4);
    ef_md_real(&t, u->payment, 4);
  }
  return ef_md_print(&t, out);
}

static ef_status print_audit(const ef_clearing_run *c, FILE *out) {
  if (!c->audited) return EF_OK;
  ef_md_table t = ef_md_table_make("claim|verdict|checks|faults");
  for (int i = 0; i < EF_CLAIM_COUNT; i++) {
    const ef_finding *f = &c->audit.findings[i];
    ef_md_cell(&t, "%s", ef_claim_name((ef_claim)i));
    ef_md_cell(&t, "%s", ef_verdict_name(f->verdict));
    ef_md_count(&t, f->checks);
    ef_md_count(&t, f->faults);
  }
  fprintf(out, "Audit of this clearing, %zu misreports replayed:\n\n", c->audit.deviations);
  return ef_md_print(&t, out);
}

ef_status ef_report_market_md(const ef_clearing_run *c, FILE *out) {
  if (!c->done) return EF_OK;
  print_head(c, out);
  EF_TRY(print_policies(c, out));
  EF_TRY(print_users(c, out));
  EF_TRY(print_audit(c, out));
  fputs(
      "The instance is `market.json`, the profile `workload.json`, the figures `market.h5`; `edgefuse market "
      "audit market.json` replays all misreports.\n\n",
      out);
  return EF_OK;
}
