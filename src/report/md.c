#include "base/file.h"
#include "base/markdown.h"
#include "report/effort.h"
#include "report/market.h"
#include "report/plan.h"
#include "report/rows.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *count(size_t n, char out[32]) { return ef_md_thousands(n, out); }

/* ---- verdict and quality ------------------------------------------------------------------------------ */

static void print_difference(const ef_report *r, const char *control, double difference, FILE *out) {
  if (!isfinite(difference)) return;
  fprintf(out, "%s minus %s: %+.4f nat per token over all domains (negative: %s is better).\n",
          r->method->name, control, difference, r->method->name);
}

static void print_memory(const ef_report *r, FILE *out) {
  fprintf(out, "Peak memory: measured %.1f MB", r->measured_bytes / 1e6);
  if (r->run->par->size > 1) fprintf(out, " on rank %d, the largest", r->outcome->peak_rank);
  if (isfinite(r->planned_bytes)) {
    fprintf(out, ", planned %.1f MB (off by %+.1f %%)", r->planned_bytes / 1e6,
            100.0 * (r->planned_bytes / r->measured_bytes - 1.0));
  }
  fputs(".\n\n", out);
}

static void print_time(const ef_report *r, FILE *out) {
  double expected, measured;
  ef_report_plan_total(r, &expected, &measured);
  if (!isfinite(expected) || measured <= 0.0) return;
  fprintf(out, "Time: measured %.1f s, planned for the work that was done %.1f s (off by %+.1f %%).\n\n",
          measured, expected, 100.0 * (expected / measured - 1.0));
}

static void print_head(const ef_report *r, FILE *out) {
  const ef_run *run = r->run;
  fprintf(out, "# %s: what the run gave\n\n**%s**\n\n", r->method->name, r->verdict.sentence);
  print_difference(r, "public_only", r->verdict.public_only, out);
  print_difference(r, "the best device", r->verdict.best_device, out);
  fputc('\n', out);
  fprintf(out, "Recipe `%s`, seed %lld, %d rank%s, %zu devices, global model %s with %zu parameters.\n\n",
          run->deck->fusion.recipe, (long long)run->deck->run.seed, run->par->size,
          run->par->size == 1 ? "" : "s", r->outcome->population.devices,
          ef_family_name(r->outcome->global.family), ef_dims_params(&r->outcome->global));
}

static bool in_main_table(const ef_report *r, const ef_row *row) {
  return !row->is_device || row == r->best_device;
}

static const char accounting[] = "How steps are counted: total server steps = sum over bases + tuning;\n"
                                 "in sequence = longest base + tuning (bases are distilled side by side);\n"
                                 "device tokens = sum over devices of steps * batch * context. The control\n"
                                 "public_only takes its steps in one sequence, on public text alone: the\n"
                                 "total server steps, unless control.public_steps says otherwise. The\n"
                                 "pretraining of the common starts stands behind every row and is counted\n"
                                 "in none. \"merged starts\" is where public_only begins: copies of the\n"
                                 "bases' common start, merged. Bits per byte are given where all of the\n"
                                 "text was scored.\n"
                                 "\n";

static ef_status print_rows(const ef_report *r, FILE *out) {
  ef_md_table t = ef_md_table_make(
      "model|log-perplexity (nat/token)|perplexity|token accuracy (%)|bits per byte|tokens|server "
      "steps, total|in sequence|server tokens|device tokens");
  for (size_t i = 0; i < r->row_count; i++) {
    const ef_row *row = &r->rows[i];
    if (!in_main_table(r, row)) continue;
    double loss = ef_log_perplexity(&row->all);
    ef_md_cell(&t, "%s%s", row->name, row == r->best_device ? " (best device)" : "");
    ef_md_real(&t, loss, 4);
    ef_md_real(&t, exp(loss), 2);
    ef_md_real(&t, 100.0 * ef_token_accuracy(&row->all), 2);
    ef_md_real(&t, ef_bits_per_byte(&row->all), 4);
    ef_md_count(&t, row->all.tokens);
    ef_md_count(&t, row->is_device ? 0 : row->cost.total_steps);
    ef_md_count(&t, row->is_device ? 0 : row->cost.sequential_steps);
    ef_md_count(&t, row->cost.server_tokens);
    ef_md_count(&t, row->cost.device_tokens);
  }
  fputs("## Validation text, all domains\n\n", out);
  EF_TRY(ef_md_print(&t, out));
  fputs(accounting, out);
  return EF_OK;
}

