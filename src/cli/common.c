#include "cli/cli.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/nearest.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_HELP = 0x10001, KEY_JSON, KEY_SET };

/* One call of ef_cli_parse. */
typedef struct parse_context {
  ef_cli *cli;
  void *input; /* of the command's parser */
  char name[64];
  int stopped_at; /* index behind the word at which argp stopped with an error */
  bool help;
} parse_context;

static const struct argp_option common_options[] = {
    {"set", KEY_SET, "KEY=VALUE", 0, "override a key of the deck, as --set run.seed=2", 0},
    {"json", KEY_JSON, NULL, 0, "print one JSON object on standard output and nothing else there", 0},
    {"verbose", 'v', NULL, 0, "say more", 0},
    {"quiet", 'q', NULL, 0, "say less", 0},
    {"help", KEY_HELP, NULL, 0, "this text", 0},
    {0},
};

ef_status ef_cli_set(ef_cli *cli, const char *text) {
  const char **grown = ef_realloc(cli->overrides, cli->override_count + 1, sizeof *grown);
  EF_TRY(EF_CHECK(grown, EF_MACHINE, "out of memory"));
  cli->overrides = grown;
  cli->overrides[cli->override_count++] = text;
  return EF_OK;
}

static error_t add_override(ef_cli *cli, const char *text) {
  if (!strchr(text, '=')) {
    ef_fail(EF_USAGE, __FILE__, __LINE__, "--set %s: wants section.key=value", text);
    return EINVAL;
  }
  return ef_cli_set(cli, text) == EF_OK ? 0 : ENOMEM;
}

static error_t add_argument(ef_cli *cli, const char *text) {
  if (cli->argument_count == EF_CLI_ARGUMENTS) return ARGP_ERR_UNKNOWN;
  cli->arguments[cli->argument_count++] = text;
  return 0;
}

static error_t print_help(parse_context *context, struct argp_state *state) {
  unsigned flags = state->flags;
  state->name = context->name;
  state->flags &= ~(unsigned)ARGP_NO_ERRS; /* which silences the help too */
  if (ef_par_root(context->cli->par))
    argp_state_help(state, stdout, ARGP_HELP_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC);
  state->flags = flags;
  return 0;
}

