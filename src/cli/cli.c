#include "cli/cli.h"

#include "base/build.h"
#include "base/memory.h"
#include "base/nearest.h"
#include <string.h>

const ef_command ef_commands[] = {
    {"prepare", "DECK [--out DIR]", "corpora to tokenizer and token file", ef_cli_prepare},
    {"train", "DECK [--out DIR] [--resume] [--dry-run]", "a whole run: federation, fusion, tuning, report",
     ef_cli_train},
    {"plan", "DECK [--method NAME] | --paper [--bytes B] [--rounds R]",
     "what a run would take; the paper's setting by formula", ef_cli_plan},
    {"eval", "CHECKPOINT --text FILE... [--task mcq|qa]", "perplexity and accuracy of a text; tasks",
     ef_cli_eval},
    {"forward", "CHECKPOINT --ids FILE --out FILE", "one batch with every intermediate result",
     ef_cli_forward},
    {"generate", "CHECKPOINT --prompt TEXT", "text from a model", ef_cli_generate},
    {"import", "DIR OUT.h5", "Hugging Face folder to checkpoint", ef_cli_import},
    {"export", "IN.h5 DIR", "checkpoint to Hugging Face folder", ef_cli_export},
    {"inspect", "FILE [--verify]", "what is in a file", ef_cli_inspect},
    {"diff", "A B", "what differs between two files; exit code 1 if anything does", ef_cli_diff},
    {"profile", "CHECKPOINT --text FILE... --out FILE", "a model as a workload of the edge market",
     ef_cli_profile},
    {"market", "solve|audit|simulate|workload ...", "the edge-inference market: AERIA, rivals, audit",
     ef_cli_market},
    {"doctor", "[--out DIR] [--deck DECK]", "this machine and this launch, each fault with its advice",
     ef_cli_doctor},
    {"verify-resume", "DECK [--out DIR] [--against FOLDER]", "proves that stop and resume give the same bits",
     ef_cli_verify_resume},
    {"bench", "[--preset NAME]", "speed of a training step on this machine", ef_cli_bench},
    {NULL, NULL, NULL, NULL},
};

const ef_command *ef_command_find(const char *name) {
  for (const ef_command *command = ef_commands; command->name; command++) {
    if (strcmp(command->name, name) == 0) return command;
  }
  return NULL;
}

void ef_cli_usage(FILE *out) {
  fputs(
      "Usage: edgefuse COMMAND [ARGUMENT...] [--option...]\n"
      "       mpirun -n RANKS edgefuse COMMAND ...\n\n"
      "Federated fusion of small language models into one Mixture-of-Experts, and a truthful market for its\n"
      "inference at the edge.\n\n",
      out);
  for (const ef_command *command = ef_commands; command->name; command++) {
    fprintf(out, "  %-13s %-40s %s\n", command->name, command->synopsis, command->help);
  }
  fputs(
      "\nedgefuse COMMAND --help explains one command; edgefuse --version names this build.\n\nExit codes:\n",
      out);
  for (int i = 0; i < EF_STATUS_COUNT; i++) {
    fprintf(out, "  %3d %s\n", ef_status_exit_code((ef_status)i), ef_status_text((ef_status)i));
  }
}

static void print_version(void) {
  printf("edgefuse %s\nrevision %s\ncompiler %s\nbuild    %s\n", ef_build_version(), ef_build_revision(),
         ef_build_compiler(), ef_build_type());
}

static bool is_word(const char *text, const char *a, const char *b, const char *c) {
  return strcmp(text, a) == 0 || strcmp(text, b) == 0 || strcmp(text, c) == 0;
}

ef_status ef_cli_run(ef_cli *cli, int argc, char **argv) {
  bool root = ef_par_root(cli->par);
  if (argc < 2) {
    return ef_fail(EF_USAGE, __FILE__, __LINE__, "no command; edgefuse --help lists them");
  }
  if (is_word(argv[1], "--help", "-h", "help")) {
    if (root) ef_cli_usage(stdout);
    return EF_OK;
  }
  if (is_word(argv[1], "--version", "-V", "version")) {
    if (root) print_version();
    return EF_OK;
  }
  const ef_command *command = ef_command_find(argv[1]);
  if (command) return command->run(cli, argc - 1, argv + 1);
  ef_nearest near = ef_nearest_to(argv[1]);
  for (command = ef_commands; command->name; command++) ef_nearest_try(&near, "", command->name, 0);
  return ef_fail(EF_USAGE, __FILE__, __LINE__, "%s: unknown command%s", argv[1],
                 near.text[0] ? near.text : "; edgefuse --help lists them");
}

void ef_cli_free(ef_cli *cli) {
  ef_free(cli->overrides);
  cli->overrides = NULL;
  cli->override_count = 0;
}