static ef_status print_domains(const ef_report *r, FILE *out) {
  ef_md_table t =
      ef_md_table_make("model|domain|log-perplexity (nat/token)|perplexity|token accuracy (%)|bits per "
                       "byte|tokens");
  for (size_t i = 0; i < r->row_count; i++) {
    const ef_row *row = &r->rows[i];
    for (size_t d = 0; d < r->domains; d++) {
      const ef_quality *q = &row->by_domain[d];
      double loss = ef_log_perplexity(q);
      ef_md_cell(&t, "%s", row->name);
      ef_md_cell(&t, "%s", r->run->tokens.domains[d]);
      ef_md_real(&t, loss, 4);
      ef_md_real(&t, exp(loss), 2);
      ef_md_real(&t, 100.0 * ef_token_accuracy(q), 2);
      ef_md_real(&t, ef_bits_per_byte(q), 4);
      ef_md_count(&t, q->tokens);
    }
  }
  fputs("## Validation text, by domain\n\n", out);
  return ef_md_print(&t, out);
}

/* ---- fusion ------------------------------------------------------------------------------------------- */

static ef_status print_clusters(const ef_report *r, FILE *out) {
  if (r->outcome->clusters.count == 0) return EF_OK;
  ef_md_table t =
      ef_md_table_make("cluster|family|devices|domain|members' loss|proxy's loss|proxy is|start's loss, "
                       "domain|proxy's loss, domain|taught|base's loss|steps|kept step");
  for (size_t i = 0; i < r->outcome->clusters.count; i++) {
    const ef_cluster *c = &r->outcome->clusters.clusters[i];
    const ef_base *b = &r->outcome->bases.bases[i];
    ef_md_cell(&t, "%zu", i);
    ef_md_cell(&t, "%s", ef_report_family(r, c->entry));
    ef_md_count(&t, c->members);
    ef_md_cell(&t, "%s", r->run->tokens.domains[c->domain]);
    ef_md_real(&t, c->member_loss, 4);
    ef_md_real(&t, c->loss, 4);
    if (c->fell_back)
      ef_md_cell(&t, "device %zu", c->best);
    else
      ef_md_cell(&t, "the mean");
    ef_md_real(&t, b->start_loss, 4);
    ef_md_real(&t, b->proxy_loss, 4);
    ef_md_cell(&t, "%s", b->taught ? "yes" : "no");
    ef_md_real(&t, b->loss, 4);
    ef_md_count(&t, b->steps);
    ef_md_count(&t, b->kept);
  }
  fputs("## Clusters, proxies and bases\n\nLosses on the public holdout, nat per token.\n\n", out);
  EF_TRY(ef_md_print(&t, out));
  if (isfinite(r->outcome->clusters.purity + r->outcome->clusters.nmi)) {
    fprintf(out, "Clusters against the devices' domains: purity %.3f, NMI %.3f.\n\n",
            r->outcome->clusters.purity, r->outcome->clusters.nmi);
  }
  return EF_OK;
}

/* ---- devices ------------------------------------------------------------------------------------------ */

static ef_status print_devices(const ef_report *r, FILE *out) {
  const ef_outcome *o = r->outcome;
  if (o->devices.count == 0) return EF_OK;
  char up[32], down[32], formula_up[32], formula_down[32];
  ef_md_table t =
      ef_md_table_make("device|family|state|private tokens|steps|kept step|holdout loss (nat/token)|up "
                       "(bytes)|down (bytes)|peak memory (bytes)");
  for (size_t n = 0; n < o->devices.count; n++) {
    const ef_device_record *d = &o->devices.records[n];
    ef_md_cell(&t, "%zu", n);
    ef_md_cell(&t, "%s", ef_report_family(r, (size_t)o->population.entry[n]));
    ef_md_cell(&t, "%s", ef_device_state_text(d->state));
    ef_md_count(&t, d->tokens);
    ef_md_count(&t, d->steps);
    ef_md_count(&t, d->kept_step);
    ef_md_real(&t, d->state == EF_DEVICE_OK ? d->holdout_loss : NAN, 4);
    ef_md_count(&t, ef_ledger_device(&o->ledger, n, EF_UP));
    ef_md_count(&t, ef_ledger_device(&o->ledger, n, EF_DOWN));
    ef_md_count(&t, d->peak_bytes);
  }
  fputs("## Devices\n\n", out);
  EF_TRY(ef_md_print(&t, out));
  fprintf(out,
          "Bytes that crossed: %s up and %s down by the ledger; %s up and %s down by the closed formula: "
          "%s.\n\n",
          count(r->up_bytes, up), count(r->down_bytes, down), count(o->formula[EF_UP], formula_up),
          count(o->formula[EF_DOWN], formula_down),
          ef_report_bytes_agree(r) ? "equal" : "THEY DIFFER, which is a fault of the program");
  return EF_OK;
}

/* ---- text and machine --------------------------------------------------------------------------------- */

