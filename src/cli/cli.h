/* The commands of edgefuse: one file each, one table of them. Nothing else of the program uses this folder.
 *
 * A command gets its own arguments (argv[0] is the command's name), prints its result on standard output (one JSON
 * object with --json, and nothing else) and speaks to people on standard error. It returns a status; main()
 * prints the message and ends the process. Every rank runs the command; only the root prints.
 */
#pragma once

#include "base/status.h"
#include "par/par.h"
#include <argp.h>
#include <stddef.h>

/* What all commands share. */
typedef struct ef_cli {
  ef_par *par;
  bool json;              /* --json */
  int verbosity;          /* -v adds 1, -q takes 1 */
  const char **overrides; /* --set key=value, in order; owned by the parser of common options */
  size_t override_count;
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

/* Parses options of one command with argp; --json, -v, -q, --set are understood everywhere (a child parser). A wrong
 * option or argument is EF_USAGE with one line. `--help` prints and sets *help_only: the command returns EF_OK
 * at once. Local. */
ef_status ef_cli_parse(ef_cli *cli, const struct argp *argp, int argc, char **argv, void *input, bool *help_only);
