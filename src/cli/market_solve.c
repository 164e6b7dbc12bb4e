#include "cli/market.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "market/solve.h"
#include "train/model_hash.h"
#include <string.h>

enum {
  KEY_COIN = 0x20001,
  KEY_COIN_V,
  KEY_SEED,
  KEY_VARIANT,
  KEY_EXPECT,
  KEY_CHECKPOINT,
  KEY_ANY_CHECKPOINT,
  KEY_OUT = 'o'
};

typedef struct solve_arguments {
  double u, v;
  bool has_u, has_v, expect, any_checkpoint;
  int64_t seed;
  const char *variant, *checkpoint, *out;
} solve_arguments;

static const double COIN_MOST = 1.0 - 0x1p-53;

static error_t parse(int key, char *value, struct argp_state *state) {
  solve_arguments *a = state->input;
  switch (key) {
  case KEY_COIN:
    a->has_u = true;
    return ef_cli_real("--coin", value, 0.0, COIN_MOST, &a->u);
  case KEY_COIN_V:
    a->has_v = true;
    return ef_cli_real("--coin-v", value, 0.0, COIN_MOST, &a->v);
  case KEY_SEED:
    return ef_cli_int("--seed", value, 0, INT64_MAX, &a->seed);
  case KEY_VARIANT:
    a->variant = value;
    return 0;
  case KEY_EXPECT:
    a->expect = true;
    return 0;
  case KEY_CHECKPOINT:
    a->checkpoint = value;
    return 0;
  case KEY_ANY_CHECKPOINT:
    a->any_checkpoint = true;
    return 0;
  case KEY_OUT:
    a->out = value;
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option options[] = {
    {"coin", KEY_COIN, "U", 0, "coin of the grid in [0,1), instead of the instance's or a drawn one", 0},
    {"coin-v", KEY_COIN_V, "V", 0, "coin of the Vickrey branch in [0,1)", 0},
    {"seed", KEY_SEED, "N", 0, "coins that nobody fixed are drawn from this seed (default 1)", 0},
    {"variant", KEY_VARIANT, "T|E|D", 0, "instead of the instance's", 0},
    {"expect", KEY_EXPECT, NULL, 0, "also the exact expectation over the coin", 0},
    {"checkpoint", KEY_CHECKPOINT, "FILE", 0,
     "refuse a profile of another model than FILE holds (exit code 5)", 0},
    {"any-checkpoint", KEY_ANY_CHECKPOINT, NULL, 0, "take a profile of any model: warn, do not compare", 0},
    {"out", KEY_OUT, "FILE", 0, "write the outcome there, not on standard output", 0},
    {0}};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "INSTANCE.json",
    .doc = "Clears the market of an instance once: each user's least demand over exits and partitions, the "
           "auction, prices and winners. The outcome is one JSON object on standard output."};

/* A price is asked for the model that was profiled and for no other. */
static ef_status check_profiles(const char *path, const ef_instance *instance, const solve_arguments *a) {
  char hash[EF_MODEL_HASH_BYTES];
  size_t compared = 0;
  if (a->any_checkpoint) {
    ef_warn("%s: its profiles are taken as they are, of whatever checkpoint", path);
    return EF_OK;
  }
  if (!a->checkpoint) return EF_OK;
  EF_TRY(ef_model_path_hash(a->checkpoint, hash));
  for (size_t i = 0; i < instance->workload_count; i++) {
    const ef_workload *w = &instance->workloads[i];
    if (!w->checkpoint) continue;
    EF_TRY(EF_CHECK(strcmp(w->checkpoint, hash) == 0, EF_CHECKPOINT,
                    "%s: workload %s is a profile of checkpoint %s, but %s is %s: make it anew with edgefuse "
                    "profile, or add --any-checkpoint",
                    path, w->name, w->checkpoint, a->checkpoint, hash));
    compared++;
  }
  return EF_CHECK(compared > 0, EF_CHECKPOINT,
                  "%s: no workload says which checkpoint it is a profile of, so none can be that of %s (%s): "
                  "make one with edgefuse profile, or add --any-checkpoint",
                  path, a->checkpoint, hash);
}

/* What the command line says goes before what the instance says. */
static ef_status settle_rules(const solve_arguments *a, ef_rules *rules) {
  if (a->has_u) rules->u = a->u, rules->has_u = true;
  if (a->has_v) rules->v = a->v, rules->has_v = true;
  if (a->variant) {
    EF_TRY(EF_CHECK(ef_variant_find(a->variant, &rules->variant), EF_USAGE,
                    "--variant %s: is not one of " EF_VARIANT_NAMES, a->variant));
  }
  ef_coins_draw(rules, (uint64_t)a->seed);
  return EF_OK;
}

static void tell(const ef_instance *instance, const ef_market_outcome *o) {
  for (size_t m = 0; m < o->market_count; m++) {
    const ef_market_summary *s = &o->markets[m];
    ef_log(EF_LOG_INFO, "%s: %zu bidders, %zu winners, %lld of %lld units, profit %.6g, F2 %.6g%s%s", s->name,
           s->users, s->sale.winners, (long long)s->sale.used, (long long)s->capacity, s->sale.profit, s->f2,
           s->consensus ? ", consensus" : "", s->vickrey ? ", Vickrey branch" : "");
    if (o->expected) {
      ef_log(EF_LOG_INFO, "%s: expected profit %.6g over the coin, bound %.6g", s->name, s->expected.profit,
             s->expected.bound);
    }
  }
  ef_log(EF_LOG_INFO, "%zu users: revenue %.6g, profit %.6g, %.3g s", instance->user_count, o->revenue,
         o->profit, o->seconds);
}

static ef_status put(const ef_instance *instance, const ef_market_outcome *outcome, const char *path) {
  char *json = NULL;
  EF_TRY(ef_market_outcome_json(instance, outcome, &json));
  ef_status status = EF_OK;
  if (path) {
    status = ef_file_write(path, json, strlen(json));
  } else {
    fputs(json, stdout);
  }
  ef_free(json);
  return status;
}

static ef_status solve(const char *path, const solve_arguments *a) {
  ef_instance instance = {0};
  ef_market_outcome outcome = {0};
  ef_status status = EF_OK;
  EF_GO(ef_instance_read(path, &instance));
  EF_GO(settle_rules(a, &instance.rules));
  EF_GO(check_profiles(path, &instance, a));
  EF_GO(ef_market_solve(&instance, &(ef_solving){.expect = a->expect}, &outcome));
  tell(&instance, &outcome);
  EF_GO(put(&instance, &outcome, a->out));
done:
  ef_market_outcome_free(&outcome);
  ef_instance_free(&instance);
  return status;
}

ef_status ef_cli_market_solve(ef_cli *cli, int argc, char **argv) {
  solve_arguments a = {.seed = 1};
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &a, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 1, 1, argp.args_doc));
  return ef_agree(cli->par, ef_par_root(cli->par) ? solve(cli->arguments[0], &a) : EF_OK);
}
