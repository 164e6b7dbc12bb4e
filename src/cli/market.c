#include "cli/market.h"

#include "base/nearest.h"
#include <string.h>

typedef struct subcommand {
  const char *name;
  char *title; /* argv[0] of the subcommand, for its messages */
  const char *synopsis, *help;
  ef_status (*run)(ef_cli *cli, int argc, char **argv);
} subcommand;

static char solve_title[] = "market solve", audit_title[] = "market audit",
            simulate_title[] = "market simulate", workload_title[] = "market workload",
            bench_title[] = "market bench";

static const subcommand subcommands[] = {
    {"solve", solve_title, "INSTANCE.json", "one auction: partition, prices, winners, revenue",
     ef_cli_market_solve},
    {"audit", audit_title, "INSTANCE.json", "replays misreports; exit code 1 if a claim fails",
     ef_cli_market_audit},
    {"simulate", simulate_title, "DECK [--out DIR]", "many slots over traces, beside the rival mechanisms",
     ef_cli_market_simulate},
    {"workload", workload_title, "[NAME]", "layer and exit table of a published network",
     ef_cli_market_workload},
    {"bench", bench_title, "[--users N]", "speed of demands and clearings at 100 to a million users",
     ef_cli_market_bench},
};
enum { SUBCOMMANDS = sizeof subcommands / sizeof *subcommands };

static void print_usage(void) {
  puts("Usage: edgefuse market SUBCOMMAND [ARGUMENT...] [--option...]\n\n"
       "The edge-inference market (AERIA): demands, auction, rivals, audit, simulation.\n");
  for (size_t i = 0; i < SUBCOMMANDS; i++) {
    const subcommand *s = &subcommands[i];
    printf("  %-9s %-18s %s\n", s->name, s->synopsis, s->help);
  }
  puts("\nedgefuse market SUBCOMMAND --help explains one of them; all take --json, --verbose and --quiet.");
}

static ef_status fail_unknown(const char *word) {
  ef_nearest near = ef_nearest_to(word);
  for (size_t i = 0; i < SUBCOMMANDS; i++) ef_nearest_try(&near, "", subcommands[i].name, 0);
  return ef_fail(EF_USAGE, __FILE__, __LINE__, "market %s: unknown subcommand%s", word,
                 near.text[0] ? near.text : "; edgefuse market --help lists them");
}

ef_status ef_cli_market(ef_cli *cli, int argc, char **argv) {
  if (argc < 2) {
    return ef_fail(EF_USAGE, __FILE__, __LINE__, "market: no subcommand; edgefuse market --help lists them");
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    if (ef_par_root(cli->par)) print_usage();
    return EF_OK;
  }
  for (size_t i = 0; i < SUBCOMMANDS; i++) {
    if (strcmp(argv[1], subcommands[i].name) != 0) continue;
    argv[1] = subcommands[i].title;
    return subcommands[i].run(cli, argc - 1, argv + 1);
  }
  return fail_unknown(argv[1]);
}
