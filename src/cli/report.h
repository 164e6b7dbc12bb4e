/* What several commands print. */
#pragma once

#include "cli/cli.h"
#include "model/model.h"
#include <jansson.h>

/* Prints a JSON object on standard output, in one line, and releases it. NULL: EF_MACHINE. Local. */
ef_status ef_cli_print_json(json_t *object);

/* Says which model was written to `path`: a line for people, or with --json {"path", "family", "tensors",
 * "parameters", "active_parameters"}. Local. */
ef_status ef_cli_report_model(const ef_cli *cli, const char *path, const ef_model *model);
