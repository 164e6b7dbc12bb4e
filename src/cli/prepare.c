#include "cli/cli.h"

#include "cli/folder.h"
#include "launch/launch.h"
#include <stdio.h>

static error_t parse(int key, char *value, struct argp_state *state) {
  if (key != 'o') return ARGP_ERR_UNKNOWN;
  *(const char **)state->input = value;
  return 0;
}

static const char *const split_names[EF_SPLIT_COUNT] = {"public", "private", "validation"};

typedef struct split_sum {
  size_t documents;
  int64_t tokens, bytes;
} split_sum;

static void sum_splits(const ef_tokens *t, split_sum sums[EF_SPLIT_COUNT]) {
  for (size_t d = 0; d < t->documents; d++) {
    split_sum *s = &sums[t->split[d]];
    s->documents++;
    s->tokens += t->offset[d + 1] - t->offset[d];
    s->bytes += t->bytes[d];
  }
}

static void print_json(const char *path, const ef_tokens *t, const split_sum *sums) {
  printf("{\"file\": \"%s\", \"vocabulary\": %zu, \"documents\": %zu, \"duplicates\": %zu, \"hash\": \"%s\"",
         path, t->vocabulary, t->documents, t->duplicates, t->hash);
  for (size_t i = 0; i < EF_SPLIT_COUNT; i++) {
    printf(", \"%s\": {\"documents\": %zu, \"tokens\": %lld, \"bytes\": %lld}", split_names[i],
           sums[i].documents, (long long)sums[i].tokens, (long long)sums[i].bytes);
  }
  puts("}");
}

static void print_table(const char *path, const ef_tokens *t, const split_sum *sums) {
  printf("%s: vocabulary %zu, %zu documents, %zu exact duplicates dropped\n", path, t->vocabulary,
         t->documents, t->duplicates);
  printf("%-12s %10s %12s %12s %14s\n", "split", "documents", "tokens", "bytes", "bytes/token");
  for (size_t i = 0; i < EF_SPLIT_COUNT; i++) {
    const split_sum *s = &sums[i];
    printf("%-12s %10zu %12lld %12lld %14.3f\n", split_names[i], s->documents, (long long)s->tokens,
           (long long)s->bytes, s->tokens ? (double)s->bytes / (double)s->tokens : 0.0);
  }
}

static ef_status show(const ef_cli *cli, const char *folder) {
  char path[4096];
  ef_tokens tokens = {0};
  snprintf(path, sizeof path, "%s/tokens/tokens.h5", folder);
  EF_TRY(ef_tokens_open(path, &tokens));
  split_sum sums[EF_SPLIT_COUNT] = {{0}};
  sum_splits(&tokens, sums);
  if (cli->json)
    print_json(path, &tokens, sums);
  else
    print_table(path, &tokens, sums);
  ef_tokens_free(&tokens);
  return EF_OK;
}

ef_status ef_cli_prepare(ef_cli *cli, int argc, char **argv) {
  static const struct argp_option options[] = {
      {"out", 'o', "DIR", 0, "run folder (default: runs/<name of the deck>)", 0}, {0}};
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "DECK",
      .doc = "Reads the corpora of the deck, trains the tokenizer on the public text, and "
             "writes the token file that train uses."};
  const char *out = NULL;
  char folder[2048];
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &out, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 1, 1, argp.args_doc));
  ef_deck deck = {0};
  ef_cli_run_folder(out, cli->arguments[0], folder, sizeof folder);
  ef_status status = ef_deck_read(cli->arguments[0], cli->overrides, cli->override_count, &deck);
  status = ef_agree(cli->par, status);
  if (status == EF_OK) status = ef_launch_prepare(cli->par, &deck, folder);
  if (status == EF_OK) status = ef_agree(cli->par, ef_par_root(cli->par) ? show(cli, folder) : EF_OK);
  ef_deck_free(&deck);
  return status;
}
