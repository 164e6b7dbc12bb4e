/* The federated method that a command is told to run or to plan.
 */
#pragma once

#include "cli/cli.h"
#include "methods/methods.h"

/* The method by its name, NULL: the first of the table, deepfusion; what it sets of the deck is appended to
 * the overrides, behind what the user sets. EF_USAGE: no such method; EF_MACHINE. Local. */
ef_status ef_cli_method(ef_cli *cli, const char *name, const ef_method **method);
