#include "study/file.h"

#include "base/memory.h"
#include "store/h5.h"
#include <stdio.h>
#include <string.h>

enum { GROUP_BYTES = 160, PATH_BYTES = 320, LIST_BYTES = 2048 };

/* What every writer below needs. */
typedef struct market_file {
  const ef_study *study;
  ef_h5 *out;
  char mechanisms[LIST_BYTES]; /* "aeria-t,aeria-e,..." */
} market_file;

/* One dataset of a group, up to two dimensions (columns 0: one). */
typedef struct table {
  const char *group, *name, *description, *units, *dims;
  size_t rows, columns;
} table;

static ef_status put(market_file *f, ef_h5_type type, const table *t, const void *data) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s", t->group, t->name);
  ef_h5_array array = {.path = path,
                       .type = type,
                       .rank = t->columns ? 2 : 1,
                       .shape = {t->rows, t->columns},
                       .description = t->description,
                       .units = t->units,
                       .dims = t->dims};
  return ef_h5_write(f->out, &array, data);
}

static ef_status put_mechanisms(market_file *f, const char *group) {
  EF_TRY(ef_h5_write_axis(f->out, group, "mechanism", f->study->mechanism_count, 0,
                          "place in the attribute mechanisms of this group, from 0", true));
  return ef_h5_set_text(f->out, group, "mechanisms", f->mechanisms);
}

/* Says of a dataset that it holds measured times, which no second run has again. */
static ef_status put_measured(market_file *f, const char *group, const char *name) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s", group, name);
  return ef_h5_set_int(f->out, path, EF_H5_MEASURED, 1);
}

/* Makes a group that leads viewers to what is below it at the path `first`. */
static ef_status put_entry(market_file *f, const char *group, const char *first) {
  EF_TRY(ef_h5_set_text(f->out, group, "NX_class", "NXentry"));
  return ef_h5_set_text(f->out, group, "default", first);
}

/* ---- one workload ---------------------------------------------------------------------------------------
 */

static ef_status write_summary(market_file *f, const ef_study_case *c, const char *group) {
  size_t M = f->study->mechanism_count;
  double *values = NULL;
  EF_TRY(EF_NEW(values, M));
  ef_status status = EF_OK;
  for (const ef_study_column *column = ef_summary_columns; column->name; column++) {
    for (size_t m = 0; m < M; m++) values[m] = ef_study_value(&c->simulation.summary[m], column);
    EF_GO(put(f, EF_H5_F64,
              &(table){group, column->name, column->description, column->units, "mechanism", M, 0}, values));
  }
  for (size_t m = 0; m < M; m++) values[m] = (double)c->simulation.summary[m].cleared;
  EF_GO(put(f, EF_H5_F64,
            &(table){group, "cleared", "slots that the mechanism could clear", "slot", "mechanism", M, 0},
            values));
  EF_GO(put_mechanisms(f, group));
  EF_GO(ef_h5_set_nxdata(f->out, group, "ratio_mean", "mechanism", c->name));
done:
  ef_free(values);
  return status;
}

static ef_status write_flag(market_file *f, const ef_study_case *c, const char *group, bool envy) {
  size_t M = f->study->mechanism_count, S = c->simulation.slots;
  uint8_t *values = NULL;
  EF_TRY(EF_NEW(values, M * S));
  for (size_t i = 0; i < M * S; i++)
    values[i] = envy ? c->simulation.rows[i].envy : c->simulation.rows[i].consensus;
  const char *description =
      envy ? "1: somebody prefers what another got and paid" : "1: one price was certain";
  const table t = {group, envy ? "envy" : "consensus", description, "1", "mechanism,slot", M, S};
  ef_status status = put(f, EF_H5_U8, &t, values);
  ef_free(values);
  return status;
}

