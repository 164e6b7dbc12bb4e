#include "cli/model_text.h"

#include "base/memory.h"
#include <string.h>

ef_status ef_model_text_defaults(int argc, ef_model_text_options *o) {
  *o = (ef_model_text_options){.backend = "blas", .batch = 8};
  return EF_NEW(o->files, (size_t)argc);
}

error_t ef_model_text_parse(int key, char *value, ef_model_text_options *o) {
  switch (key) {
  case EF_KEY_CONTEXT:
    return ef_cli_int("--context", value, 1, 1000000, &o->context);
  case EF_KEY_BATCH:
    return ef_cli_int("--batch", value, 1, 1000000, &o->batch);
  case EF_KEY_BACKEND:
    o->backend = value;
    return 0;
  case EF_KEY_TEXT:
    o->files[o->file_count++] = value;
    return 0;
  case ARGP_KEY_ARG: /* the checkpoint, then what follows --text */
    if (o->checkpoint)
      o->files[o->file_count++] = value;
    else
      o->checkpoint = value;
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

void ef_model_text_free(ef_model_text *m) {
  for (size_t d = 0; m->streams && d < m->corpus.domain_count; d++) ef_stream_free(&m->streams[d]);
  ef_free(m->streams);
  ef_corpus_free(&m->corpus);
  ef_tokenizer_free(m->tokenizer);
  ef_model_source_free(&m->source);
  ef_model_free(&m->model);
  *m = (ef_model_text){0};
}

static ef_status load_model(const ef_par *par, const char *path, ef_model_text *m) {
  ef_h5 *file = NULL;
  EF_TRY(ef_h5_open(path, NULL, &file));
  ef_status status = EF_OK;
  EF_GO(ef_model_file_shard(file, par, &m->model));
  EF_GO(ef_model_file_source(file, &m->model.table, &m->source));
  EF_GO(EF_CHECK(m->source.tokenizer, EF_INPUT, "the model has no tokenizer, so it cannot read text"));
  EF_GO(ef_tokenizer_load(m->source.tokenizer, m->source.tokenizer_bytes, &m->tokenizer));
  EF_GO(EF_CHECK(ef_tokenizer_size(m->tokenizer) <= m->model.dims.V, EF_CHECKPOINT,
                 "its tokenizer has %zu tokens, but the model only %zu", ef_tokenizer_size(m->tokenizer),
                 m->model.dims.V));
done:
  ef_h5_close(file);
  return status == EF_OK ? status : ef_context(status, "%s", path);
}

/* Adds BOS and the tokens of a document to the stream of its domain. */
static ef_status append(const ef_model_text *m, const ef_document *document, ef_stream *stream) {
  int32_t *ids = NULL;
  size_t n = 0;
  EF_TRY(ef_tokenizer_encode(m->tokenizer, document->text, document->bytes, &ids, &n));
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

static ef_status load_text(const ef_model_text_options *o, ef_model_text *m) {
  for (size_t i = 0; i < o->file_count; i++) EF_TRY(ef_corpus_read(&m->corpus, o->files[i], false));
  EF_TRY(EF_NEW(m->streams, m->corpus.domain_count));
  for (size_t i = 0; i < m->corpus.count; i++) {
    const ef_document *document = &m->corpus.documents[i];
    EF_TRY(append(m, document, &m->streams[document->domain]));
  }
  return EF_OK;
}

ef_status ef_model_text_load(ef_par *par, const ef_model_text_options *options, bool with_text,
                             ef_model_text *m) {
  *m = (ef_model_text){0};
  ef_status status = load_model(par, options->checkpoint, m);
  if (status == EF_OK && with_text) status = load_text(options, m);
  return ef_agree(par, status);
}

size_t ef_model_text_window(const ef_model_text *m, const ef_model_text_options *options) {
  return options->context ? (size_t)options->context : m->model.dims.max_positions;
}
