/* The two halves of `edgefuse eval`: a text token by token (eval.c), and tasks (eval_task.c). */
#pragma once

#include "cli/model_text.h"

/* Scores the task (mcq, qa) in the files and prints the result by domain and in all. EF_USAGE for an unknown
 * task; EF_INPUT, EF_CHECKPOINT, EF_MACHINE. Collective. */
ef_status ef_cli_eval_task(const ef_cli *cli, const char *task, const ef_model_text_options *options);
