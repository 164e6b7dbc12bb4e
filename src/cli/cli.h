/* The commands of edgefuse: one file each, one table of them. Nothing else of the program uses this folder.
 *
 * A command gets its own arguments (argv[0] is the command's name), prints its result on standard output (one
 * JSON object with --json, and nothing else) and speaks to people on standard error. It returns a status;
 * main() prints the message and ends the process. Every rank runs the command; only the root prints.
 */
#pragma once

#include "base/status.h"
#include "doctor/watch.h"
#include "kernels/kernels.h"
#include "par/par.h"
#include <argp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { EF_CLI_ARGUMENTS = 64 };

/* What all commands share. main() places it and releases it with ef_cli_free. */
typedef struct ef_cli {
  ef_par *par;
  bool json;              /* --json */
  bool silent;            /* set by a command whose failure another process reports */
  int verbosity;          /* -v adds 1, -q takes 1 */
  const char **overrides; /* --set key=value, in order; owned, the texts are argv's */
  size_t override_count;
  const char
      *arguments[EF_CLI_ARGUMENTS]; /* what is no option, unless the command's parser takes ARGP_KEY_ARG */
  size_t argument_count;
} ef_cli;

typedef struct ef_command {
  const char *name;
  const char *synopsis; /* "DECK [--out DIR] [--resume]" */
  const char *help;     /* one line for the list of commands */
  ef_status (*run)(ef_cli *cli, int argc, char **argv);
} ef_command;

/* Table of all commands, ended by a NULL name; a command by name, or NULL. Local. */
extern const ef_command ef_commands[];
const ef_command *ef_command_find(const char *name);

/* Prints the list of commands. Local. */
void ef_cli_usage(FILE *out);

/* Runs the command that argv[1] names, or answers --help and --version. EF_USAGE for an unknown command, with
 * the nearest name. Collective: all ranks get the same arguments. */
ef_status ef_cli_run(ef_cli *cli, int argc, char **argv);
void ef_cli_free(ef_cli *cli);

/* Parses options of one command with argp; --json, -v, -q, --set are understood everywhere (a child parser),
 * and sets the level of the log. A wrong option or argument is EF_USAGE with one line. `--help` prints and
 * sets *help_only: the command returns EF_OK at once. A command's own parser refuses a value by
 * ef_fail(EF_USAGE, ...) and EINVAL. Local. */
ef_status ef_cli_parse(ef_cli *cli, const struct argp *argp, int argc, char **argv, void *input,
                       bool *help_only);

/* Appends an override, as one more --set; the text is not copied. EF_MACHINE. Local. */
ef_status ef_cli_set(ef_cli *cli, const char *text);

/* EF_USAGE unless there are `least` to `most` arguments; `wanted` names them ("DIR OUT.h5"). Local. */
ef_status ef_cli_arguments(const ef_cli *cli, const char *command, size_t least, size_t most,
                           const char *wanted);

/* Values of options, for parsers: 0, or EINVAL with the message recorded. Local. */
error_t ef_cli_int(const char *option, const char *text, int64_t least, int64_t greatest, int64_t *value);
error_t ef_cli_real(const char *option, const char *text, double least, double greatest, double *value);

/* Kernels by the name of --backend; EF_USAGE names those there are. Local. */
ef_status ef_cli_backend(const char *name, const ef_kernels **kernels);

/* True if `doctor` has found, before MPI, that MPI cannot start, and has said so: EF_MACHINE. Local. */
bool ef_cli_stranded(int argc, char **argv);
/* Watches the start of MPI for `doctor` (doctor/start.h), until ef_watch_free; NULL for other commands.
 * Local. */
ef_watch *ef_cli_watch_start(int argc, char **argv);

/* The commands, one file each. Collective: every rank calls the command. */
ef_status ef_cli_prepare(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_train(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_plan(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_eval(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_bench(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_import(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_export(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_forward(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_inspect(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_diff(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_generate(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_profile(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_market(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_doctor(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_verify_resume(ef_cli *cli, int argc, char **argv);
