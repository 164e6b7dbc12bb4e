#include "cli/cli.h"

#include "cli/folder.h"
#include "cli/method.h"
#include "cli/report.h"
#include "launch/launch.h"
#include "plan/paper_report.h"

/* What a run would take (a deck), or what the paper's setting takes at its true sizes (--paper). */

enum {
  KEY_OUT = 'o',
  KEY_PAPER = 0x20001,
  KEY_BYTES,
  KEY_ROUNDS,
  KEY_EXPERTS,
  KEY_METHOD,
  KEY_RANKS,
  KEY_NODES,
  KEY_LATENCY,
  KEY_BANDWIDTH,
  MOST_ROUNDS = 1000000,
  MOST_RANKS = 10000000
};

/* Of the smaller of the paper's two global models. */
enum { MOST_EXPERTS = 60 };

typedef struct plan_arguments {
  const char *out, *method; /* method NULL: the default of train */
  bool paper;
  const char *only_paper; /* the last option that belongs to --paper */
  double bytes;
  int64_t rounds, experts, ranks, nodes; /* ranks 0: as many as there are */
  ef_interconnect network;
  const char *only_nodes; /* the last option that needs several nodes */
} plan_arguments;

static const struct argp_option options[] = {
    {"out", KEY_OUT, "DIR", 0, "run folder whose text is taken if it fits (default: runs/<name of the deck>)",
     0},
    {"method", KEY_METHOD, "NAME", 0, "federated method (default: deepfusion)", 0},
    {"ranks", KEY_RANKS, "N", 0, "of the run (default: those of this launch)", 0},
    {"nodes", KEY_NODES, "M", 0, "with --ranks: that they fill evenly (default 1)", 0},
    {"latency", KEY_LATENCY, "S", 0, "with --nodes: of a message between nodes (default 2e-6 s)", 0},
    {"bandwidth", KEY_BANDWIDTH, "B/S", 0, "with --nodes: of a node (default 12.5e9 bytes a second)", 0},
    {"paper", KEY_PAPER, NULL, 0, "no deck: the setting of the DeepFusion paper beside its figures 7 and 8",
     0},
    {"bytes", KEY_BYTES, "B", 0, "with --paper: bytes per number (default 2: bfloat16; NF4 is 0.5)", 0},
    {"rounds", KEY_ROUNDS, "R", 0, "with --paper: rounds of the methods that have rounds (default 1)", 0},
    {"experts-per-client", KEY_EXPERTS, "E", 0,
     "with --paper: routed experts of a layer at a FedJETS client (default 2)", 0},
    {0}};

