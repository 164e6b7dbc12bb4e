#include "study/report.h"

#include "base/file.h"
#include "base/markdown.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- AERIA among the truthful ---------------------------------------------------------------------------
 */

static const ef_study_column *find_column(const char *name) {
  const ef_study_column *column = ef_summary_columns;
  while (column->name && strcmp(column->name, name) != 0) column++;
  return column;
}

static bool is_rival(const ef_mechanism *m) { return m->truth == EF_TRUTHFUL && !m->benchmark; }

/* Index of AERIA in the study; mechanism_count if it was not run. */
static size_t find_aeria(const ef_study *study) {
  size_t m = 0;
  while (m < study->mechanism_count && strcmp(study->mechanisms[m]->name, ef_study_aeria(study)) != 0) m++;
  return m;
}

/* The same on any row of means, (mechanisms). */
static bool find_standing(const ef_study *study, const ef_summary_row *rows, const ef_study_column *column,
                          ef_standing *standing) {
  size_t aeria = find_aeria(study);
  if (aeria == study->mechanism_count) return false;
  double own = ef_study_value(&rows[aeria], column);
  *standing = (ef_standing){.place = 1, .of = 1, .own = own};
  for (size_t m = 0; m < study->mechanism_count; m++) {
    double value = ef_study_value(&rows[m], column);
    if (m == aeria || !is_rival(study->mechanisms[m]) || isnan(value)) continue;
    standing->of++;
    standing->place += value > own;
    if (standing->best && value <= standing->best_value) continue;
    standing->best = study->mechanisms[m]->name;
    standing->best_value = value;
  }
  return !isnan(own);
}

bool ef_study_standing(const ef_study *study, const ef_study_case *c, const char *column,
                       ef_standing *standing) {
  return find_standing(study, c->simulation.summary, find_column(column), standing);
}

static void say_standing(const ef_study *study, const ef_study_case *c, const char *column, const char *what,
                         FILE *out) {
  ef_standing s;
  if (!ef_study_standing(study, c, column, &s)) {
    fprintf(out, "- %s, by %s: no figure for %s.\n", c->name, what, ef_study_aeria(study));
    return;
  }
  fprintf(out, "- %s, by %s: %s is number %zu of %zu with %.3f", c->name, what, ef_study_aeria(study),
          s.place, s.of, s.own);
  if (s.best) fprintf(out, "; the best of the others is %s with %.3f", s.best, s.best_value);
  fputs(".\n", out);
}

static void say_standings(const ef_study *study, FILE *out) {
  size_t aeria = find_aeria(study);
  fputs("## AERIA among the truthful mechanisms\n\n", out);
  if (aeria == study->mechanism_count) {
    fprintf(out, "%s is not among the mechanisms that were compared.\n\n", ef_study_aeria(study));
    return;
  }
  fprintf(out, "Compared are the mechanisms that are truthful under every coin");
  if (study->mechanisms[aeria]->truth != EF_TRUTHFUL)
    fprintf(out, ", and %s, which is so only under consensus", ef_study_aeria(study));
  fputs(".\n\n", out);
  for (size_t i = 0; i < study->case_count; i++) {
    say_standing(study, &study->cases[i], "ratio_mean", "mean ratio", out);
    say_standing(study, &study->cases[i], "ratio_min", "least ratio", out);
  }
  fputc('\n', out);
}

/* ---- tables ---------------------------------------------------------------------------------------------
 */

/* A profit of -1e-15 is no loss. */
static void put_real(ef_md_table *t, double x, int digits) {
  ef_md_real(t, fabs(x) < 0.5 * pow(10.0, -digits) ? 0.0 : x, digits);
}

