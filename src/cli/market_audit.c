#include "cli/market.h"

#include "base/memory.h"
#include "cli/market_audit_report.h"
#include <math.h>
#include <string.h>

enum {
  KEY_MECHANISM = 0x20001,
  KEY_VARIANT,
  KEY_COIN,
  KEY_COINS,
  KEY_SEED,
  KEY_USERS,
  KEY_POINTS,
  KEY_DEMANDS
};
enum { AUTOMATIC = -1 };

typedef struct audit_arguments {
  const char *mechanism, *variant;
  bool has_coin, demands;
  double coin;
  int64_t coins, seed, users, points;
} audit_arguments;

static const double COIN_MOST = 1.0 - 0x1p-53;

static error_t parse(int key, char *value, struct argp_state *state) {
  audit_arguments *a = state->input;
  switch (key) {
  case KEY_MECHANISM:
    a->mechanism = value;
    return 0;
  case KEY_VARIANT:
    a->variant = value;
    return 0;
  case KEY_COIN:
    a->has_coin = true;
    return ef_cli_real("--coin", value, 0.0, COIN_MOST, &a->coin);
  case KEY_COINS:
    return ef_cli_int("--coins", value, 0, 100000, &a->coins);
  case KEY_SEED:
    return ef_cli_int("--seed", value, 0, INT64_MAX, &a->seed);
  case KEY_USERS:
    return ef_cli_int("--users", value, 0, INT64_MAX, &a->users);
  case KEY_POINTS:
    return ef_cli_int("--points", value, 0, INT64_MAX, &a->points);
  case KEY_DEMANDS:
    a->demands = true;
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option options[] = {
    {"mechanism", KEY_MECHANISM, "NAME", 0, "what is audited (default: AERIA in the instance's variant)", 0},
    {"variant", KEY_VARIANT, "T|E|D", 0, "AERIA in this variant, not the instance's", 0},
    {"coin", KEY_COIN, "U", 0, "first coin of the grid in [0,1), instead of the instance's or a drawn one",
     0},
    {"coins", KEY_COINS, "N", 0, "further coins, evenly spaced (default 8)", 0},
    {"seed", KEY_SEED, "N", 0, "of coins that nobody fixed and of samples (default 1)", 0},
    {"users", KEY_USERS, "N", 0,
     "bidders of a market whose misreports are replayed, 0: all (default: about a minute's work)", 0},
    {"points", KEY_POINTS, "N", 0,
     "other bidders, nearest in rank, whose densities one is tried at, 0: all (default: as --users)", 0},
    {"demands", KEY_DEMANDS, NULL, 0, "also over-stated demands", 0},
    {0}};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "INSTANCE.json",
    .doc = "Replays misreports on an instance, its bids being taken as values, and checks what the mechanism "
           "claims from its awards alone. Exit code 1: a claim fails."};

/* What is audited, settled from instance and command line. */
typedef struct audit_plan {
  const ef_mechanism *mechanism;
  ef_audit_spec spec; /* but for what differs from market to market */
} audit_plan;

static ef_status settle_mechanism(const audit_arguments *a, ef_rules *rules, const ef_mechanism **mechanism) {
  EF_TRY(EF_CHECK(!a->mechanism || !a->variant, EF_USAGE,
                  "--variant belongs to AERIA: leave it or --mechanism %s out", a->mechanism));
  if (a->variant) {
    EF_TRY(EF_CHECK(ef_variant_find(a->variant, &rules->variant), EF_USAGE,
                    "--variant %s: is not one of " EF_VARIANT_NAMES, a->variant));
  }
  *mechanism = a->mechanism ? ef_mechanism_find(a->mechanism) : ef_mechanism_aeria(rules->variant);
  return EF_CHECK(*mechanism, EF_USAGE, "--mechanism %s: is not one of %s", a->mechanism,
                  ef_mechanism_names());
}

static ef_status settle(const audit_arguments *a, ef_rules *rules, audit_plan *plan) {
  EF_TRY(settle_mechanism(a, rules, &plan->mechanism));
  if (a->has_coin) rules->u = a->coin, rules->has_u = true;
  ef_coins_draw(rules, (uint64_t)a->seed);
  plan->spec = (ef_audit_spec){
      .mechanism = plan->mechanism,
      .setting.aeria = {.c = rules->c, .vickrey_prob = rules->vickrey_prob, .variant = rules->variant},
      .coin = {.u = rules->u, .v = rules->v},
      .coins = (size_t)a->coins,
      .seed = (uint64_t)a->seed,
      .demands = a->demands};
  return EF_OK;
}

/* Seconds of one clearing of n bidders, roughly, as measured on one core. */
static double clearing_seconds(const ef_mechanism *mechanism, const ef_market *market) {
  double n = (double)market->n, seconds = 6e-8 * n;
  if (strcmp(mechanism->name, "knapsack-vcg") == 0) seconds += 5e-9 * n * (double)market->capacity;
  if (strcmp(mechanism->name, "greedy-critical") == 0) seconds += 2e-10 * n * n;
  return seconds;
}

/* Work that ends in about a minute: all points where they are affordable, else the nearest; then as many
 * bidders as there is time for. */
static void limit_work(const audit_arguments *a, const ef_market *market, size_t markets,
                       ef_audit_spec *spec) {
  enum { SECONDS = 40, NEAREST = 64, FIXED_POINTS = 40, DEMAND_POINTS = 200 };
  double n = (double)market->n, runs = (double)spec->coins + 1;
  double one = runs * clearing_seconds(spec->mechanism, market), time = SECONDS / (double)markets;
  double demands = spec->demands ? DEMAND_POINTS : 0;
  spec->most_points = a->points == AUTOMATIC ? 0 : (size_t)a->points;
  if (a->points == AUTOMATIC && n * (3 * n + FIXED_POINTS + demands) * one > time)
    spec->most_points = NEAREST;
  spec->most_users = a->users == AUTOMATIC ? 0 : (size_t)a->users;
  if (a->users != AUTOMATIC) return;
  double others = spec->most_points > 0 ? fmin(n, (double)spec->most_points) : n;
  double affordable = floor(time / ((3 * others + FIXED_POINTS + demands) * one));
  if (affordable < n) spec->most_users = (size_t)fmax(1, affordable);
}

/* The ids of a market's bidders, for examples. */
static ef_status name_bidders(const ef_instance *instance, const ef_book *book, char ***names) {
  EF_TRY(EF_NEW(*names, book->market.n));
  for (size_t i = 0; i < book->market.n; i++) (*names)[i] = instance->users[book->user[i]].id;
  return EF_OK;
}

static ef_status audit_one(const audit_arguments *a, const ef_instance *instance, const ef_demand *demands,
                           const audit_plan *plan, size_t m, ef_market_audit *result) {
  ef_book book = {0};
  char **names = NULL;
  ef_status status = EF_OK;
  ef_audit_spec spec = plan->spec;
  EF_GO(ef_book_make(instance, demands, m, &book));
  EF_GO(name_bidders(instance, &book, &names));
  spec.names = names;
  limit_work(a, &book.market, ef_market_count(instance), &spec);
  EF_GO(ef_audit_market(&book.market, &spec, &result->audit));
  result->most_points = spec.most_points;
  ef_market_name(instance, m, result->name);
done:
  ef_free(names);
  ef_book_free(&book);
  return status;
}

static ef_status audit(const ef_cli *cli, const audit_arguments *a) {
  ef_instance instance = {0};
  ef_demand *demands = NULL;
  ef_market_audit *audits = NULL;
  audit_plan plan;
  ef_status status = EF_OK;
  EF_GO(ef_instance_read(cli->arguments[0], &instance));
  EF_GO(settle(a, &instance.rules, &plan));
  EF_GO(EF_NEW(demands, instance.user_count));
  EF_GO(ef_demands_find(&instance, demands));
  size_t count = ef_market_count(&instance);
  EF_GO(EF_NEW(audits, count));
  for (size_t m = 0; m < count; m++) EF_GO(audit_one(a, &instance, demands, &plan, m, &audits[m]));
  EF_GO(ef_market_audit_print(&plan.spec, audits, count, cli->json));
done:
  ef_free(audits);
  ef_free(demands);
  ef_instance_free(&instance);
  return status;
}

ef_status ef_cli_market_audit(ef_cli *cli, int argc, char **argv) {
  audit_arguments a = {.coins = 8, .seed = 1, .users = AUTOMATIC, .points = AUTOMATIC};
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &a, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 1, 1, argp.args_doc));
  return ef_agree(cli->par, ef_par_root(cli->par) ? audit(cli, &a) : EF_OK);
}
