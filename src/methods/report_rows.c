#include "methods/report_rows.h"

#include "base/memory.h"
#include "train/measure.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Repeated runs of one deck with other seeds differ by about this much (nat per token). */
static const double NOISE = 0.005;

const char *ef_report_family(const ef_report *report, size_t entry) {
  return ef_family_name(report->outcome->population.dims[entry].family);
}

ef_quality ef_report_pool(const ef_quality *by_domain, size_t domains) {
  ef_quality all = ef_quality_total(by_domain, domains);
  for (size_t d = 0; d < domains; d++) {
    if (by_domain[d].tokens > 0 && by_domain[d].bytes == 0) all.bytes = 0;
  }
  return all;
}

/* ---- effort ------------------------------------------------------------------------------------------- */

static size_t device_tokens(const ef_report *r, size_t device) {
  const ef_deck *d = r->run->deck;
  return r->outcome->devices.records[device].steps * (size_t)(d->federation.batch * d->federation.context);
}

static size_t all_device_tokens(const ef_report *r) {
  size_t sum = 0;
  for (size_t n = 0; n < r->outcome->devices.count; n++) sum += device_tokens(r, n);
  return sum;
}

static size_t proxy_tokens(const ef_report *r, const ef_cluster *c) {
  if (c->fell_back) return device_tokens(r, c->best);
  size_t sum = 0;
  for (size_t m = 0; m < c->members; m++) sum += device_tokens(r, c->devices[m]);
  return sum;
}

static size_t base_tokens(const ef_report *r, size_t steps) {
  return steps * (size_t)(r->run->deck->fusion.batch * r->run->deck->global.context);
}

static size_t tune_tokens(const ef_report *r, size_t steps) {
  return steps * (size_t)(r->run->deck->tune.batch * r->run->deck->global.context);
}

/* ---- rows --------------------------------------------------------------------------------------------- */

static ef_row *add(ef_report *r, ef_row_kind kind, size_t index, const char *name,
                   const ef_quality *by_domain) {
  ef_row *row = &r->rows[r->row_count++];
  *row = (ef_row){.kind = kind, .index = index, .by_domain = by_domain};
  snprintf(row->name, sizeof row->name, "%s", name);
  row->all = ef_report_pool(by_domain, r->domains);
  return row;
}

static void add_devices(ef_report *r) {
  const ef_devices *devices = &r->outcome->devices;
  for (size_t n = 0; n < devices->count; n++) {
    if (devices->records[n].state != EF_DEVICE_OK) continue;
    char name[48];
    snprintf(name, sizeof name, "device %zu", n);
    ef_row *row = add(r, EF_ROW_DEVICE, n, name, devices->validation + n * r->domains);
    row->total_steps = row->sequential_steps = devices->records[n].steps;
    row->device_tokens = device_tokens(r, n);
    double mine = ef_log_perplexity(&row->all);
    if (isfinite(mine) && (!r->best_device || mine < ef_log_perplexity(&r->best_device->all)))
      r->best_device = row;
  }
}

static void add_proxies(ef_report *r) {
  const ef_clusters *clusters = &r->outcome->clusters;
  for (size_t i = 0; i < clusters->count; i++) {
    char name[48];
    snprintf(name, sizeof name, "proxy %zu", i);
    ef_row *row = add(r, EF_ROW_PROXY, i, name, clusters->clusters[i].validation);
    row->device_tokens = proxy_tokens(r, &clusters->clusters[i]);
  }
}

static void add_bases(ef_report *r) {
  const ef_bases *bases = &r->outcome->bases;
  for (size_t i = 0; i < bases->count; i++) {
    const ef_base *b = &bases->bases[i];
    char name[48];
    snprintf(name, sizeof name, "base %zu", i);
    ef_row *row = add(r, EF_ROW_BASE, i, name, b->validation);
    row->total_steps = row->sequential_steps = b->steps;
    row->server_tokens = base_tokens(r, b->steps);
    if (b->taught) row->device_tokens = proxy_tokens(r, &r->outcome->clusters.clusters[i]);
  }
}

/* The merged model before and after `tuning_steps`. */
static ef_row *add_global(ef_report *r, ef_row_kind kind, const char *name, const ef_quality *by_domain,
                          size_t tuning_steps) {
  const ef_bases *bases = &r->outcome->bases;
  ef_row *row = add(r, kind, 0, name, by_domain);
  for (size_t i = 0; i < bases->count; i++) {
    size_t steps = bases->bases[i].steps;
    row->total_steps += steps;
    row->server_tokens += base_tokens(r, steps);
    if (steps > row->sequential_steps) row->sequential_steps = steps;
  }
  row->total_steps += tuning_steps;
  row->sequential_steps += tuning_steps;
  row->server_tokens += tune_tokens(r, tuning_steps);
  row->device_tokens = all_device_tokens(r);
  return row;
}