static ef_status write_slots(market_file *f, const ef_study_case *c, const char *group) {
  size_t M = f->study->mechanism_count, S = c->simulation.slots;
  double *values = NULL;
  EF_TRY(EF_NEW(values, M * S));
  ef_status status = EF_OK;
  for (const ef_study_column *column = ef_slot_columns; column->name; column++) {
    for (size_t i = 0; i < M * S; i++) values[i] = ef_study_value(&c->simulation.rows[i], column);
    EF_GO(put(f, EF_H5_F64,
              &(table){group, column->name, column->description, column->units, "mechanism,slot", M, S},
              values));
  }
  EF_GO(write_flag(f, c, group, true));
  EF_GO(write_flag(f, c, group, false));
  EF_GO(put_mechanisms(f, group));
  EF_GO(ef_h5_write_axis(f->out, group, "slot", S, 0, "slot, from 0", true));
  EF_GO(ef_h5_set_nxdata(f->out, group, "profit", "mechanism,slot", c->name));
done:
  ef_free(values);
  return status;
}

static ef_status write_coins(market_file *f, const ef_study_case *c, const char *group) {
  size_t S = c->simulation.slots;
  double *values = NULL;
  EF_TRY(EF_NEW(values, S));
  ef_status status = EF_OK;
  for (size_t s = 0; s < S; s++) values[s] = c->simulation.coins[s].u;
  EF_GO(
      put(f, EF_H5_F64, &(table){group, "coin_u", "coin of the estimate's grid", "1", "slot", S, 0}, values));
  for (size_t s = 0; s < S; s++) values[s] = c->simulation.coins[s].v;
  EF_GO(put(f, EF_H5_F64, &(table){group, "coin_v", "coin of branch and halves", "1", "slot", S, 0}, values));
done:
  ef_free(values);
  return status;
}

static ef_status write_traffic(market_file *f, const ef_study_case *c, const char *group) {
  const ef_simulation *s = &c->simulation;
  size_t S = s->slots;
  EF_TRY(put(f, EF_H5_F64, &(table){group, "users", "users that arrive", "user", "slot", S, 0}, s->users));
  EF_TRY(
      put(f, EF_H5_F64,
          &(table){group, "bidders", "users that need the edge, can be served and fit", "user", "slot", S, 0},
          s->bidders));
  EF_TRY(put(f, EF_H5_F64,
             &(table){group, "unit_cost", "cost of a unit; follows the electricity price", "money/unit",
                      "slot", S, 0},
             s->unit_cost));
  EF_TRY(write_coins(f, c, group));
  EF_TRY(ef_h5_write_axis(f->out, group, "slot", S, 0, "slot, from 0", true));
  return ef_h5_set_nxdata(f->out, group, "unit_cost", "slot", c->name);
}

static ef_status write_time(market_file *f, const ef_study_case *c, const char *group) {
  size_t M = f->study->mechanism_count, S = c->simulation.slots;
  double *values = NULL;
  EF_TRY(EF_NEW(values, M * S));
  ef_status status = EF_OK;
  for (size_t i = 0; i < M * S; i++) values[i] = c->simulation.rows[i].seconds;
  EF_GO(put(f, EF_H5_F64,
            &(table){group, "seconds", "measured time of one clearing", "s", "mechanism,slot", M, S},
            values));
  EF_GO(put_measured(f, group, "seconds"));
  EF_GO(put_mechanisms(f, group));
  EF_GO(ef_h5_write_axis(f->out, group, "slot", S, 0, "slot, from 0", true));
  EF_GO(ef_h5_set_nxdata(f->out, group, "seconds", "mechanism,slot", c->name));
done:
  ef_free(values);
  return status;
}

static ef_status write_case(market_file *f, const ef_study_case *c) {
  static const struct {
    const char *name;
    ef_status (*write)(market_file *f, const ef_study_case *c, const char *group);
  } groups[] = {
      {"summary", write_summary}, {"slots", write_slots}, {"traffic", write_traffic}, {"time", write_time}};
  char group[GROUP_BYTES], entry[GROUP_BYTES];
  snprintf(entry, sizeof entry, "/simulation/%s", c->name);
  for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
    snprintf(group, sizeof group, "/simulation/%s/%s", c->name, groups[i].name);
    EF_TRY(groups[i].write(f, c, group));
  }
  EF_TRY(put_entry(f, entry, "summary"));
  EF_TRY(ef_h5_set_int(f->out, entry, "capacity", c->simulation.capacity));
  EF_TRY(ef_h5_set_real(f->out, entry, "posted_price", c->simulation.posted_price));
  return ef_h5_set_text(f->out, entry, "source", c->workload.source ? c->workload.source : "");
}