static error_t parse_common(int key, char *arg, struct argp_state *state) {
  parse_context *context = state->input;
  switch (key) {
  case KEY_SET:
    return add_override(context->cli, arg);
  case KEY_JSON:
    context->cli->json = true;
    return 0;
  case 'v':
    context->cli->verbosity++;
    return 0;
  case 'q':
    context->cli->verbosity--;
    return 0;
  case KEY_HELP:
    context->help = true;
    return print_help(context, state);
  case ARGP_KEY_ARG:
    return add_argument(context->cli, arg);
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

/* The parser around the command's own and the common one: hands both their inputs. */
static error_t parse_root(int key, char *arg, struct argp_state *state) {
  (void)arg;
  parse_context *context = state->input;
  if (key == ARGP_KEY_INIT) {
    state->child_inputs[0] = context->input;
    state->child_inputs[1] = context;
    return 0;
  }
  if (key == ARGP_KEY_ERROR) context->stopped_at = state->next;
  return ARGP_ERR_UNKNOWN;
}

/* ---- messages ------------------------------------------------------------------------------- */

static bool is_option(const struct argp_option *option) { return option->name || option->key; }

/* Looks a long option up by its name or the beginning of it: how many there are, and the last. */
static size_t option_find(const struct argp_option *options, const char *word, size_t length,
                          const struct argp_option **found) {
  size_t count = 0;
  for (const struct argp_option *o = options; o && is_option(o); o++) {
    if (!o->name || strncmp(o->name, word, length) != 0) continue;
    *found = o;
    if (strlen(o->name) == length) return 1;
    count++;
  }
  return count;
}

static void try_options(ef_nearest *near, const struct argp_option *options) {
  for (const struct argp_option *o = options; o && is_option(o); o++) {
    char word[64];
    snprintf(word, sizeof word, "--%s", o->name ? o->name : "");
    ef_nearest_try(near, "", word, 0);
  }
}

static ef_status fail_option(const char *command, const struct argp_option *options, const char *word) {
  char wrong[64];
  size_t length = strcspn(word, "=");
  snprintf(wrong, sizeof wrong, "%.*s", (int)length, word);
  if (strncmp(word, "--", 2) == 0 && length > 2) {
    const struct argp_option *known = NULL;
    size_t count = option_find(options, word + 2, length - 2, &known);
    count += option_find(common_options, word + 2, length - 2, &known);
    if (count > 1) return ef_fail(EF_USAGE, __FILE__, __LINE__, "%s: option %s is ambiguous", command, wrong);
    const char *fault = known && known->arg ? "wants a value" : "takes no value";
    if (known)
      return ef_fail(EF_USAGE, __FILE__, __LINE__, "%s: option --%s %s", command, known->name, fault);
  }
  ef_nearest near = ef_nearest_to(wrong);
  try_options(&near, options);
  try_options(&near, common_options);
  return ef_fail(EF_USAGE, __FILE__, __LINE__, "%s: unknown option %s%s", command, wrong, near.text);
}

static ef_status fail_parse(const parse_context *context, const struct argp *argp, int argc, char **argv,
                            error_t error) {
  if (error == ENOMEM) return ef_fail(EF_MACHINE, __FILE__, __LINE__, "out of memory: command line");
  if (ef_message()[0]) return ef_context(EF_USAGE, "%s", argv[0]);
  /* getopt stands behind the word, or still before it in a group of short options */
  int at = context->stopped_at - 1;
  if ((at < 1 || argv[at][0] != '-') && at + 1 < argc) at++;
  return fail_option(argv[0], argp->options, at > 0 && at < argc ? argv[at] : "");
}

/* ---- interface ------------------------------------------------------------------------------ */

static void set_log_level(const ef_cli *cli) {
  int level = EF_LOG_INFO + cli->verbosity;
  if (level < EF_LOG_QUIET) level = EF_LOG_QUIET;
  if (level > EF_LOG_DEBUG) level = EF_LOG_DEBUG;
  ef_log_setup((ef_log_level)level, ef_par_root(cli->par));
}

ef_status ef_cli_parse(ef_cli *cli, const struct argp *argp, int argc, char **argv, void *input,
                       bool *help_only) {
  static const struct argp common = {.options = common_options, .parser = parse_common};
  struct argp command = {.options = argp->options, .parser = argp->parser, .children = argp->children};
  struct argp_child children[] = {{&command, 0, NULL, 0}, {&common, 0, "Common options:", 1}, {0}};
  struct argp root = {
      .parser = parse_root, .args_doc = argp->args_doc, .doc = argp->doc, .children = children};
  parse_context context = {.cli = cli, .input = input};
  snprintf(context.name, sizeof context.name, "edgefuse %s", argv[0]);
  ef_message_set("", "");
  int end = argc;
  error_t error = argp_parse(&root, argc, argv, ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP, &end, &context);
  *help_only = context.help;
  if (error) return fail_parse(&context, argp, argc, argv, error);
  set_log_level(cli);
  if (context.help) return EF_OK;
  return EF_CHECK(end >= argc, EF_USAGE, "%s: one argument too many: %s", argv[0], argv[end]);
}

ef_status ef_cli_arguments(const ef_cli *cli, const char *command, size_t least, size_t most,
                           const char *wanted) {
  size_t count = cli->argument_count;
  EF_TRY(EF_CHECK(count >= least, EF_USAGE, "%s: wants %s; edgefuse %s --help explains it", command, wanted,
                  command));
  return EF_CHECK(count <= most, EF_USAGE, "%s: one argument too many: %s", command, cli->arguments[most]);
}

error_t ef_cli_int(const char *option, const char *text, int64_t least, int64_t greatest, int64_t *value) {
  char *end;
  errno = 0;
  long long number = strtoll(text, &end, 10);
  bool whole = end != text && *end == '\0' && errno == 0;
  if (whole && number >= least && number <= greatest) {
    *value = number;
    return 0;
  }
  ef_fail(EF_USAGE, __FILE__, __LINE__, "%s %s: wants a whole number from %lld to %lld", option, text,
          (long long)least, (long long)greatest);
  return EINVAL;
}

error_t ef_cli_real(const char *option, const char *text, double least, double greatest, double *value) {
  char *end;
  double number = strtod(text, &end);
  if (end != text && *end == '\0' && number >= least && number <= greatest) {
    *value = number;
    return 0;
  }
  ef_fail(EF_USAGE, __FILE__, __LINE__, "%s %s: wants a number from %g to %g", option, text, least, greatest);
  return EINVAL;
}

ef_status ef_cli_backend(const char *name, const ef_kernels **kernels) {
  static const char names[] = "blas|ref|guard|guard:ref";
  *kernels = ef_kernels_find(name);
  if (*kernels) return EF_OK;
  ef_nearest near = ef_nearest_to(name);
  ef_nearest_try_all(&near, names);
  return ef_fail(EF_USAGE, __FILE__, __LINE__, "--backend %s: is not one of %s%s", name, names, near.text);
}
