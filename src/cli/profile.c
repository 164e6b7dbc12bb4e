#include "cli/cli.h"

#include "base/log.h"
#include "base/memory.h"
#include "cli/model_text.h"
#include "methods/profile.h"
#include "train/model_hash.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  KEY_OUT = 'o',
  KEY_KIND = EF_MODEL_TEXT_KEYS,
  KEY_PROMPT,
  KEY_DECODE,
  KEY_THRESHOLDS,
  KEY_WINDOWS,
  KEY_NAME
};
enum { THRESHOLDS_MOST = 256 };

typedef struct profile_options {
  ef_model_text_options what;
  const char *out, *kind, *name;
  int64_t prompt, decode, windows;
  double thresholds[THRESHOLDS_MOST];
  size_t threshold_count;
} profile_options;

/* "0.5,0.8": ascending, each in 0..1. */
static error_t parse_thresholds(const char *text, profile_options *o) {
  const char *at = text;
  o->threshold_count = 0;
  while (*at && o->threshold_count < THRESHOLDS_MOST) {
    char *end;
    double x = strtod(at, &end), last = o->threshold_count ? o->thresholds[o->threshold_count - 1] : -1.0;
    if (end == at || (*end && *end != ',') || !(x > last) || !(x <= 1.0) || !(x >= 0.0)) break;
    o->thresholds[o->threshold_count++] = x;
    at = *end ? end + 1 : end;
  }
  if (!*at && o->threshold_count) return 0;
  ef_fail(EF_USAGE, __FILE__, __LINE__,
          "--thresholds %s: wants up to %d ascending numbers from 0 to 1, as 0.5,0.8", text,
          (int)THRESHOLDS_MOST);
  return EINVAL;
}

static error_t parse(int key, char *value, struct argp_state *state) {
  profile_options *o = state->input;
  switch (key) {
  case KEY_OUT:
    o->out = value;
    return 0;
  case KEY_KIND:
    o->kind = value;
    return 0;
  case KEY_NAME:
    o->name = value;
    return 0;
  case KEY_PROMPT:
    return ef_cli_int("--prompt", value, 1, INT32_MAX, &o->prompt);
  case KEY_DECODE:
    return ef_cli_int("--decode", value, 1, INT32_MAX, &o->decode);
  case KEY_WINDOWS:
    return ef_cli_int("--windows", value, 0, INT32_MAX, &o->windows);
  case KEY_THRESHOLDS:
    return parse_thresholds(value, o);
  default:
    return ef_model_text_parse(key, value, &o->what);
  }
}

static const struct argp_option list[] = {
    {"text", EF_KEY_TEXT, "FILE...", 0, "validation text: JSON lines (text, domain) or plain text", 0},
    {"context", EF_KEY_CONTEXT, "N", 0, "tokens of a window (default: the longest that the model takes)", 0},
    {"batch", EF_KEY_BATCH, "N", 0, "windows computed together (default 8)", 0},
    {"backend", EF_KEY_BACKEND, "NAME", 0, "kernels: blas (default), ref, guard, guard:ref", 0},
    {"out", KEY_OUT, "FILE", 0, "the workload, JSON", 0},
    {"kind", KEY_KIND, "KIND", 0, "forward (default: one pass over the prompt) or autoregressive", 0},
    {"prompt", KEY_PROMPT, "N", 0, "tokens of a request's prompt (default: the window)", 0},
    {"decode", KEY_DECODE, "N", 0, "tokens that a request decodes, autoregressive (default 64)", 0},
    {"thresholds", KEY_THRESHOLDS, "LIST", 0,
     "ascending confidence thresholds, as 0.5,0.8 (default: ten from 0.02 to 1)", 0},
    {"windows", KEY_WINDOWS, "N", 0, "most windows of a domain, evenly spread (default 0: all)", 0},
    {"name", KEY_NAME, "NAME", 0, "name of the workload (default: the family)", 0},
    {0}};

static const struct argp argp = {
    .options = list,
    .parser = parse,
    .args_doc = "CHECKPOINT",
    .doc =
        "Makes a model a workload of the edge market: FLOPs and bytes per layer from its dims; accuracy and "
        "share of tokens that leave at each exit, per threshold, measured on the text; the speed of this "
        "machine. The file carries the hash of the checkpoint."};