static void add_controls(ef_report *r) {
  const ef_tuned *control = &r->outcome->public_only;
  if (control->steps == 0) return;
  add(r, EF_ROW_STARTS, 0, "merged starts", control->before);
  ef_row *row = add(r, EF_ROW_PUBLIC_ONLY, 0, "public_only", control->after);
  row->total_steps = row->sequential_steps = control->steps;
  row->server_tokens = tune_tokens(r, control->steps);
  r->public_only = row;
}

static ef_status make_rows(ef_report *r) {
  const ef_outcome *o = r->outcome;
  EF_TRY(EF_NEW(r->rows, o->devices.count + o->clusters.count + o->bases.count + 4));
  add_devices(r);
  add_proxies(r);
  add_bases(r);
  add_global(r, EF_ROW_MERGED, "merged", o->tuned.before, 0);
  r->tuned = add_global(r, EF_ROW_TUNED, "tuned", o->tuned.after, o->tuned.steps);
  add_controls(r);
  return EF_OK;
}

/* ---- verdict ------------------------------------------------------------------------------------------ */

/* What the devices were worth, against public text alone. */
static void against_public(const char *method, double tuned, double control, char *out, size_t size) {
  double difference = tuned - control;
  const char *worth = "worth nothing", *relation = "worse than";
  char gain[64];
  if (!isfinite(difference)) {
    snprintf(out, size,
             "What the devices' knowledge was worth is not known: the control public_only did not run");
    return;
  }
  if (fabs(difference) <= NOISE) {
    worth = "worth nothing that can be told from chance";
    relation = difference < 0.0 ? "better than" : "worse than";
  } else if (difference < 0.0) {
    snprintf(gain, sizeof gain, "worth %.4f nat per token", -difference);
    worth = gain;
    relation = "better than";
  }
  snprintf(out, size,
           "The devices' knowledge was %s: %s ends at %.4f nat per token, %.4f %s public text alone (%.4f)",
           worth, method, tuned, fabs(difference), relation, control);
}

static void against_device(const char *method, double tuned, double best, size_t device, char *out,
                           size_t size) {
  double difference = tuned - best;
  if (!isfinite(difference)) {
    snprintf(out, size, "single devices were not measured");
  } else if (fabs(difference) <= NOISE) {
    snprintf(out, size, "the best single device (%zu) is as good (%.4f)", device, best);
  } else {
    snprintf(out, size, "the best single device (%zu) is %.4f %s than %s (%.4f)", device, fabs(difference),
             difference < 0.0 ? "worse" : "better", method, best);
  }
}

ef_verdict ef_report_verdict(const char *method, double tuned, double public_only, double best_device,
                             size_t device) {
  ef_verdict v = {.public_only = tuned - public_only, .best_device = tuned - best_device};
  char first[256], second[160];
  against_public(method, tuned, public_only, first, sizeof first);
  against_device(method, tuned, best_device, device, second, sizeof second);
  snprintf(v.sentence, sizeof v.sentence, "%s; %s.", first, second);
  return v;
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

static void count_bytes(ef_report *r) {
  const ef_outcome *o = r->outcome;
  r->up_bytes = ef_ledger_total(&o->ledger, EF_UP);
  r->down_bytes = ef_ledger_total(&o->ledger, EF_DOWN);
  for (size_t n = 0; n < o->devices.count; n++) {
    if (o->devices.records[n].state != EF_DEVICE_OK) continue;
    r->formula_bytes += ef_upload_formula(r->run->deck, &o->population.dims[o->population.entry[n]]);
  }
}

static void count_text(ef_report *r) {
  const ef_tokens *t = &r->run->tokens;
  for (size_t d = 0; d < t->documents; d++) {
    r->split_tokens[t->split[d]] += (size_t)(t->offset[d + 1] - t->offset[d]);
  }
}

ef_status ef_report_make(const ef_run *run, const ef_method *method, const ef_outcome *outcome,
                         ef_report *r) {
  *r = (ef_report){.run = run,
                   .method = method,
                   .outcome = outcome,
                   .domains = run->tokens.domain_count,
                   .sgemm_peak = NAN,
                   .planned_bytes = NAN,
                   .measured_bytes = NAN};
  ef_status status = make_rows(r);
  if (status == EF_OK) status = ef_run_identity(run, NULL, r->identity);
  if (status != EF_OK) {
    ef_report_free(r);
    return status;
  }
  count_bytes(r);
  count_text(r);
  double control = r->public_only ? ef_log_perplexity(&r->public_only->all) : NAN;
  double best = r->best_device ? ef_log_perplexity(&r->best_device->all) : NAN;
  r->verdict = ef_report_verdict(method->name, ef_log_perplexity(&r->tuned->all), control, best,
                                 r->best_device ? r->best_device->index : 0);
  return EF_OK;
}

void ef_report_free(ef_report *r) {
  ef_free(r->rows);
  ef_free(r->phases);
  *r = (ef_report){0};
}
