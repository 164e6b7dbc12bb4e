#include "store/inspect.h"

#include "cli/cli.h"

ef_status ef_cli_diff(ef_cli *cli, int argc, char **argv) {
  static const struct argp argp = {
      .args_doc = "A B",
      .doc = "Compares two HDF5 files of edgefuse by meaning: deck, attributes, lineage and, tensor by "
             "tensor, the "
             "largest difference in units in the last place. Exit code 0: equal, 1: different."};
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, NULL, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 2, 2, argp.args_doc));
  if (!ef_par_root(cli->par)) return EF_OK;
  return ef_diff(cli->arguments[0], cli->arguments[1], cli->json, stdout);
}
