#include "report/market.h"

#include "base/memory.h"
#include <stdio.h>
#include <string.h>

/* One column of a group; `at` gives the number of an entry. */
typedef struct column {
  const char *name, *description, *units;
  double (*at)(const ef_clearing_run *c, size_t i);
} column;

static double value(const ef_clearing_run *c, size_t i) { return c->instance.users[i].value; }
static double bid(const ef_clearing_run *c, size_t i) { return c->instance.users[i].bid; }
static double units(const ef_clearing_run *c, size_t i) { return (double)c->users[i].demand.units; }
static double price(const ef_clearing_run *c, size_t i) { return c->users[i].unit_price; }
static double payment(const ef_clearing_run *c, size_t i) { return c->users[i].payment; }
static double state(const ef_clearing_run *c, size_t i) { return (double)c->users[i].status; }
static double local(const ef_clearing_run *c, size_t i) { return c->users[i].demand.device_s; }
static double network(const ef_clearing_run *c, size_t i) { return c->users[i].demand.network_s; }
static double edge(const ef_clearing_run *c, size_t i) { return c->users[i].demand.edge_s; }
static double deadline(const ef_clearing_run *c, size_t i) { return c->instance.users[i].deadline; }

static const column auction_columns[] = {
    {"payment", "payment of each device, 0 for losers", "money", payment},
    {"bid", "bid of each device", "money", bid},
    {"value", "private value of each device", "money", value},
    {"units", "least demand", "unit", units},
    {"unit_price", "price of a unit, unit cost included; 0 for losers", "money/unit", price},
    {"status", "0 infeasible, 1 self, 2 toobig, 3 reserve, 4 pruned, 5 lose, 6 win", "1", state},
    {"device_s", "time on the device", "s", local},
    {"network_s", "time on the network", "s", network},
    {"edge_s", "time at the edge at the least speed", "s", edge},
    {"deadline", "longest time that the device accepts", "s", deadline},
    {0}};

static double verdict(const ef_clearing_run *c, size_t i) { return (double)c->audit.findings[i].verdict; }
static double checks(const ef_clearing_run *c, size_t i) { return (double)c->audit.findings[i].checks; }
static double faults(const ef_clearing_run *c, size_t i) { return (double)c->audit.findings[i].faults; }
static double worst(const ef_clearing_run *c, size_t i) { return c->audit.findings[i].worst; }

static const column audit_columns[] = {
    {"faults", "comparisons that failed", "1", faults},
    {"checks", "comparisons made", "1", checks},
    {"verdict", "0 holds, 1 holds under consensus, 2 fails, 3 not claimed, 4 not checked", "1", verdict},
    {"worst", "largest violation", "1", worst},
    {0}};

static double threshold(const ef_clearing_run *c, size_t i) {
  return c->instance.workloads[0].policies[i].threshold;
}
static double accuracy(const ef_clearing_run *c, size_t i) {
  return c->instance.workloads[0].policies[i].accuracy;
}
static double early(const ef_clearing_run *c, size_t i) {
  const ef_workload *w = &c->instance.workloads[0];
  return 1.0 - w->policies[i].leave[w->exit_count - 1];
}

static const column policy_columns[] = {
    {"accuracy", "token accuracy under the threshold", "1", accuracy},
    {"threshold", "confidence that lets a token leave", "1", threshold},
    {"leave_early", "share of tokens that leave before the last head", "1", early},
    {0}};

/* A group of columns over one dimension; viewers draw the first by `along`: the dimension, or a column. */
typedef struct table {
  const char *group, *axis, *along, *title;
  const column *columns;
} table;

static ef_status write_group(ef_h5 *file, const table *t, const ef_clearing_run *c, size_t n) {
  double *data = NULL;
  char path[96];
  EF_TRY(EF_NEW(data, n));
  ef_status status = EF_OK;
  for (const column *k = t->columns; k->name; k++) {
    for (size_t i = 0; i < n; i++) data[i] = k->at(c, i);
    snprintf(path, sizeof path, "%s/%s", t->group, k->name);
    ef_h5_array array = {.path = path,
                         .type = EF_H5_F64,
                         .rank = 1,
                         .shape = {n},
                         .description = k->description,
                         .units = k->units,
                         .dims = t->axis};
    EF_GO(ef_h5_write(file, &array, data));
  }
  for (size_t i = 0; i < n; i++) data[i] = (double)i;
  snprintf(path, sizeof path, "%s/%s", t->group, t->axis);
  EF_GO(ef_h5_write(file,
                    &(ef_h5_array){.path = path,
                                   .type = EF_H5_F64,
                                   .rank = 1,
                                   .shape = {n},
                                   .description = "number, from 0",
                                   .units = "1",
                                   .dims = t->axis},
                    data));
  EF_GO(ef_h5_set_nxdata(file, t->group, t->columns[0].name, t->along, t->title));
done:
  ef_free(data);
  return status;
}

