#include "cli/eval.h"

#include "base/memory.h"
#include "cli/model_text.h"
#include "cli/report.h"
#include "report/quality_json.h"
#include "train/measure.h"
#include "train/spread.h"
#include <math.h>
#include <stdio.h>

enum { KEY_TEXT = 0x20001, KEY_CONTEXT, KEY_BATCH, KEY_BACKEND, KEY_TASK };

/* What is evaluated, and how it did. */
typedef struct evaluation {
  ef_model_text text;
  ef_quality *quality; /* (domains) owned */
  ef_spread spread;
} evaluation;

static void release(evaluation *e) {
  ef_spread_free(&e->spread);
  ef_free(e->quality);
  ef_model_text_free(&e->text);
}

static ef_status print(const ef_cli *cli, const evaluation *e) {
  const ef_corpus *corpus = &e->text.corpus;
  size_t domains = corpus->domain_count;
  if (cli->json) return ef_cli_print_json(ef_quality_table_json(e->quality, corpus->domains, domains));
  printf("%-24s %15s %12s %10s %12s %10s\n", "domain", "log_perplexity", "perplexity", "accuracy",
         "bits/byte", "tokens");
  for (size_t d = 0; d <= domains; d++) {
    ef_quality q = d < domains ? e->quality[d] : ef_quality_total(e->quality, domains);
    double nll = ef_log_perplexity(&q);
    printf("%-24s %15.4f %12.3f %10.4f %12.4f %10zu\n", d < domains ? corpus->domains[d] : "all", nll,
           exp(nll), ef_token_accuracy(&q), ef_bits_per_byte(&q), q.tokens);
  }
  return EF_OK;
}

static ef_status evaluate(const ef_cli *cli, const ef_eval_options *options, evaluation *e) {
  const ef_kernels *kernels;
  EF_TRY(ef_cli_backend(options->backend, &kernels));
  EF_TRY(ef_model_text_load(cli->par, options->checkpoint, options->files, options->file_count, &e->text));
  size_t domains = e->text.corpus.domain_count;
  size_t T = options->context ? (size_t)options->context : e->text.model.dims.max_positions;
  EF_TRY(ef_agree(cli->par, EF_NEW(e->quality, domains)));
  EF_TRY(ef_spread_create(cli->par, kernels, &e->text.model, (size_t)options->batch, T, &e->spread));
  for (size_t d = 0; d < domains; d++) {
    EF_TRY(ef_spread_evaluate(&e->spread, &e->text.streams[d], 0, &e->quality[d]));
  }
  return ef_agree(cli->par, ef_par_root(cli->par) ? print(cli, e) : EF_OK);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  ef_eval_options *options = state->input;
  switch (key) {
  case KEY_CONTEXT:
    return ef_cli_int("--context", arg, 1, 1000000, &options->context);
  case KEY_BATCH:
    return ef_cli_int("--batch", arg, 1, 1000000, &options->batch);
  case KEY_BACKEND:
    options->backend = arg;
    return 0;
  case KEY_TASK:
    options->task = arg;
    return 0;
  case KEY_TEXT:
    options->files[options->file_count++] = arg;
    return 0;
  case ARGP_KEY_ARG: /* the checkpoint, then what follows --text */
    if (options->checkpoint)
      options->files[options->file_count++] = arg;
    else
      options->checkpoint = arg;
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

ef_status ef_cli_eval(ef_cli *cli, int argc, char **argv) {
  static const struct argp_option list[] = {
      {"text", KEY_TEXT, "FILE...", 0, "JSON lines (text, domain) or plain text; with --task its items", 0},
      {"task", KEY_TASK, "TASK", 0, "mcq: multiple choice by likelihood; qa: open answers", 0},
      {"context", KEY_CONTEXT, "N", 0, "tokens of a window (default: the longest that the model takes)", 0},
      {"batch", KEY_BATCH, "N", 0, "windows computed together (default 8)", 0},
      {"backend", KEY_BACKEND, "NAME", 0, "kernels: blas (default), ref, guard, guard:ref", 0},
      {0}};
  static const struct argp argp = {
      .options = list,
      .parser = parse,
      .args_doc = "CHECKPOINT",
      .doc = "Token perplexity, token accuracy and bits per byte of a text, by domain "
             "and in all. Every token is scored once, in windows that do not overlap. With --task mcq or "
             "qa the files are JSON lines (question, context, choices, answer), and only the tokens of "
             "choices and answers are scored."};
  ef_eval_options options = {.backend = "blas", .batch = 8};
  evaluation e = {0};
  bool help;
  EF_TRY(EF_NEW(options.files, (size_t)argc));
  ef_status status = ef_cli_parse(cli, &argp, argc, argv, &options, &help);
  if (status == EF_OK && !help) {
    status = EF_CHECK(options.checkpoint && options.file_count > 0, EF_USAGE,
                      "eval: wants CHECKPOINT --text FILE...");
    if (status == EF_OK && options.task) {
      status = ef_cli_eval_task(cli, &options);
    } else if (status == EF_OK) {
      status = evaluate(cli, &options, &e);
    }
  }
  release(&e);
  ef_free(options.files);
  return status;
}
