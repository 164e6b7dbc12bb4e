#include "base/file.h"
#include "report/effort.h"
#include "report/market.h"
#include "report/plan.h"
#include "report/quality_json.h"
#include "report/rows.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* jansson hands NULL through: a value that cannot be made makes the whole NULL, which write_text finds. */

static json_t *whole(uint64_t n) { return json_integer((json_int_t)n); }
static json_t *bytes(double n) { return isfinite(n) ? whole((uint64_t)n) : json_null(); }

static json_t *qualities(const ef_report *r, const ef_row *row) {
  json_t *out = json_object();
  for (size_t d = 0; d < r->domains; d++) {
    json_object_set_new(out, r->run->tokens.domains[d], ef_quality_json(&row->by_domain[d]));
  }
  json_object_set_new(out, "all", ef_quality_json(&row->all));
  return out;
}

/* ---- controls and verdict ----------------------------------------------------------------------------- */

static json_t *public_only(const ef_report *r) {
  if (!r->public_only) return json_null();
  json_t *out = qualities(r, r->public_only);
  json_object_set_new(out, "steps", whole(r->outcome->public_only.steps));
  json_object_set_new(out, "kept_step", whole(r->outcome->public_only.kept));
  return out;
}

static json_t *best_device(const ef_report *r) {
  if (!r->best_device) return json_null();
  size_t device = r->best_device->index;
  json_t *out = qualities(r, r->best_device);
  json_object_set_new(out, "device", whole(device));
  json_object_set_new(out, "family",
                      json_string(ef_report_family(r, (size_t)r->outcome->population.entry[device])));
  return out;
}

static json_t *verdict(const ef_report *r) {
  return json_pack("{s:o, s:o, s:s, s:s}", "minus_public_only", ef_number_json(r->verdict.public_only),
                   "minus_best_device", ef_number_json(r->verdict.best_device), "unit", "nat/token",
                   "sentence", r->verdict.sentence);
}

/* ---- the table ---------------------------------------------------------------------------------------- */

static json_t *rows(const ef_report *r) {
  json_t *out = json_array();
  for (size_t i = 0; i < r->row_count; i++) {
    const ef_row *row = &r->rows[i];
    json_array_append_new(out, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "name", row->name, "quality",
                                         qualities(r, row), "total_steps", whole(row->cost.total_steps),
                                         "sequential_steps", whole(row->cost.sequential_steps),
                                         "device_tokens", whole(row->cost.device_tokens), "server_tokens",
                                         whole(row->cost.server_tokens)));
  }
  return out;
}

/* ---- devices ------------------------------------------------------------------------------------------ */

static json_t *device(const ef_report *r, size_t n) {
  return json_pack("{s:o, s:s}", "device", whole(n), "family",
                   ef_report_family(r, (size_t)r->outcome->population.entry[n]));
}

static json_t *communication(const ef_report *r) {
  json_t *devices = json_array();
  for (size_t n = 0; n < r->outcome->devices.count; n++) {
    json_t *line = device(r, n);
    json_object_set_new(line, "up_bytes", whole(ef_ledger_device(&r->outcome->ledger, n, EF_UP)));
    json_object_set_new(line, "down_bytes", whole(ef_ledger_device(&r->outcome->ledger, n, EF_DOWN)));
    json_object_set_new(line, "state",
                        json_string(ef_device_state_text(r->outcome->devices.records[n].state)));
    json_array_append_new(devices, line);
  }
  const uint64_t *formula = r->outcome->formula;
  return json_pack("{s:o, s:o, s:o, s:o, s:o}", "up_bytes", whole(r->up_bytes), "down_bytes",
                   whole(r->down_bytes), "formula_bytes", whole(formula[EF_UP]), "formula_down_bytes",
                   whole(formula[EF_DOWN]), "per_device", devices);
}

static json_t *left_out(const ef_report *r) {
  json_t *out = json_array();
  for (size_t n = 0; n < r->outcome->devices.count; n++) {
    ef_device_state state = r->outcome->devices.records[n].state;
    if (state == EF_DEVICE_OK) continue;
    json_array_append_new(out,
                          json_pack("{s:o, s:s}", "device", whole(n), "reason", ef_device_state_text(state)));
  }
  return out;
}

/* ---- fusion ------------------------------------------------------------------------------------------- */

static json_t *clusters(const ef_report *r) {
  json_t *out = json_array();
  for (size_t i = 0; i < r->outcome->clusters.count; i++) {
    const ef_cluster *c = &r->outcome->clusters.clusters[i];
    json_t *members = json_array();
    json_t *weights = json_array();
    for (size_t m = 0; m < c->members; m++) {
      json_array_append_new(members, whole(c->devices[m]));
      json_array_append_new(weights, ef_number_json((double)c->weights[m]));
    }
    json_array_append_new(out, json_pack("{s:s, s:o, s:o, s:s, s:b, s:o, s:o}", "family",
                                         ef_report_family(r, c->entry), "members", members, "weights",
                                         weights, "domain", r->run->tokens.domains[c->domain], "fell_back",
                                         (int)c->fell_back, "member_loss", ef_number_json(c->member_loss),
                                         "loss", ef_number_json(c->loss)));
  }
  return out;
}