static ef_status write_leave(ef_h5 *file, const ef_clearing_run *c) {
  const ef_workload *w = &c->instance.workloads[0];
  ef_h5_array array = {.path = "/policies/leave",
                       .type = EF_H5_F64,
                       .rank = 2,
                       .shape = {w->policy_count, w->exit_count},
                       .description = "share of tokens that leave at each exit, the last head included",
                       .units = "1",
                       .dims = "policy,exit"};
  double *data = NULL;
  EF_TRY(EF_NEW(data, w->policy_count * w->exit_count));
  for (size_t p = 0; p < w->policy_count; p++)
    memcpy(data + p * w->exit_count, w->policies[p].leave, w->exit_count * sizeof *data);
  ef_status status = ef_h5_write(file, &array, data);
  ef_free(data);
  return status;
}

static ef_status write_sale(ef_h5 *file, const ef_clearing_run *c) {
  const ef_market_summary *m = &c->outcome.markets[0];
  EF_TRY(ef_h5_set_real(file, "/auction", "revenue", c->outcome.revenue));
  EF_TRY(ef_h5_set_real(file, "/auction", "profit", c->outcome.profit));
  EF_TRY(ef_h5_set_real(file, "/auction", "f2", m->f2));
  EF_TRY(ef_h5_set_real(file, "/auction", "floor", m->floor));
  EF_TRY(ef_h5_set_int(file, "/auction", "capacity", m->capacity));
  EF_TRY(ef_h5_set_int(file, "/auction", "winners", (int64_t)m->sale.winners));
  EF_TRY(ef_h5_set_real(file, "/auction", "coin_u", c->outcome.coin.u));
  return ef_h5_set_text(file, "/auction", "model", c->instance.workloads[0].checkpoint);
}

static ef_status write_audit(ef_h5 *file, const ef_clearing_run *c) {
  char names[256] = "";
  if (!c->audited) return EF_OK;
  const table claims = {"/audit", "claim", "claim", "audit of the clearing", audit_columns};
  EF_TRY(write_group(file, &claims, c, EF_CLAIM_COUNT));
  for (int i = 0; i < EF_CLAIM_COUNT; i++) {
    size_t n = strlen(names);
    snprintf(names + n, sizeof names - n, "%s%s", i ? "," : "", ef_claim_name((ef_claim)i));
  }
  return ef_h5_set_text(file, "/audit", "claims", names);
}

static ef_status write_all(ef_h5 *file, const ef_clearing_run *c) {
  const table auction = {"/auction", "device", "device", "payments of the devices", auction_columns};
  const table policies = {"/policies", "policy", "threshold", "token accuracy by confidence threshold",
                          policy_columns};
  EF_TRY(write_group(file, &auction, c, c->instance.user_count));
  EF_TRY(write_sale(file, c));
  EF_TRY(write_group(file, &policies, c, c->instance.workloads[0].policy_count));
  EF_TRY(write_leave(file, c));
  EF_TRY(write_audit(file, c));
  return ef_h5_set_default(file, "/entry", "/auction");
}

ef_status ef_report_market_file(const ef_run *run, const ef_clearing_run *c) {
  char path[4096];
  ef_h5 *file = NULL;
  if (!c->done) return EF_OK;
  ef_run_path(run, path, sizeof path, "market.h5");
  ef_h5_header header = {.kind = "series",
                         .deck = run->deck->yaml,
                         .seed = (uint64_t)run->deck->run.seed,
                         .ranks = run->par->size};
  EF_TRY(ef_h5_create(path, MPI_COMM_NULL, &header, &file));
  ef_status status = write_all(file, c);
  if (status == EF_OK) return ef_h5_commit(file);
  ef_h5_close(file);
  return status;
}
