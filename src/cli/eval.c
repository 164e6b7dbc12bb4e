#include "cli/eval.h"

#include "base/memory.h"
#include "cli/report.h"
#include "report/quality_json.h"
#include "train/measure.h"
#include "train/spread.h"
#include <math.h>
#include <stdio.h>

enum { KEY_TASK = EF_MODEL_TEXT_KEYS };

typedef struct eval_options {
  ef_model_text_options what;
  const char *task; /* NULL: the files are text */
} eval_options;

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

static ef_status evaluate(const ef_cli *cli, const ef_model_text_options *options, evaluation *e) {
  const ef_kernels *kernels;
  EF_TRY(ef_cli_backend(options->backend, &kernels));
  EF_TRY(ef_model_text_load(cli->par, options, true, &e->text));
  size_t domains = e->text.corpus.domain_count;
  size_t T = ef_model_text_window(&e->text, options);
  EF_TRY(ef_agree(cli->par, EF_NEW(e->quality, domains)));
  EF_TRY(ef_spread_create(cli->par, kernels, &e->text.model, (size_t)options->batch, T, &e->spread));
  for (size_t d = 0; d < domains; d++) {
    EF_TRY(ef_spread_evaluate(&e->spread, &e->text.streams[d], 0, &e->quality[d]));
  }
  return ef_agree(cli->par, ef_par_root(cli->par) ? print(cli, e) : EF_OK);
}

static error_t parse(int key, char *value, struct argp_state *state) {
  eval_options *options = state->input;
  if (key != KEY_TASK) return ef_model_text_parse(key, value, &options->what);
  options->task = value;
  return 0;
}

ef_status ef_cli_eval(ef_cli *cli, int argc, char **argv) {
  static const struct argp_option list[] = {
      {"text", EF_KEY_TEXT, "FILE...", 0, "JSON lines (text, domain) or plain text; with --task its items",
       0},
      {"context", EF_KEY_CONTEXT, "N", 0, "tokens of a window (default: the longest that the model takes)",
       0},
      {"batch", EF_KEY_BATCH, "N", 0, "windows computed together (default 8)", 0},
      {"backend", EF_KEY_BACKEND, "NAME", 0, "kernels: blas (default), ref, guard, guard:ref", 0},
      {"task", KEY_TASK, "TASK", 0, "mcq: multiple choice by likelihood; qa: open answers", 0},
      {0}};
  static const struct argp argp = {
      .options = list,
      .parser = parse,
      .args_doc = "CHECKPOINT",
      .doc = "Token perplexity, token accuracy and bits per byte of a text, by domain "
             "and in all. Every token is scored once, in windows that do not overlap. With --task mcq or "
             "qa the files are JSON lines (question, context, choices, answer), and only the tokens of "
             "choices and answers are scored."};
  eval_options options = {0};
  evaluation e = {0};
  bool help;
  EF_TRY(ef_model_text_defaults(argc, &options.what));
  ef_status status = ef_cli_parse(cli, &argp, argc, argv, &options, &help);
  if (status == EF_OK && !help) {
    status = EF_CHECK(options.what.checkpoint && options.what.file_count > 0, EF_USAGE,
                      "eval: wants CHECKPOINT --text FILE...");
    if (status == EF_OK && options.task) {
      status = ef_cli_eval_task(cli, options.task, &options.what);
    } else if (status == EF_OK) {
      status = evaluate(cli, &options.what, &e);
    }
  }
  release(&e);
  ef_free(options.what.files);
  return status;
}