static void tell(const ef_cli *cli, const profile_options *o, const ef_workload *w) {
  if (cli->json) return;
  printf("%-10s", "threshold");
  for (size_t e = 0; e < w->exit_count; e++) printf("  leave@%-3zu", w->exits[e].after);
  printf("  accuracy\n");
  for (size_t p = 0; p < w->policy_count; p++) {
    printf("%-10.4g", w->policies[p].threshold);
    for (size_t e = 0; e < w->exit_count; e++) printf("  %9.4f", w->policies[p].leave[e]);
    printf("  %8.4f\n", w->policies[p].accuracy);
  }
  ef_log(EF_LOG_INFO, "%s: %s, %zu layers, %zu exits, checkpoint %s, %.4g GFLOP/s here", o->out, w->name,
         w->layer_count, w->exit_count, w->checkpoint, w->measured_flops / 1e9);
}

/* The root knows the hash and writes. */
static ef_status write(const ef_cli *cli, const profile_options *o, const ef_dims *dims,
                       const ef_confidence *confidence, size_t T) {
  char hash[EF_MODEL_HASH_BYTES];
  ef_workload workload = {0};
  ef_status status = EF_OK;
  EF_GO(ef_model_path_hash(o->what.checkpoint, hash));
  ef_profile profile = {.name = o->name ? o->name : ef_family_name(dims->family),
                        .autoregressive = strcmp(o->kind, "autoregressive") == 0,
                        .prompt_tokens = (double)(o->prompt ? o->prompt : (int64_t)T),
                        .decode_tokens = (double)o->decode,
                        .checkpoint = hash,
                        .measured_flops = ef_profile_speed(dims, confidence, T)};
  EF_GO(ef_profile_workload(dims, confidence, &profile, &workload));
  EF_GO(ef_workload_write(&workload, o->out));
  tell(cli, o, &workload);
  if (cli->json) EF_GO(ef_workload_print(&workload, stdout));
done:
  ef_workload_free(&workload);
  return status;
}

static ef_status measure(const ef_cli *cli, const profile_options *o, ef_model_text *text) {
  const ef_kernels *kernels;
  ef_confidence confidence = {0};
  EF_TRY(ef_cli_backend(o->what.backend, &kernels));
  EF_TRY(ef_model_text_load(cli->par, &o->what, true, text));
  const ef_dims *dims = &text->model.dims;
  size_t T = ef_model_text_window(text, &o->what);
  ef_confidence_text what = {text->streams, text->corpus.domain_count, (size_t)o->what.batch, T,
                             (size_t)o->windows};
  const double *thresholds = o->threshold_count ? o->thresholds : ef_profile_thresholds;
  size_t count = o->threshold_count ? o->threshold_count : EF_PROFILE_THRESHOLDS;
  EF_TRY(ef_confidence_measure(cli->par, kernels, &text->model, &what, thresholds, count, &confidence));
  ef_status status = ef_par_root(cli->par) ? write(cli, o, dims, &confidence, T) : EF_OK;
  ef_confidence_free(&confidence);
  return ef_agree(cli->par, status);
}

static ef_status check(const profile_options *o) {
  EF_TRY(EF_CHECK(o->what.checkpoint && o->what.file_count > 0 && o->out, EF_USAGE,
                  "profile: wants CHECKPOINT --text FILE... --out WORKLOAD.json"));
  return EF_CHECK(strcmp(o->kind, "forward") == 0 || strcmp(o->kind, "autoregressive") == 0, EF_USAGE,
                  "--kind %s: is not one of forward|autoregressive", o->kind);
}

ef_status ef_cli_profile(ef_cli *cli, int argc, char **argv) {
  profile_options options = {.kind = "forward", .decode = 64};
  ef_model_text text = {0};
  bool help;
  EF_TRY(ef_model_text_defaults(argc, &options.what));
  ef_status status = ef_cli_parse(cli, &argp, argc, argv, &options, &help);
  if (status == EF_OK && !help) {
    status = check(&options);
    if (status == EF_OK) status = measure(cli, &options, &text);
  }
  ef_model_text_free(&text);
  ef_free(options.what.files);
  return status;
}
