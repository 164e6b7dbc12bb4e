#include "report/market.h"
#include "report/quality_json.h"

/* jansson hands NULL through: a value that cannot be made makes its object NULL, or is left out of it. */

static json_t *whole(size_t n) { return n == SIZE_MAX ? json_null() : json_integer((json_int_t)n); }

static json_t *statuses(const ef_clearing_run *c) {
  size_t counts[EF_USER_STATUS_COUNT] = {0};
  json_t *out = json_object();
  for (size_t i = 0; i < c->instance.user_count; i++) counts[c->users[i].status]++;
  for (int s = 0; s < EF_USER_STATUS_COUNT; s++) {
    json_object_set_new(out, ef_user_status_name((ef_user_status)s), whole(counts[s]));
  }
  return out;
}

static json_t *exits(const ef_workload *w) {
  json_t *out = json_array();
  for (size_t e = 0; e < w->exit_count; e++) {
    json_array_append_new(out, json_pack("{s:o, s:o}", "layer", whole(w->exits[e].after), "accuracy",
                                         ef_number_json(w->exits[e].accuracy)));
  }
  return out;
}

static json_t *policies(const ef_workload *w) {
  json_t *out = json_array();
  for (size_t p = 0; p < w->policy_count; p++) {
    json_t *leave = json_array();
    for (size_t e = 0; e < w->exit_count; e++) {
      json_array_append_new(leave, ef_number_json(w->policies[p].leave[e]));
    }
    json_array_append_new(out,
                          json_pack("{s:o, s:o, s:o}", "threshold", ef_number_json(w->policies[p].threshold),
                                    "accuracy", ef_number_json(w->policies[p].accuracy), "leave", leave));
  }
  return out;
}

static json_t *devices(const ef_clearing_run *c) {
  json_t *out = json_array();
  for (size_t i = 0; i < c->instance.user_count; i++) {
    const ef_user_outcome *u = &c->users[i];
    json_array_append_new(
        out, json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "device", whole(i), "status",
                       ef_user_status_name(u->status), "bid", ef_number_json(c->instance.users[i].bid),
                       "units", json_integer((json_int_t)u->demand.units), "policy", whole(u->demand.choice),
                       "partition", whole(u->demand.partition), "unit_price", ef_number_json(u->unit_price),
                       "payment", ef_number_json(u->payment)));
  }
  return out;
}

static json_t *audit(const ef_clearing_run *c) {
  if (!c->audited) return json_null();
  json_t *out = json_object();
  for (int i = 0; i < EF_CLAIM_COUNT; i++) {
    const ef_finding *f = &c->audit.findings[i];
    json_object_set_new(out, ef_claim_name((ef_claim)i),
                        json_pack("{s:s, s:o, s:o, s:o, s:s}", "verdict", ef_verdict_name(f->verdict),
                                  "checks", whole(f->checks), "faults", whole(f->faults), "worst",
                                  ef_number_json(f->worst), "example", f->example));
  }
  json_object_set_new(out, "passes", json_boolean(!ef_audit_fails(&c->audit)));
  return out;
}

static void add_rules(const ef_clearing_run *c, json_t *out) {
  const ef_rules *r = &c->instance.rules;
  json_object_set_new(out, "variant", json_string(ef_variant_name(r->variant)));
  json_object_set_new(out, "c", ef_number_json(r->c));
  json_object_set_new(out, "coin", json_pack("{s:f, s:f}", "u", c->outcome.coin.u, "v", c->outcome.coin.v));
  json_object_set_new(out, "unit_flops", ef_number_json(r->unit_flops));
  json_object_set_new(out, "unit_cost", ef_number_json(r->unit_cost));
}

static void add_sale(const ef_clearing_run *c, json_t *out) {
  const ef_market_summary *m = &c->outcome.markets[0];
  json_object_set_new(out, "capacity", json_integer((json_int_t)m->capacity));
  json_object_set_new(out, "bidders", whole(m->users));
  json_object_set_new(out, "kept", whole(m->kept));
  json_object_set_new(out, "winners", whole(m->sale.winners));
  json_object_set_new(out, "used", json_integer((json_int_t)m->sale.used));
  json_object_set_new(out, "floor", ef_number_json(m->floor));
  json_object_set_new(out, "F", ef_number_json(m->f));
  json_object_set_new(out, "F2", ef_number_json(m->f2));
  json_object_set_new(out, "consensus", json_boolean(m->consensus));
  json_object_set_new(out, "revenue", ef_number_json(c->outcome.revenue));
  json_object_set_new(out, "profit", ef_number_json(c->outcome.profit));
  json_object_set_new(out, "infrastructure_income", ef_number_json(c->outcome.infrastructure_income));
  json_object_set_new(out, "expected_profit", ef_number_json(m->expected.profit));
  json_object_set_new(out, "bound", ef_number_json(m->expected.bound));
}

json_t *ef_report_market_json(const ef_clearing_run *c) {
  if (!c->done) return json_null();
  const ef_workload *w = &c->instance.workloads[0];
  json_t *out = json_pack("{s:s, s:s, s:o, s:o, s:o}", "workload", w->name, "checkpoint", w->checkpoint,
                          "profiled_tokens", whole(c->tokens), "measured_flops",
                          ef_number_json(w->measured_flops), "users", whole(c->instance.user_count));
  if (!out) return NULL;
  add_rules(c, out);
  add_sale(c, out);
  json_object_set_new(out, "statuses", statuses(c));
  json_object_set_new(out, "exits", exits(w));
  json_object_set_new(out, "policies", policies(w));
  json_object_set_new(out, "per_device", devices(c));
  json_object_set_new(out, "audit", audit(c));
  return out;
}
