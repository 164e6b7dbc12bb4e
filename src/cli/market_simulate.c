#include "cli/market.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/folder.h"
#include "cli/report.h"
#include "study/file.h"
#include "study/report.h"
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4224 };

static error_t parse(int key, char *value, struct argp_state *state) {
  if (key != 'o') return ARGP_ERR_UNKNOWN;
  *(const char **)state->input = value;
  return 0;
}

static const struct argp_option options[] = {
    {"out", 'o', "DIR", 0, "folder of the results (default: runs/<name of the deck>)", 0}, {0}};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "DECK",
    .doc = "Clears the market of the deck's section `market` slot by slot, each mechanism on the same users "
           "and coins, then its sweeps. Prints a table and writes market.h5, report.md and deck.yaml. "
           "scripts/plots DIR draws them."};

/* ---- the folder -----------------------------------------------------------------------------------------
 */

/* A training has its own report.md, which stays. */
static ef_status check_folder(const char *folder) {
  static const char *const marks[] = {"report.json", "run.h5", "metrics.jsonl", "checkpoint", "parts"};
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, marks[i]);
    EF_TRY(EF_CHECK(!ef_file_exists(path), EF_USAGE,
                    "%s holds a training run (%s): name another folder with --out", folder, marks[i]));
  }
  return EF_OK;
}

static bool is_plain(const char *word) {
  return *word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,/:%@") ==
                      strlen(word);
}

/* One word as a shell takes it back. */
static void print_word(FILE *out, const char *word) {
  if (is_plain(word)) {
    fprintf(out, " %s", word);
    return;
  }
  fputs(" '", out);
  for (const char *p = word; *p; p++) fputs(*p == '\'' ? "'\\''" : (char[]){*p, '\0'}, out);
  fputc('\'', out);
}

/* The command that gives the same results; freed by free(). NULL when memory is short. */
static char *command_line(const ef_cli *cli, const char *folder) {
  char *text = NULL;
  size_t bytes = 0;
  FILE *out = open_memstream(&text, &bytes);
  if (!out) return NULL;
  fputs("edgefuse market simulate", out);
  print_word(out, cli->arguments[0]);
  for (size_t i = 0; i < cli->override_count; i++) {
    fputs(" --set", out);
    print_word(out, cli->overrides[i]);
  }
  fputs(" --out", out);
  print_word(out, folder);
  if (fclose(out) == 0) return text;
  free(text);
  return NULL;
}

/* ---- results --------------------------------------------------------------------------------------------
 */

enum { SERIES, REPORT, DECK, FILES };

static ef_status write_files(const ef_cli *cli, const ef_study *study, const char *folder,
                             const char *const paths[FILES]) {
  EF_TRY(ef_folder_make(folder));
  EF_TRY(ef_market_file_write(study, paths[SERIES], cli->par->size));
  EF_TRY(ef_file_write(paths[DECK], study->deck->yaml, strlen(study->deck->yaml)));
  char *command = command_line(cli, folder);
  EF_TRY(EF_CHECK(command, EF_MACHINE, "out of memory"));
  ef_status status = ef_market_report_write(study, command, paths[REPORT]);
  free(command);
  return status;
}

static ef_status print_results(const ef_cli *cli, const ef_study *study, const char *const paths[FILES]) {
  if (cli->json) return ef_cli_print_json(ef_market_report_json(study, paths, FILES));
  EF_TRY(ef_market_report_tables(study, stdout));
  for (size_t i = 0; i < EF_STUDY_TRACES; i++) {
    const ef_study_trace t = ef_study_trace_at(study, i);
    if (t.trace->synthetic) printf("synthetic trace: %s\n", t.name);
  }
  for (size_t i = 0; i < FILES; i++) printf("wrote %s\n", paths[i]);
  return EF_OK;
}

static ef_status simulate(const ef_cli *cli, const ef_deck *deck, const char *folder) {
  static const char *const names[FILES] = {"market.h5", "report.md", "deck.yaml"};
  char path[FILES][PATH_BYTES];
  const char *paths[FILES];
  for (size_t i = 0; i < FILES; i++) {
    snprintf(path[i], sizeof path[i], "%s/%s", folder, names[i]);
    paths[i] = path[i];
  }
  ef_study study = {0};
  EF_TRY(check_folder(folder));
  EF_TRY(ef_study_run(deck, &study));
  ef_status status = write_files(cli, &study, folder, paths);
  if (status == EF_OK) status = print_results(cli, &study, paths);
  ef_study_free(&study);
  return status;
}

ef_status ef_cli_market_simulate(ef_cli *cli, int argc, char **argv) {
  const char *out = NULL;
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &out, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 1, 1, argp.args_doc));
  ef_deck deck = {0};
  char folder[4096];
  EF_TRY(ef_agree(cli->par, ef_deck_read(cli->arguments[0], cli->overrides, cli->override_count, &deck)));
  ef_cli_run_folder(out, cli->arguments[0], folder, sizeof folder);
  ef_status status = ef_agree(cli->par, ef_par_root(cli->par) ? simulate(cli, &deck, folder) : EF_OK);
  ef_deck_free(&deck);
  return status;
}