static json_t *bases(const ef_report *r) {
  json_t *out = json_array();
  for (size_t i = 0; i < r->outcome->bases.count; i++) {
    const ef_base *b = &r->outcome->bases.bases[i];
    json_array_append_new(out, json_pack("{s:b, s:o, s:o, s:o, s:o, s:o}", "taught", (int)b->taught,
                                         "start_loss", ef_number_json(b->start_loss), "proxy_loss",
                                         ef_number_json(b->proxy_loss), "loss", ef_number_json(b->loss),
                                         "steps", whole(b->steps), "kept", whole(b->kept)));
  }
  return out;
}

/* ---- the machine -------------------------------------------------------------------------------------- */

static json_t *phase_of(const ef_report *r, const ef_phase_total *p) {
  double gflops = p->flops / p->seconds / 1e9;
  double peak = r->sgemm_peak * (double)r->run->par->size;
  const char *place = p->place < EF_PLACE_COUNT ? ef_place_name(p->place) : NULL;
  return json_pack("{s:s, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", p->name, "place",
                   place, "seconds", ef_number_json(p->seconds), "tokens", whole((uint64_t)p->tokens),
                   "tokens_per_s", ef_number_json(p->tokens / p->seconds), "gflops", ef_number_json(gflops),
                   "share_of_peak", ef_number_json(gflops / peak), "compute_seconds",
                   ef_number_json(p->compute_seconds), "exchange_seconds",
                   ef_number_json(p->exchange_seconds), "wait_seconds", ef_number_json(p->wait_seconds),
                   "exchange_bytes", bytes(p->exchange_bytes), "imbalance",
                   ef_number_json(p->slowest_seconds / p->compute_seconds));
}

static json_t *phases(const ef_report *r) {
  json_t *out = json_array();
  for (size_t i = 0; i < r->phase_count; i++) json_array_append_new(out, phase_of(r, &r->phases[i]));
  return out;
}

static json_t *plan_error(const ef_report *r) {
  double relative = (r->planned_bytes - r->measured_bytes) / r->measured_bytes;
  return json_pack("{s:{s:o, s:o, s:o, s:i}, s:o}", "memory", "planned_bytes", bytes(r->planned_bytes),
                   "measured_bytes", bytes(r->measured_bytes), "relative", ef_number_json(relative), "rank",
                   r->outcome->peak_rank, "time", ef_report_plan_json(r));
}

static json_t *text(const ef_report *r) {
  const ef_tokens *t = &r->run->tokens;
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "documents", whole(t->documents), "duplicates",
                   whole(t->duplicates), "vocabulary", whole(t->vocabulary), "public_tokens",
                   whole(r->split_tokens[EF_PUBLIC]), "private_tokens", whole(r->split_tokens[EF_PRIVATE]),
                   "validation_tokens", whole(r->split_tokens[EF_VALIDATION]));
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

static json_t *head(const ef_report *r) {
  const ef_deck *deck = r->run->deck;
  return json_pack("{s:s, s:o, s:i, s:o, s:s, s:b, s:s, s:s}", "method", r->method->name, "seed",
                   whole((uint64_t)deck->run.seed), "ranks", r->run->par->size, "devices",
                   whole(r->outcome->population.devices), "family", ef_family_name(r->outcome->global.family),
                   "finished", 1, "recipe", deck->fusion.recipe, "deck_hash", r->identity);
}

static json_t *report(const ef_report *r) {
  json_t *out = head(r);
  if (!out) return NULL;
  json_object_set_new(out, "verdict", verdict(r));
  json_object_set_new(out, "quality", qualities(r, r->result));
  json_object_set_new(out, "baselines",
                      json_pack("{s:o, s:o}", "public_only", public_only(r), "best_device", best_device(r)));
  json_object_set_new(out, "text", text(r));
  json_object_set_new(out, "rows", rows(r));
  json_object_set_new(out, "clusters", clusters(r));
  json_object_set_new(out, "purity", ef_number_json(r->outcome->clusters.purity));
  json_object_set_new(out, "nmi", ef_number_json(r->outcome->clusters.nmi));
  json_object_set_new(out, "bases", bases(r));
  json_object_set_new(out, "left_out", left_out(r));
  json_object_set_new(out, "communication", communication(r));
  ef_report_memory_json(r, out);
  ef_report_effort_json(r, out);
  json_object_set_new(out, "phases", phases(r));
  json_object_set_new(out, "sgemm_peak_gflops", ef_number_json(r->sgemm_peak));
  json_object_set_new(out, "market", ef_report_market_json(&r->outcome->market));
  json_object_set_new(out, "plan_error", plan_error(r));
  return out;
}

ef_status ef_report_write_json(const ef_report *r) {
  char path[4096];
  ef_run_path(r->run, path, sizeof path, "report.json");
  json_t *out = report(r);
  char *written = out ? json_dumps(out, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) : NULL;
  json_decref(out);
  EF_TRY(EF_CHECK(written, EF_MACHINE, "%s: out of memory", path));
  ef_status status = ef_file_write(path, written, strlen(written));
  free(written);
  return status;
}
