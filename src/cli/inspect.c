#include "store/inspect.h"

#include "cli/cli.h"

enum { KEY_VERIFY = 0x20001 };

static error_t parse(int key, char *arg, struct argp_state *state) {
  (void)arg;
  if (key != KEY_VERIFY) return ARGP_ERR_UNKNOWN;
  *(bool *)state->input = true;
  return 0;
}

ef_status ef_cli_inspect(ef_cli *cli, int argc, char **argv) {
  static const struct argp_option options[] = {
      {"verify", KEY_VERIFY, NULL, 0, "read everything, so that every checksum is checked", 0}, {0}};
  static const struct argp argp = {.options = options,
                                   .parser = parse,
                                   .args_doc = "FILE",
                                   .doc = "Shows what is in an HDF5 file of edgefuse: what it is, its deck, "
                                          "its tree of groups and datasets with shape, bytes, units, "
                                          "statistics and description, and, where it has them, the load of "
                                          "the experts, which device shaped which expert, and the bytes "
                                          "that crossed."};
  bool help, verify = false;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &verify, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 1, 1, argp.args_doc));
  if (!ef_par_root(cli->par)) return EF_OK;
  return ef_inspect(cli->arguments[0], verify, cli->json, stdout);
}