/* ---- bids -----------------------------------------------------------------------------------------------
 */

/* Slot and index of every bidder. */
static ef_status write_bidders(market_file *f, const ef_simulation *s, const char *group) {
  size_t n = s->first[s->slots];
  int64_t *values = NULL;
  EF_TRY(EF_NEW(values, n));
  ef_status status = EF_OK;
  for (size_t t = 0; t < s->slots; t++)
    for (size_t i = s->first[t]; i < s->first[t + 1]; i++) values[i] = (int64_t)t;
  EF_GO(put(f, EF_H5_I64, &(table){group, "slot", "slot of the bid", "1", "bidder", n, 0}, values));
  for (size_t i = 0; i < n; i++) values[i] = (int64_t)s->user[i];
  EF_GO(put(f, EF_H5_I64, &(table){group, "user", "user in its slot, from 0", "1", "bidder", n, 0}, values));
done:
  ef_free(values);
  return status;
}

static ef_status write_bids(market_file *f, const ef_study_case *c) {
  const ef_simulation *s = &c->simulation;
  size_t n = s->first[s->slots], M = f->study->mechanism_count;
  char group[GROUP_BYTES];
  if (n == 0) return EF_OK;
  snprintf(group, sizeof group, "/bids/%s", c->name);
  EF_TRY(write_bidders(f, s, group));
  EF_TRY(put(f, EF_H5_F64, &(table){group, "bid", "bid of the user", "money", "bidder", n, 0}, s->bid));
  EF_TRY(put(f, EF_H5_I64, &(table){group, "demand", "least units that serve it", "unit", "bidder", n, 0},
             s->demand));
  EF_TRY(put(f, EF_H5_F64,
             &(table){group, "allotted", "units that it got; 0: lost", "unit", "bidder,mechanism", n, M},
             s->allotted));
  EF_TRY(put(f, EF_H5_F64,
             &(table){group, "payment", "what it paid; 0: lost", "money", "bidder,mechanism", n, M},
             s->payment));
  EF_TRY(ef_h5_write_axis(f->out, group, "bidder", n, 0, "bid, from 0, by slot", true));
  EF_TRY(put_mechanisms(f, group));
  return ef_h5_set_nxdata(f->out, group, "bid", "bidder", c->name);
}

/* ---- sweeps ---------------------------------------------------------------------------------------------
 */

static ef_status put_rows(market_file *f, const ef_summary_row *rows, const table *t, size_t offset) {
  size_t n = t->rows * t->columns;
  double *values = NULL;
  EF_TRY(EF_NEW(values, n));
  const ef_study_column column = {.offset = offset};
  for (size_t i = 0; i < n; i++) values[i] = ef_study_value(&rows[i], &column);
  ef_status status = put(f, EF_H5_F64, t, values);
  ef_free(values);
  return status;
}

static ef_status write_sweep(market_file *f, const ef_study_sweep *s, size_t i) {
  const ef_study_case *c = &f->study->cases[i];
  size_t P = s->sweep->count, M = f->study->mechanism_count;
  const ef_summary_row *rows = s->summary + i * P * M;
  char group[GROUP_BYTES];
  snprintf(group, sizeof group, "/sweep/%s/%s", s->sweep->name, c->name);
  for (const ef_study_column *column = ef_summary_columns; column->name; column++) {
    EF_TRY(put_rows(
        f, rows, &(table){group, column->name, column->description, column->units, "point,mechanism", P, M},
        column->offset));
  }
  EF_TRY(put_rows(
      f, rows,
      &(table){group, "seconds", "measured time of one clearing, mean", "s", "point,mechanism", P, M},
      offsetof(ef_summary_row, seconds)));
  EF_TRY(put_measured(f, group, "seconds"));
  EF_TRY(put(f, EF_H5_F64, &(table){group, "point", s->sweep->help, "1", "point", P, 0}, s->sweep->points));
  EF_TRY(put_mechanisms(f, group));
  return ef_h5_set_nxdata(f->out, group, "ratio_mean", "point,mechanism", c->name);
}