static ef_status print_case(const ef_study *study, const ef_study_case *c, FILE *out) {
  ef_md_table t =
      ef_md_table_make("mechanism|truthful|one price|mean ratio|least ratio|profit|revenue|served "
                       "(%)|utilisation (%)|envy (%)|consensus (%)|in time (%)|time (us)");
  for (size_t m = 0; m < study->mechanism_count; m++) {
    const ef_mechanism *mechanism = study->mechanisms[m];
    const ef_summary_row *row = &c->simulation.summary[m];
    ef_md_cell(&t, "%s", mechanism->name);
    ef_md_cell(&t, "%s", mechanism->benchmark ? "benchmark" : ef_truth_text(mechanism->truth));
    ef_md_cell(&t, "%s", ef_price_text(mechanism->price));
    put_real(&t, row->ratio_mean, 3);
    put_real(&t, row->ratio_min, 3);
    put_real(&t, row->profit, 1);
    put_real(&t, row->revenue, 1);
    put_real(&t, 100.0 * row->served, 1);
    put_real(&t, 100.0 * row->utilisation, 1);
    put_real(&t, 100.0 * row->envy_rate, 1);
    put_real(&t, 100.0 * row->consensus_rate, 1);
    put_real(&t, 100.0 * row->latency_met, 1);
    put_real(&t, 1e6 * row->seconds, 1);
  }
  return ef_md_print(&t, out);
}

static double mean(const double *values, size_t n) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) sum += values[i];
  return sum / (double)n;
}

static void say_refusals(const ef_study *study, const ef_study_case *c, FILE *out) {
  const ef_simulation *s = &c->simulation;
  bool any = false;
  for (size_t m = 0; m < study->mechanism_count; m++) {
    if (!s->notes[m]) continue;
    fprintf(out, "%s left out %zu of %zu slots: %s.\n", study->mechanisms[m]->name,
            s->slots - s->summary[m].cleared, s->slots, s->notes[m]);
    any = true;
  }
  if (any) fputc('\n', out);
}

ef_status ef_market_report_tables(const ef_study *study, FILE *out) {
  for (size_t i = 0; i < study->case_count; i++) {
    const ef_study_case *c = &study->cases[i];
    const ef_simulation *s = &c->simulation;
    fprintf(
        out,
        "## %s\n\nMeans over %zu slots: %.1f users, %.1f bidders, unit cost %.4f; capacity %lld units.\n\n",
        c->name, s->slots, mean(s->users, s->slots), mean(s->bidders, s->slots), mean(s->unit_cost, s->slots),
        (long long)s->capacity);
    EF_TRY(print_case(study, c, out));
    say_refusals(study, c, out);
  }
  return EF_OK;
}

/* ---- sweeps ---------------------------------------------------------------------------------------------
 */

static ef_status print_sweep(const ef_study *study, const ef_study_sweep *s, FILE *out) {
  const ef_study_column *by_mean = find_column("ratio_mean"), *by_min = find_column("ratio_min");
  size_t aeria = find_aeria(study), M = study->mechanism_count, P = s->sweep->count;
  ef_md_table t = ef_md_table_make("workload|point|mean ratio|place|least ratio|place|profit|served "
                                   "(%)|utilisation (%)|consensus (%)|best of the others|its mean ratio");
  for (size_t i = 0; i < study->case_count * P; i++) {
    const ef_summary_row *rows = s->summary + i * M, *own = &rows[aeria];
    ef_standing a = {0}, b = {0};
    bool good = find_standing(study, rows, by_mean, &a), least = find_standing(study, rows, by_min, &b);
    ef_md_cell(&t, "%s", study->cases[i / P].name);
    ef_md_cell(&t, "%g", s->sweep->points[i % P]);
    put_real(&t, own->ratio_mean, 3);
    put_real(&t, good ? (double)a.place : NAN, 0);
    put_real(&t, own->ratio_min, 3);
    put_real(&t, least ? (double)b.place : NAN, 0);
    put_real(&t, own->profit, 1);
    put_real(&t, 100.0 * own->served, 1);
    put_real(&t, 100.0 * own->utilisation, 1);
    put_real(&t, 100.0 * own->consensus_rate, 1);
    ef_md_cell(&t, "%s", a.best ? a.best : "-");
    put_real(&t, a.best ? a.best_value : NAN, 3);
  }
  fprintf(out, "## Sweep of %s\n\n%s moved over these points (%s), %lld slots each.\n\n", s->sweep->name,
          ef_study_aeria(study), s->sweep->help, (long long)study->deck->market.sweep_slots);
  return ef_md_print(&t, out);
}

