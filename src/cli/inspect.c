#include "store/inspect.h"

#include "base/memory.h"
#include "cli/cli.h"

enum { KEY_VERIFY = 0x20001 };

typedef struct inspection {
  bool verify;
  const char **files; /* (file_count) owned */
  size_t file_count;
} inspection;

static error_t parse(int key, char *arg, struct argp_state *state) {
  inspection *o = state->input;
  switch (key) {
  case KEY_VERIFY:
    o->verify = true;
    return 0;
  case ARGP_KEY_ARG:
    o->files[o->file_count++] = arg;
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static ef_status inspect(const ef_cli *cli, const inspection *o) {
  const char *second = o->file_count > 1 ? o->files[1] : "";
  EF_TRY(EF_CHECK(o->file_count > 0, EF_USAGE, "inspect: wants FILE; edgefuse inspect --help explains it"));
  EF_TRY(EF_CHECK(o->file_count == 1 || o->verify, EF_USAGE,
                  "inspect: one argument too many: %s (several files with --verify)", second));
  if (!ef_par_root(cli->par)) return EF_OK;
  if (o->file_count == 1) return ef_inspect(o->files[0], o->verify, cli->json, stdout);
  return ef_verify_files(o->file_count, o->files, cli->json, stdout);
}

ef_status ef_cli_inspect(ef_cli *cli, int argc, char **argv) {
  static const struct argp_option options[] = {
      {"verify", KEY_VERIFY, NULL, 0,
       "read everything, so that every checksum is checked; several FILEs: a line for each", 0},
      {0}};
  static const struct argp argp = {.options = options,
                                   .parser = parse,
                                   .args_doc = "FILE...",
                                   .doc = "Shows what is in an HDF5 file of edgefuse: what it is, its deck, "
                                          "its tree of groups and datasets with shape, bytes, units, "
                                          "statistics and description, and, where it has them, the load of "
                                          "the experts, which device shaped which expert, and the bytes "
                                          "that crossed."};
  bool help;
  inspection o = {0};
  EF_TRY(EF_NEW(o.files, (size_t)argc));
  ef_status status = ef_cli_parse(cli, &argp, argc, argv, &o, &help);
  if (status == EF_OK && !help) status = inspect(cli, &o);
  ef_free(o.files);
  return status;
}