static ef_status write_sweeps(market_file *f) {
  const ef_study *study = f->study;
  if (study->sweep_count == 0) return EF_OK;
  for (size_t k = 0; k < study->sweep_count; k++) {
    char entry[GROUP_BYTES];
    snprintf(entry, sizeof entry, "/sweep/%s", study->sweeps[k].sweep->name);
    for (size_t i = 0; i < study->case_count; i++) EF_TRY(write_sweep(f, &study->sweeps[k], i));
    EF_TRY(put_entry(f, entry, study->cases[0].name));
  }
  char first[GROUP_BYTES];
  snprintf(first, sizeof first, "%s/%s", study->sweeps[0].sweep->name, study->cases[0].name);
  return put_entry(f, "/sweep", first);
}

/* ---- the whole ------------------------------------------------------------------------------------------
 */

static ef_status write_traces(market_file *f) {
  for (size_t i = 0; i < EF_STUDY_TRACES; i++) {
    char path[PATH_BYTES];
    const ef_study_trace t = ef_study_trace_at(f->study, i);
    snprintf(path, sizeof path, "/traces/%s", t.name);
    EF_TRY(put(f, EF_H5_F64, &(table){"/traces", t.name, t.description, t.units, "entry", t.trace->count, 0},
               t.trace->value));
    EF_TRY(ef_h5_set_int(f->out, path, "synthetic", t.trace->synthetic));
    EF_TRY(ef_h5_set_text(f->out, path, "file", t.file));
  }
  return EF_OK;
}

static void append(char list[LIST_BYTES], const char *word) {
  size_t n = strlen(list);
  snprintf(list + n, LIST_BYTES - n, "%s%s", n ? "," : "", word);
}

static ef_status write_claims(market_file *f) {
  char truth[LIST_BYTES] = "", price[LIST_BYTES] = "", benchmark[LIST_BYTES] = "";
  for (size_t m = 0; m < f->study->mechanism_count; m++) {
    const ef_mechanism *mechanism = f->study->mechanisms[m];
    append(truth, ef_truth_text(mechanism->truth));
    append(price, ef_price_text(mechanism->price));
    append(benchmark, mechanism->benchmark ? "yes" : "no");
  }
  EF_TRY(ef_h5_set_text(f->out, "/simulation", "mechanisms", f->mechanisms));
  EF_TRY(ef_h5_set_text(f->out, "/simulation", "truthful", truth));
  EF_TRY(ef_h5_set_text(f->out, "/simulation", "one_price", price));
  EF_TRY(ef_h5_set_text(f->out, "/simulation", "benchmark", benchmark));
  return ef_h5_set_text(f->out, "/simulation", "aeria", ef_study_aeria(f->study));
}

static ef_status write_all(market_file *f) {
  for (size_t m = 0; m < f->study->mechanism_count; m++) append(f->mechanisms, f->study->mechanisms[m]->name);
  for (size_t i = 0; i < f->study->case_count; i++) {
    EF_TRY(write_case(f, &f->study->cases[i]));
    EF_TRY(write_bids(f, &f->study->cases[i]));
  }
  char first[GROUP_BYTES];
  snprintf(first, sizeof first, "%s/summary", f->study->cases[0].name);
  EF_TRY(ef_h5_set_default(f->out, "/simulation", first));
  EF_TRY(write_claims(f));
  EF_TRY(write_sweeps(f));
  return write_traces(f);
}

ef_status ef_market_file_write(const ef_study *study, const char *path, int ranks) {
  market_file f = {.study = study};
  ef_h5_header header = {
      .kind = "series", .deck = study->deck->yaml, .seed = (uint64_t)study->deck->run.seed, .ranks = ranks};
  EF_TRY(ef_h5_create(path, MPI_COMM_NULL, &header, &f.out));
  ef_status status = write_all(&f);
  if (status == EF_OK) return ef_h5_commit(f.out);
  ef_h5_close(f.out);
  return status;
}