static ef_status print_text(const ef_report *r, FILE *out) {
  const ef_tokens *t = &r->run->tokens;
  ef_md_table table = ef_md_table_make("text|count");
  const char *names[EF_SPLIT_COUNT] = {"public tokens", "private tokens", "validation tokens"};
  ef_md_cell(&table, "documents");
  ef_md_count(&table, t->documents);
  ef_md_cell(&table, "exact duplicates dropped");
  ef_md_count(&table, t->duplicates);
  ef_md_cell(&table, "vocabulary");
  ef_md_count(&table, t->vocabulary);
  for (size_t s = 0; s < EF_SPLIT_COUNT; s++) {
    ef_md_cell(&table, "%s", names[s]);
    ef_md_count(&table, r->split_tokens[s]);
  }
  fputs("## Text\n\n", out);
  return ef_md_print(&table, out);
}

static ef_status print_phases(const ef_report *r, FILE *out) {
  ef_md_table t = ef_md_table_make("phase|seconds|tokens|tokens/s|GFLOP/s|share of peak (%)");
  for (size_t i = 0; i < r->phase_count; i++) {
    const ef_phase_total *p = &r->phases[i];
    double gflops = p->flops / p->seconds / 1e9;
    ef_md_cell(&t, "%s", p->name);
    ef_md_real(&t, p->seconds, 1);
    ef_md_count(&t, (size_t)p->tokens);
    ef_md_real(&t, p->tokens / p->seconds, 0);
    ef_md_real(&t, gflops, 2);
    ef_md_real(&t, 100.0 * gflops / (r->sgemm_peak * (double)r->run->par->size), 1);
  }
  fputs("## Phases\n\nSummed over all starts of the run; tokens are those trained on.\n\n", out);
  EF_TRY(ef_md_print(&t, out));
  fprintf(out, "SGEMM peak of one rank: %.1f GFLOP/s; the share is of that times %d.\n\n", r->sgemm_peak,
          r->run->par->size);
  print_memory(r, out);
  print_time(r, out);
  return EF_OK;
}

/* Where the ranks' time went. */
static ef_status print_exchange(const ef_report *r, FILE *out) {
  if (r->run->par->size == 1) return EF_OK;
  ef_md_table t =
      ef_md_table_make("phase|computing (s)|slowest rank|exchange (s)|waiting (s)|MB exchanged|imbalance");
  for (size_t i = 0; i < r->phase_count; i++) {
    const ef_phase_total *p = &r->phases[i];
    ef_md_cell(&t, "%s", p->name);
    ef_md_real(&t, p->compute_seconds, 1);
    ef_md_real(&t, p->slowest_seconds, 1);
    ef_md_real(&t, p->exchange_seconds, 1);
    ef_md_real(&t, p->wait_seconds, 1);
    ef_md_real(&t, p->exchange_bytes / 1e6, 2);
    ef_md_real(&t, p->slowest_seconds / p->compute_seconds, 2);
  }
  fputs("## Ranks\n\nMeans over ranks but for the slowest; computing is all that is neither moving data "
        "between\nranks nor waiting for the slowest of them. Imbalance: the slowest rank's computing by the "
        "mean.\n\n",
        out);
  return ef_md_print(&t, out);
}

static void print_tail(const ef_report *r, FILE *out) {
  int ranks = r->run->par->size;
  fputs("## Again\n\n`", out);
  if (ranks > 1) fprintf(out, "mpirun -n %d ", ranks);
  fprintf(out, "edgefuse train deck.yaml --method %s` with the deck.yaml of this folder.\n", r->method->name);
  fprintf(out, "Hash of deck, seed and text: `%s`.\n", r->identity);
}

static ef_status print_page(const ef_report *r, FILE *out) {
  print_head(r, out);
  EF_TRY(print_rows(r, out));
  EF_TRY(print_domains(r, out));
  EF_TRY(print_clusters(r, out));
  EF_TRY(print_devices(r, out));
  EF_TRY(ef_report_market_md(&r->outcome->market, out));
  EF_TRY(print_text(r, out));
  EF_TRY(ef_report_effort_md(r, out));
  EF_TRY(print_phases(r, out));
  EF_TRY(print_exchange(r, out));
  print_tail(r, out);
  return EF_OK;
}

ef_status ef_report_write_md(const ef_report *r) {
  char path[4096], *page = NULL;
  size_t bytes = 0;
  ef_run_path(r->run, path, sizeof path, "report.md");
  FILE *out = open_memstream(&page, &bytes);
  EF_TRY(EF_CHECK(out, EF_MACHINE, "%s: out of memory", path));
  ef_status status = print_page(r, out);
  bool whole = fclose(out) == 0;
  if (status == EF_OK) status = EF_CHECK(whole, EF_MACHINE, "%s: out of memory", path);
  if (status == EF_OK) status = ef_file_write(path, page, bytes);
  free(page);
  return status;
}
