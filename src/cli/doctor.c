#include "doctor/doctor.h"

#include "cli/method.h"
#include "doctor/start.h"
#include <string.h>

enum { KEY_OUT = 'o', KEY_DECK = 0x20001, KEY_METHOD, KEY_TIMEOUT };

typedef struct doctor_arguments {
  const char *out, *deck, *method;
  double timeout;
} doctor_arguments;

static const struct argp_option options[] = {
    {"out", KEY_OUT, "DIR", 0, "folder that runs would be written to (default: this folder)", 0},
    {"deck", KEY_DECK, "DECK", 0, "compare memory and space with the plan of this deck", 0},
    {"method", KEY_METHOD, "NAME", 0, "with --deck: federated method (default: deepfusion)", 0},
    {"timeout", KEY_TIMEOUT, "S", 0,
     "seconds after which an exchange or a file that hangs is given up (default 20)", 0},
    {0}};

static error_t parse(int key, char *value, struct argp_state *state) {
  doctor_arguments *a = state->input;
  switch (key) {
  case KEY_OUT:
    a->out = value;
    return 0;
  case KEY_DECK:
    a->deck = value;
    return 0;
  case KEY_METHOD:
    a->method = value;
    return 0;
  case KEY_TIMEOUT:
    return ef_cli_real("--timeout", value, 0.1, 3600.0, &a->timeout);
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .doc =
        "Checks this machine and this launch: ranks against Slurm's tasks, cores, BLAS threads, memory, an "
        "exchange between all ranks, the folder of the runs, free space, and an HDF5 file that all ranks "
        "write together. One line a check: ok, warn or fail, what was found, [what to do]. Exit code 0: "
        "nothing failed, 6: something did. Start it as the run will be started."};

ef_status ef_cli_doctor(ef_cli *cli, int argc, char **argv) {
  doctor_arguments a = {.out = ".", .timeout = 20.0};
  const ef_method *method;
  ef_deck deck = {0};
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &a, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 0, 0, "no argument"));
  EF_TRY(EF_CHECK(a.deck || (cli->override_count == 0 && !a.method), EF_USAGE,
                  "doctor: --set and --method go with --deck"));
  EF_TRY(ef_agree(cli->par, ef_cli_method(cli, a.method, &method)));
  ef_status status = a.deck ? ef_deck_read(a.deck, cli->overrides, cli->override_count, &deck) : EF_OK;
  status = ef_agree(cli->par, status);
  ef_doctor doctor = {.folder = a.out,
                      .deck = a.deck ? &deck : NULL,
                      .method = method,
                      .patience = a.timeout,
                      .json = cli->json};
  if (status == EF_OK) status = ef_doctor_run(cli->par, &doctor, &cli->silent);
  ef_deck_free(&deck);
  return status;
}

static bool is_doctor(int argc, char **argv) { return argc >= 2 && strcmp(argv[1], "doctor") == 0; }

static bool wants_json(int argc, char **argv) {
  bool json = false;
  for (int i = 2; i < argc; i++) json = json || strcmp(argv[i], "--json") == 0;
  return json;
}

bool ef_cli_stranded(int argc, char **argv) {
  return is_doctor(argc, argv) && ef_doctor_stranded(wants_json(argc, argv));
}

ef_watch *ef_cli_watch_start(int argc, char **argv) {
  return is_doctor(argc, argv) ? ef_start_watch(wants_json(argc, argv)) : NULL;
}
