/* The two halves of `edgefuse eval`: a text token by token (eval.c), and tasks (eval_task.c). */
#pragma once

#include "cli/cli.h"

typedef struct ef_eval_options {
  const char *backend, *checkpoint;
  const char *task; /* NULL: the files are text */
  int64_t context, batch;
  const char **files; /* room for every word of the command line; owned */
  size_t file_count;
} ef_eval_options;

/* Scores the task of options->task in the files and prints the result by domain and in all. EF_USAGE for an
 * unknown task; EF_INPUT, EF_CHECKPOINT, EF_MACHINE. Collective. */
ef_status ef_cli_eval_task(const ef_cli *cli, const ef_eval_options *options);
