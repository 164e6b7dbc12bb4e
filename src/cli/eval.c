#include "cli/cli.h"

#include "base/memory.h"
#include "cli/report.h"
#include "methods/quality_json.h"
#include "par/units.h"
#include "text/corpus.h"
#include "text/tokenizer.h"
#include "train/measure.h"
#include "train/model_file.h"
#include "train/spread.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY_TEXT = 0x20001, KEY_CONTEXT, KEY_BATCH, KEY_BACKEND };

typedef struct eval_options {
  const char *backend, *checkpoint;
  int64_t context, batch;
  const char **files; /* room for every word of the command line; owned */
  size_t file_count;
} eval_options;

/* A model on this rank (its shard of the experts), with what is evaluated. */
typedef struct evaluation {
  ef_model model;
  ef_model_source source;
  ef_tokenizer *tokenizer;
  ef_corpus corpus;
  ef_stream *streams;  /* (domains) owned */
  ef_quality *quality; /* (domains) owned */
  ef_spread spread;
} evaluation;

static void release(evaluation *e) {
  for (size_t d = 0; e->streams && d < e->corpus.domain_count; d++) ef_stream_free(&e->streams[d]);
  ef_spread_free(&e->spread);
  ef_free(e->streams);
  ef_free(e->quality);
  ef_corpus_free(&e->corpus);
  ef_tokenizer_free(e->tokenizer);
  ef_model_source_free(&e->source);
  ef_model_free(&e->model);
}

static ef_status load_model(const ef_par *par, const char *path, evaluation *e) {
  ef_h5 *file = NULL;
  ef_dims dims;
  EF_TRY(ef_h5_open(path, NULL, &file));
  ef_status status = EF_OK;
  EF_GO(ef_model_file_dims(file, &dims));
  size_t first = ef_block_first(dims.E, par->size, par->rank),
         next = ef_block_first(dims.E, par->size, par->rank + 1);
  EF_GO(ef_model_create_shard(&dims, first, next - first, &e->model));
  EF_GO(ef_model_file_read(file, &e->model));
  EF_GO(ef_model_file_source(file, &e->model.table, &e->source));
  EF_GO(EF_CHECK(e->source.tokenizer, EF_INPUT, "the model has no tokenizer, so it cannot read text"));
  EF_GO(ef_tokenizer_load(e->source.tokenizer, e->source.tokenizer_bytes, &e->tokenizer));
done:
  ef_h5_close(file);
  return status == EF_OK ? status : ef_context(status, "%s", path);
}

/* Adds BOS and the tokens of a document to the stream of its domain. */
static ef_status append(const evaluation *e, const ef_document *document, ef_stream *stream) {
  int32_t *ids = NULL;
  size_t n = 0;
  EF_TRY(ef_tokenizer_encode(e->tokenizer, document->text, document->bytes, &ids, &n));
  int32_t *grown = ef_realloc(stream->ids, stream->count + n + 1, sizeof *grown);
  if (grown) {
    stream->ids = grown;
    grown[stream->count] = EF_TOKEN_BOS;
    memcpy(grown + stream->count + 1, ids, n * sizeof *ids);
    stream->count += n + 1;
    stream->bytes += (int64_t)document->bytes;
  }
  ef_free(ids);
  return EF_CHECK(grown, EF_MACHINE, "out of memory");
}

static ef_status load_text(const eval_options *options, evaluation *e) {
  for (size_t i = 0; i < options->file_count; i++)
    EF_TRY(ef_corpus_read(&e->corpus, options->files[i], false));
  EF_TRY(EF_NEW(e->streams, e->corpus.domain_count));
  EF_TRY(EF_NEW(e->quality, e->corpus.domain_count));
  for (size_t i = 0; i < e->corpus.count; i++) {
    const ef_document *document = &e->corpus.documents[i];
    EF_TRY(append(e, document, &e->streams[document->domain]));
  }
  return EF_OK;
}

static ef_status print(const ef_cli *cli, const evaluation *e) {
  size_t domains = e->corpus.domain_count;
  if (cli->json) return ef_cli_print_json(ef_quality_table_json(e->quality, e->corpus.domains, domains));
  printf("%-24s %15s %12s %10s %12s %10s\n", "domain", "log_perplexity", "perplexity", "accuracy",
         "bits/byte", "tokens");
  for (size_t d = 0; d <= domains; d++) {
    ef_quality q = d < domains ? e->quality[d] : ef_quality_total(e->quality, domains);
    double nll = ef_log_perplexity(&q);
    printf("%-24s %15.4f %12.3f %10.4f %12.4f %10zu\n", d < domains ? e->corpus.domains[d] : "all", nll,
           exp(nll), ef_token_accuracy(&q), ef_bits_per_byte(&q), q.tokens);
  }
  return EF_OK;
}

static ef_status evaluate(const ef_cli *cli, const eval_options *options, evaluation *e) {
  const ef_kernels *kernels;
  EF_TRY(ef_cli_backend(options->backend, &kernels));
  ef_status status = load_model(cli->par, options->checkpoint, e);
  if (status == EF_OK) status = load_text(options, e);
  EF_TRY(ef_agree(cli->par, status));
  size_t T = options->context ? (size_t)options->context : e->model.dims.max_positions;
  EF_TRY(ef_spread_create(cli->par, kernels, &e->model, (size_t)options->batch, T, &e->spread));
  for (size_t d = 0; d < e->corpus.domain_count; d++) {
    EF_TRY(ef_spread_evaluate(&e->spread, &e->streams[d], 0, &e->quality[d]));
  }
  return ef_agree(cli->par, ef_par_root(cli->par) ? print(cli, e) : EF_OK);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  eval_options *options = state->input;
  switch (key) {
  case KEY_CONTEXT:
    return ef_cli_int("--context", arg, 1, 1000000, &options->context);
  case KEY_BATCH:
    return ef_cli_int("--batch", arg, 1, 1000000, &options->batch);
  case KEY_BACKEND:
    options->backend = arg;
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
      {"text", KEY_TEXT, "FILE...", 0, "JSON lines (text, domain) or plain text", 0},
      {"context", KEY_CONTEXT, "N", 0, "tokens of a window (default: the longest that the model takes)", 0},
      {"batch", KEY_BATCH, "N", 0, "windows computed together (default 8)", 0},
      {"backend", KEY_BACKEND, "NAME", 0, "kernels: blas (default), ref, guard, guard:ref", 0},
      {0}};
  static const struct argp argp = {
      .options = list,
      .parser = parse,
      .args_doc = "CHECKPOINT",
      .doc = "Token perplexity, token accuracy and bits per byte of a text, by domain "
             "and in all. Every token is scored once, in windows that do not overlap."};
  eval_options options = {.backend = "blas", .batch = 8};
  evaluation e = {0};
  bool help;
  EF_TRY(EF_NEW(options.files, (size_t)argc));
  ef_status status = ef_cli_parse(cli, &argp, argc, argv, &options, &help);
  if (status == EF_OK && !help) {
    status = EF_CHECK(options.checkpoint && options.file_count > 0, EF_USAGE,
                      "eval: wants CHECKPOINT --text FILE...");
    if (status == EF_OK) status = evaluate(cli, &options, &e);
  }
  release(&e);
  ef_free(options.files);
  return status;
}
