#include "doctor/resume.h"

#include "cli/cli.h"
#include "cli/folder.h"
#include "cli/method.h"
#include <stdio.h>

enum { KEY_OUT = 'o', KEY_METHOD = 0x20001, KEY_KEEP, KEY_AGAINST, KEY_RANKS_AGAIN, MOST_RANKS = 1 << 20 };

typedef struct verify_arguments {
  const char *out, *method, *against;
  int64_t ranks_again; /* 0: not given */
  bool keep;
} verify_arguments;

static const struct argp_option options[] = {
    {"out", KEY_OUT, "DIR", 0, "scratch folder (default: runs/<name of the deck>-verify)", 0},
    {"method", KEY_METHOD, "NAME", 0, "federated method (default: deepfusion)", 0},
    {"keep", KEY_KEEP, NULL, 0, "leave the scratch folder (default: only when the files differ)", 0},
    {"against", KEY_AGAINST, "FOLDER", 0,
     "compare also with the kept folder of an earlier verification, of any number of ranks", 0},
    {"ranks-again", KEY_RANKS_AGAIN, "N", 0, "ranks to resume on (default: half)", 0},
    {0}};

static error_t parse(int key, char *value, struct argp_state *state) {
  verify_arguments *a = state->input;
  switch (key) {
  case KEY_OUT:
    a->out = value;
    return 0;
  case KEY_METHOD:
    a->method = value;
    return 0;
  case KEY_KEEP:
    a->keep = true;
    return 0;
  case KEY_AGAINST:
    a->against = value;
    return 0;
  case KEY_RANKS_AGAIN:
    return ef_cli_int("--ranks-again", value, 1, MOST_RANKS, &a->ranks_again);
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "DECK",
    .doc =
        "Proves on this machine that stop and resume give the same bits: trains the deck on all ranks, then "
        "again with a stop in the middle of each kind of training, resumed on fewer ranks and on all in "
        "turn, and compares checkpoint, series and market as diff does. Exit code 0: equal, 1: different. "
        "It takes a little more than two trainings."};

static ef_status verify(ef_cli *cli, const verify_arguments *a, const ef_method *method,
                        const ef_deck *deck) {
  char run[4000], folder[4096];
  int half = cli->par->size > 1 ? cli->par->size / 2 : 1;
  ef_cli_run_folder(a->out, cli->arguments[0], run, sizeof run);
  snprintf(folder, sizeof folder, "%s%s", run, a->out ? "" : "-verify");
  ef_resume resume = {.deck = deck,
                      .method = method,
                      .folder = folder,
                      .against = a->against,
                      .ranks_again = a->ranks_again > 0 ? (int)a->ranks_again : half,
                      .keep = a->keep,
                      .json = cli->json};
  return ef_resume_verify(cli->par, &resume);
}

ef_status ef_cli_verify_resume(ef_cli *cli, int argc, char **argv) {
  verify_arguments a = {0};
  const ef_method *method;
  ef_deck deck = {0};
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &a, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 1, 1, argp.args_doc));
  EF_TRY(EF_CHECK(a.ranks_again <= cli->par->size, EF_USAGE, "--ranks-again %lld: this launch has %d rank%s",
                  (long long)a.ranks_again, cli->par->size, cli->par->size == 1 ? "" : "s"));
  EF_TRY(ef_agree(cli->par, ef_cli_method(cli, a.method, &method)));
  ef_status status = ef_deck_read(cli->arguments[0], cli->overrides, cli->override_count, &deck);
  status = ef_agree(cli->par, status);
  if (status == EF_OK) status = verify(cli, &a, method, &deck);
  ef_deck_free(&deck);
  return status;
}