static ef_status print_sweeps(const ef_study *study, FILE *out) {
  if (find_aeria(study) == study->mechanism_count) return EF_OK;
  for (size_t k = 0; k < study->sweep_count; k++) EF_TRY(print_sweep(study, &study->sweeps[k], out));
  return EF_OK;
}

/* ---- the page -------------------------------------------------------------------------------------------
 */

static void print_head(const ef_study *study, FILE *out) {
  fprintf(out, "# Edge market: AERIA beside its rivals\n\nSeed %lld, %zu slots, %zu workload%s.\n\n",
          (long long)study->deck->run.seed, study->scenario.slots, study->case_count,
          study->case_count == 1 ? "" : "s");
  fputs("A ratio is a slot's profit over F2, the omniscient single price that counts at most half of the "
        "demand\n"
        "for one user; means and least values are over the slots with F2 > 0. Profit is payments less unit "
        "cost\n"
        "of the units sold. Benchmarks know the values and are no mechanisms. Bids equal values, which is "
        "what\n"
        "users do best in a truthful mechanism and not in the others. Envy: share of the slots in which\n"
        "somebody prefers what another got and paid. Consensus: share in which one price was certain. In "
        "time:\n"
        "share of the winners that are served within their deadline.\n\n",
        out);
}

static ef_status print_traces(const ef_study *study, FILE *out) {
  ef_md_table t = ef_md_table_make("trace|entries|mean|unit|source");
  size_t synthetic = 0;
  for (size_t i = 0; i < EF_STUDY_TRACES; i++) {
    const ef_study_trace trace = ef_study_trace_at(study, i);
    const char *slash = strrchr(trace.file, '/');
    synthetic += trace.trace->synthetic;
    ef_md_cell(&t, "%s", trace.name);
    ef_md_count(&t, trace.trace->count);
    ef_md_cell(&t, "%.6g", ef_trace_mean(trace.trace));
    ef_md_cell(&t, "%s", trace.units);
    ef_md_cell(&t, "%s", trace.trace->synthetic ? "generated: synthetic" : (slash ? slash + 1 : trace.file));
  }
  fputs("## What drove it\n\n", out);
  EF_TRY(ef_md_print(&t, out));
  fprintf(out, "%zu of %d traces are synthetic: generated, not measured.\n\n", synthetic, EF_STUDY_TRACES);
  return EF_OK;
}

static ef_status print_page(const ef_study *study, const char *command, FILE *out) {
  print_head(study, out);
  say_standings(study, out);
  EF_TRY(ef_market_report_tables(study, out));
  EF_TRY(print_sweeps(study, out));
  EF_TRY(print_traces(study, out));
  fprintf(out, "## Again\n\n`%s`\n\nThe run folder's deck.yaml has every setting; market.h5 every figure.\n",
          command);
  return EF_OK;
}

ef_status ef_market_report_write(const ef_study *study, const char *command, const char *path) {
  char *page = NULL;
  size_t bytes = 0;
  FILE *out = open_memstream(&page, &bytes);
  EF_TRY(EF_CHECK(out, EF_MACHINE, "%s: out of memory", path));
  ef_status status = print_page(study, command, out);
  bool whole = fclose(out) == 0;
  if (status == EF_OK) status = EF_CHECK(whole, EF_MACHINE, "%s: out of memory", path);
  if (status == EF_OK) status = ef_file_write(path, page, bytes);
  free(page);
  return status;
}
