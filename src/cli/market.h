/* The subcommands of `edgefuse market`, one file each. argv[0] is the name for messages ("market solve").
 * The root rank alone works and prints; the others get the agreed status. Collective.
 */
#pragma once

#include "cli/cli.h"

ef_status ef_cli_market_solve(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_market_audit(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_market_simulate(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_market_workload(ef_cli *cli, int argc, char **argv);
ef_status ef_cli_market_bench(ef_cli *cli, int argc, char **argv);
