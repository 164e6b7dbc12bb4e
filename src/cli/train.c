#include "cli/cli.h"

#include "base/file.h"
#include "base/memory.h"
#include "cli/folder.h"
#include "cli/method.h"
#include "launch/launch.h"
#include <stdio.h>

enum { KEY_OUT = 'o', KEY_RESUME = 0x20001, KEY_DRY_RUN, KEY_METHOD, KEY_HELP_DECK };

typedef struct train_arguments {
  const char *out, *method;
  bool resume, dry_run, help_deck;
} train_arguments;

static error_t parse(int key, char *value, struct argp_state *state) {
  train_arguments *a = state->input;
  switch (key) {
  case KEY_OUT:
    a->out = value;
    return 0;
  case KEY_RESUME:
    a->resume = true;
    return 0;
  case KEY_DRY_RUN:
    a->dry_run = true;
    return 0;
  case KEY_METHOD:
    a->method = value;
    return 0;
  case KEY_HELP_DECK:
    a->help_deck = true;
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option options[] = {
    {"out", KEY_OUT, "DIR", 0, "run folder (default: runs/<name of the deck>)", 0},
    {"resume", KEY_RESUME, NULL, 0, "go on with what the run folder holds", 0},
    {"dry-run", KEY_DRY_RUN, NULL, 0, "check everything, print the plan and end", 0},
    {"method", KEY_METHOD, "NAME", 0, "federated method (default: deepfusion)", 0},
    {"help-deck", KEY_HELP_DECK, NULL, 0, "every key of the deck with unit, range and default", 0},
    {0}};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "DECK",
    .doc = "Trains a global Mixture-of-Experts from a federation: text, devices, fusion, tuning, evaluation. "
           "Ends with code 75 and a checkpoint when it is told to stop (SIGUSR1, SIGTERM, a file named "
           "stop in the run folder, run.time_limit, the end of its Slurm job); --resume then goes on."};

/* The report is one JSON object already. */
static ef_status print_report(const char *out) {
  char path[4200], *text = NULL;
  size_t bytes;
  snprintf(path, sizeof path, "%s/report.json", out);
  EF_TRY(ef_file_read(path, EF_MACHINE, &text, &bytes));
  fwrite(text, 1, bytes, stdout);
  ef_free(text);
  return EF_OK;
}

static ef_status train(ef_cli *cli, const train_arguments *a, const ef_method *method, const ef_deck *deck,
                       const char *out) {
  ef_launch launch = {.deck = deck, .method = method, .folder = out, .resume = a->resume, .json = cli->json};
  if (a->dry_run) return ef_launch_plan(cli->par, &launch);
  EF_TRY(ef_launch_run(cli->par, &launch));
  return ef_agree(cli->par, cli->json && ef_par_root(cli->par) ? print_report(out) : EF_OK);
}

ef_status ef_cli_train(ef_cli *cli, int argc, char **argv) {
  train_arguments a = {0};
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &a, &help));
  if (help) return EF_OK;
  if (a.help_deck) {
    if (ef_par_root(cli->par)) ef_deck_help(stdout);
    return EF_OK;
  }
  EF_TRY(ef_cli_arguments(cli, argv[0], 1, 1, argp.args_doc));
  const ef_method *method;
  EF_TRY(ef_agree(cli->par, ef_cli_method(cli, a.method, &method)));
  ef_deck deck = {0};
  char out[4096];
  ef_status status = ef_deck_read(cli->arguments[0], cli->overrides, cli->override_count, &deck);
  status = ef_agree(cli->par, status);
  if (status == EF_OK) {
    ef_cli_run_folder(a.out, cli->arguments[0], out, sizeof out);
    status = train(cli, &a, method, &deck, out);
  }
  ef_deck_free(&deck);
  return status;
}
