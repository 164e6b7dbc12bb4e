#include "cli/market.h"

#include "base/log.h"
#include "base/nearest.h"
#include "market/networks.h"

enum { KEY_OUT = 'o', KEY_BYTES = 0x20001 };

typedef struct workload_arguments {
  const char *out;
  double bytes;
} workload_arguments;

static error_t parse(int key, char *value, struct argp_state *state) {
  workload_arguments *a = state->input;
  switch (key) {
  case KEY_OUT:
    a->out = value;
    return 0;
  case KEY_BYTES:
    return ef_cli_real("--bytes", value, 0x1p-10, 0x1p10, &a->bytes);
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option options[] = {
    {"out", KEY_OUT, "FILE", 0, "write the workload there, not on standard output", 0},
    {"bytes", KEY_BYTES, "N", 0, "bytes per element of the activations (default 1)", 0},
    {0}};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[NAME]",
    .doc = "Computes the workload of a published network: FLOPs and bytes of each layer, exits and their "
           "accuracies with sources, confidence policies. Without a name, lists the networks."};

static void list(bool json) {
  if (json) fputs("{\"networks\": [", stdout);
  for (const ef_network *n = ef_networks; n->name; n++) {
    if (json)
      printf("%s{\"name\": \"%s\", \"help\": \"%s\"}", n == ef_networks ? "" : ", ", n->name, n->help);
    else
      printf("%-14s %s\n", n->name, n->help);
  }
  if (json) fputs("]}\n", stdout);
}

static ef_status fail_unknown(const char *name) {
  ef_nearest near = ef_nearest_to(name);
  ef_nearest_try_all(&near, ef_network_names());
  return ef_fail(EF_USAGE, __FILE__, __LINE__, "%s: is not one of %s%s", name, ef_network_names(), near.text);
}

static ef_status put(const char *name, const workload_arguments *a) {
  const ef_network *network = ef_network_find(name);
  if (!network) return fail_unknown(name);
  ef_workload workload;
  EF_TRY(network->make(a->bytes, &workload));
  ef_status status = a->out ? ef_workload_write(&workload, a->out) : ef_workload_print(&workload, stdout);
  ef_workload_free(&workload);
  if (status == EF_OK && a->out) ef_log(EF_LOG_INFO, "%s: %s", a->out, network->help);
  return status;
}

ef_status ef_cli_market_workload(ef_cli *cli, int argc, char **argv) {
  workload_arguments a = {.bytes = 1};
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &a, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 0, 1, argp.args_doc));
  ef_status status = EF_OK;
  if (ef_par_root(cli->par) && cli->argument_count == 1) status = put(cli->arguments[0], &a);
  if (ef_par_root(cli->par) && cli->argument_count == 0) list(cli->json);
  return ef_agree(cli->par, status);
}