static error_t parse_paper(plan_arguments *a, int key, const char *value) {
  switch (key) {
  case KEY_BYTES:
    a->only_paper = "--bytes";
    return ef_cli_real("--bytes", value, 0.125, 8.0, &a->bytes);
  case KEY_ROUNDS:
    a->only_paper = "--rounds";
    return ef_cli_int("--rounds", value, 1, MOST_ROUNDS, &a->rounds);
  case KEY_EXPERTS:
    a->only_paper = "--experts-per-client";
    return ef_cli_int("--experts-per-client", value, 1, MOST_EXPERTS, &a->experts);
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static error_t parse(int key, char *value, struct argp_state *state) {
  plan_arguments *a = state->input;
  if (key == KEY_OUT) {
    a->out = value;
    return 0;
  }
  if (key == KEY_METHOD) {
    a->method = value;
    return 0;
  }
  if (key == KEY_RANKS) return ef_cli_int("--ranks", value, 1, MOST_RANKS, &a->ranks);
  if (key == KEY_NODES) return ef_cli_int("--nodes", value, 1, MOST_RANKS, &a->nodes);
  if (key == KEY_LATENCY || key == KEY_BANDWIDTH)
    a->only_nodes = key == KEY_LATENCY ? "--latency" : "--bandwidth";
  if (key == KEY_LATENCY) return ef_cli_real("--latency", value, 0.0, 1.0, &a->network.latency);
  if (key == KEY_BANDWIDTH) return ef_cli_real("--bandwidth", value, 1.0, 1e15, &a->network.bandwidth);
  if (key == KEY_PAPER) {
    a->paper = true;
    return 0;
  }
  return parse_paper(a, key, value);
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "DECK",
    .doc = "Checks a deck and prints what its run would take, as train --dry-run does. With --paper and no "
           "deck: bytes on the wire and device memory of the paper's models at their true sizes, 16 to 128 "
           "devices, by closed formula, beside the bars of its figures."};

static ef_status plan_deck(ef_cli *cli, const plan_arguments *a) {
  ef_deck deck = {0};
  const ef_method *method;
  char out[4096];
  EF_TRY(ef_agree(cli->par, ef_cli_method(cli, a->method, &method)));
  ef_status status = ef_deck_read(cli->arguments[0], cli->overrides, cli->override_count, &deck);
  status = ef_agree(cli->par, status);
  if (status == EF_OK) {
    ef_cli_run_folder(a->out, cli->arguments[0], out, sizeof out);
    ef_launch launch = {.deck = &deck,
                        .method = method,
                        .folder = out,
                        .layout = {(int)a->ranks, a->nodes ? (int)a->nodes : 1},
                        .network = &a->network,
                        .json = cli->json};
    status = ef_launch_plan(cli->par, &launch);
  }
  ef_deck_free(&deck);
  return status;
}

static ef_status plan_paper(const ef_cli *cli, const plan_arguments *a) {
  ef_paper paper;
  ef_paper_settings settings = ef_paper_defaults();
  json_t *json = NULL;
  settings.bytes = a->bytes;
  settings.rounds = (size_t)a->rounds;
  settings.experts = (size_t)a->experts;
  EF_TRY(ef_paper_make(&paper));
  if (!cli->json) return ef_paper_print(&paper, &settings, stdout);
  EF_TRY(ef_paper_json(&paper, &settings, &json));
  return ef_cli_print_json(json);
}

/* Options that would have no effect are refused. */
static ef_status check_layout(const plan_arguments *a) {
  EF_TRY(EF_CHECK(a->nodes <= a->ranks, EF_USAGE, "plan: --nodes %lld wants --ranks of as many or more",
                  (long long)a->nodes));
  return EF_CHECK(!a->only_nodes || a->nodes > 1, EF_USAGE, "plan: %s wants --nodes of two or more",
                  a->only_nodes);
}

static ef_status check(const ef_cli *cli, const plan_arguments *a) {
  EF_TRY(check_layout(a));
  if (!a->paper) {
    EF_TRY(EF_CHECK(!a->only_paper, EF_USAGE, "plan: %s goes with --paper", a->only_paper));
    return ef_cli_arguments(cli, "plan", 1, 1, "DECK or --paper");
  }
  EF_TRY(EF_CHECK(!a->out && !a->method && a->ranks == 0 && a->nodes == 0 && cli->override_count == 0,
                  EF_USAGE,
                  "plan: --paper has no deck: --out, --method, --ranks, --nodes and --set have no effect"));
  return ef_cli_arguments(cli, "plan", 0, 0, "no argument with --paper");
}

ef_status ef_cli_plan(ef_cli *cli, int argc, char **argv) {
  ef_paper_settings usual = ef_paper_defaults();
  plan_arguments a = {.network = EF_PLAN_INTERCONNECT,
                      .bytes = usual.bytes,
                      .rounds = (int64_t)usual.rounds,
                      .experts = (int64_t)usual.experts};
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &a, &help));
  if (help) return EF_OK;
  EF_TRY(check(cli, &a));
  if (!a.paper) return plan_deck(cli, &a);
  return ef_agree(cli->par, ef_par_root(cli->par) ? plan_paper(cli, &a) : EF_OK);
}
