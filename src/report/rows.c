#include "report/rows.h"

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

/* ---- rows --------------------------------------------------------------------------------------------- */

static ef_row *add(ef_report *r, const char *name, const ef_quality *by_domain, const ef_cost *cost) {
  ef_row *row = &r->rows[r->row_count++];
  *row = (ef_row){.by_domain = by_domain, .cost = *cost};
  snprintf(row->name, sizeof row->name, "%s", name);
  row->all = ef_report_pool(by_domain, r->domains);
  return row;
}

static ef_cost device_cost(const ef_report *r, size_t device) {
  const ef_deck *d = r->run->deck;
  size_t steps = r->outcome->devices.records[device].steps;
  return (ef_cost){steps, steps, steps * (size_t)(d->federation.batch * d->federation.context), 0};
}

/* Devices whose own models were looked at. */
static void add_devices(ef_report *r) {
  const ef_devices *devices = &r->outcome->devices;
  for (size_t n = 0; (r->method->does & EF_DOES_LOCAL) && n < devices->count; n++) {
    if (devices->records[n].state != EF_DEVICE_OK) continue;
    char name[48];
    snprintf(name, sizeof name, "device %zu", n);
    ef_cost cost = device_cost(r, n);
    ef_row *row = add(r, name, devices->validation + n * r->domains, &cost);
    row->is_device = true;
    row->index = n;
    double mine = ef_log_perplexity(&row->all);
    if (isfinite(mine) && (!r->best_device || mine < ef_log_perplexity(&r->best_device->all)))
      r->best_device = row;
  }
}

/* "merged starts" is where the control begins: copies of the common start, merged. */
static void add_control(ef_report *r) {
  const ef_tuned *control = &r->outcome->public_only;
  if (control->steps == 0) return;
  ef_cost cost = {0};
  add(r, "merged starts", control->before, &cost);
  cost.total_steps = cost.sequential_steps = control->steps;
  cost.server_tokens = control->steps * (size_t)(r->run->deck->tune.batch * r->run->deck->global.context);
  r->public_only = add(r, "public_only", control->after, &cost);
}

static ef_status make_rows(ef_report *r) {
  const ef_outcome *o = r->outcome;
  EF_TRY(EF_NEW(r->rows, o->devices.count + o->stage_count + 3));
  add_devices(r);
  for (size_t i = 0; i < o->stage_count; i++)
    add(r, o->stages[i].name, o->stages[i].by_domain, &o->stages[i].cost);
  r->result = add(r, "tuned", o->tuned.after, &o->cost);
  add_control(r);
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
                   .measured_bytes = outcome->peak_bytes > 0.0 ? outcome->peak_bytes : NAN};
  ef_status status = make_rows(r);
  if (status == EF_OK) status = ef_run_identity(run, NULL, r->identity);
  if (status != EF_OK) {
    ef_report_free(r);
    return status;
  }
  r->up_bytes = ef_ledger_total(&outcome->ledger, EF_UP);
  r->down_bytes = ef_ledger_total(&outcome->ledger, EF_DOWN);
  count_text(r);
  double control = r->public_only ? ef_log_perplexity(&r->public_only->all) : NAN;
  double best = r->best_device ? ef_log_perplexity(&r->best_device->all) : NAN;
  r->verdict = ef_report_verdict(method->name, ef_log_perplexity(&r->result->all), control, best,
                                 r->best_device ? r->best_device->index : 0);
  return EF_OK;
}

bool ef_report_bytes_agree(const ef_report *r) {
  return r->up_bytes == r->outcome->formula[EF_UP] && r->down_bytes == r->outcome->formula[EF_DOWN];
}

void ef_report_free(ef_report *r) {
  ef_free(r->rows);
  ef_free(r->phases);
  ef_free(r->planned);
  *r = (ef_report){0};
}
