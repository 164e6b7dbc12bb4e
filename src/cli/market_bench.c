#include "cli/market.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/sort.h"
#include "cli/report.h"
#include "market/networks.h"
#include "market/simulate.h"
#include "market/solve.h"
#include <string.h>

/* Speed of the market: phase I and one clearing of each variant at growing numbers of users, beside the time
 * that the C library takes to sort as many doubles in the same run. */

enum { VARIANTS = 3, LEAST_RUNS = 3, MOST_RUNS = 2001 };
static const double TIME = 0.3; /* s, spent on each figure at least */

typedef struct bench_row {
  size_t users, bidders, distinct; /* distinct demands */
  double demands;                  /* s, of all users */
  double clear[VARIANTS];          /* s, median */
  double sort;                     /* s, median: qsort of one double a bidder */
} bench_row;

/* What is timed, and the arrays that it needs. */
typedef struct bench_case {
  ef_book book;
  ef_auction *auction;
  ef_award *awards; /* (n) */
  double *spare;    /* (n) */
  ef_aeria rule;
  ef_coin coin;
} bench_case;

static void clear_once(bench_case *c) {
  ef_aeria_clear(c->auction, &c->book.market, &c->rule, &c->coin, c->awards, NULL);
}

static void sort_once(bench_case *c) {
  memcpy(c->spare, c->book.bid, c->book.market.n * sizeof *c->spare);
  ef_sort_ascending(c->spare, c->book.market.n);
}

/* Median time of a call: at least LEAST_RUNS of them and TIME seconds, at most MOST_RUNS. */
static double median(bench_case *c, void (*call)(bench_case *c)) {
  static double seconds[MOST_RUNS];
  double started = ef_clock();
  size_t runs = 0;
  while (runs < MOST_RUNS && (runs < LEAST_RUNS || ef_clock() - started < TIME)) {
    double before = ef_clock();
    call(c);
    seconds[runs++] = ef_clock() - before;
  }
  return ef_median(seconds, runs);
}

static size_t count_distinct(bench_case *c) {
  size_t n = c->book.market.n, distinct = 0;
  for (size_t i = 0; i < n; i++) c->spare[i] = (double)c->book.demand[i];
  ef_sort_ascending(c->spare, n);
  for (size_t i = 0; i < n; i++) distinct += i == 0 || c->spare[i] != c->spare[i - 1];
  return distinct;
}

static ef_status time_clearings(bench_case *c, bench_row *row) {
  size_t n = c->book.market.n;
  EF_TRY(ef_auction_create(n, &c->auction));
  EF_TRY(EF_NEW(c->awards, n));
  EF_TRY(EF_NEW(c->spare, n));
  row->bidders = n;
  row->distinct = count_distinct(c);
  for (int v = 0; v < VARIANTS; v++) {
    c->rule.variant = (ef_variant)v;
    row->clear[v] = median(c, clear_once);
  }
  row->sort = median(c, sort_once);
  return EF_OK;
}

static void release(bench_case *c) {
  ef_book_free(&c->book);
  ef_auction_free(c->auction);
  ef_free(c->awards);
  ef_free(c->spare);
}

/* The capacity is two thirds of what the users need, so that the market is scarce. */
static ef_status run_users(ef_instance *instance, bench_row *row) {
  bench_case c = {.rule = {.c = instance->rules.c}, .coin = {instance->rules.u, instance->rules.v}};
  ef_demand *demands = NULL;
  double needed = 0.0, started;
  ef_status status = EF_OK;
  EF_GO(EF_NEW(demands, instance->user_count));
  started = ef_clock();
  EF_GO(ef_demands_find(instance, demands));
  row->demands = ef_clock() - started;
  for (size_t i = 0; i < instance->user_count; i++) {
    if (ef_demand_fits(instance, i, &demands[i])) needed += (double)demands[i].units;
  }
  EF_GO(ef_book_make(instance, demands, 0, &c.book));
  c.book.market.capacity = (int64_t)(needed * 2.0 / 3.0);
  EF_GO(time_clearings(&c, row));
done:
  release(&c);
  ef_free(demands);
  return status;
}

/* `users` users of VGG-16 with its confidence policies; demands of up to a thousand units enter.
 */
static ef_status run_row(size_t users, bench_row *row) {
  double count = (double)users;
  ef_scenario scenario = ef_scenario_default();
  ef_trace_ranges ranges = ef_trace_ranges_default();
  ef_instance instance = {0};
  ef_status status = EF_OK;
  *row = (bench_row){.users = users};
  EF_TRY(ef_network_find("vgg16")->make(1.0, &scenario.workload));
  EF_GO(ef_scenario_generate(&scenario, &ranges));
  scenario.users_scale = count / scenario.arrivals.value[0];
  scenario.unit_flops = 1e9;
  scenario.capacity_flops = 1e9 * 1000.0 / scenario.max_share;
  EF_GO(ef_scenario_instance(&scenario, 0, &instance));
  EF_GO(run_users(&instance, row));
done:
  ef_instance_free(&instance);
  ef_scenario_traces_free(&scenario);
  ef_workload_free(&scenario.workload);
  return status;
}

static void print_row(const bench_row *r) {
  double each = r->bidders ? 1e9 / (double)r->bidders : 0.0;
  printf("%9zu %9zu %9zu %11.3g %11.3g %11.3g %11.3g %11.3g %9.0f %9.2f\n", r->users, r->bidders, r->distinct,
         r->demands, r->clear[0], r->clear[1], r->clear[2], r->sort, r->clear[0] * each,
         r->clear[0] / r->sort);
}

static json_t *row_json(const bench_row *r) {
  return json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "users", (json_int_t)r->users, "bidders",
                   (json_int_t)r->bidders, "distinct_demands", (json_int_t)r->distinct, "demands_s",
                   r->demands, "clear_t_s", r->clear[0], "clear_e_s", r->clear[1], "clear_d_s", r->clear[2],
                   "qsort_s", r->sort);
}

static ef_status bench(const ef_cli *cli, size_t most) {
  json_t *rows = json_array();
  if (!cli->json) {
    printf("%9s %9s %9s %11s %11s %11s %11s %11s %9s %9s\n", "users", "bidders", "distinct", "demands s",
           "T s", "E s", "D s", "qsort s", "T ns each", "T/qsort");
  }
  for (size_t users = 100; users <= most; users *= 100) {
    bench_row row;
    ef_status status = run_row(users, &row);
    if (status != EF_OK) {
      json_decref(rows);
      return status;
    }
    if (!cli->json) print_row(&row);
    json_array_append_new(rows, row_json(&row));
  }
  if (cli->json) return ef_cli_print_json(json_pack("{s:o}", "rows", rows));
  json_decref(rows);
  return EF_OK;
}

static error_t parse(int key, char *value, struct argp_state *state) {
  if (key != 'n') return ARGP_ERR_UNKNOWN;
  return ef_cli_int("--users", value, 100, 10000000, state->input);
}

static const struct argp_option options[] = {
    {"users", 'n', "N", 0, "most users; rows are 100, 10,000, 1,000,000 up to it (default 1,000,000)", 0},
    {0}};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .doc =
        "Times the market on one core: least demands of all users, then one clearing by each variant of "
        "AERIA, beside a qsort of as many doubles in the same run. Medians; input and output files are not "
        "counted."};

ef_status ef_cli_market_bench(ef_cli *cli, int argc, char **argv) {
  int64_t most = 1000000;
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &most, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 0, 0, "no argument"));
  return ef_agree(cli->par, ef_par_root(cli->par) ? bench(cli, (size_t)most) : EF_OK);
}
