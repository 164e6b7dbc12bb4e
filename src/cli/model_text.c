#include "cli/model_text.h"

#include "base/memory.h"
#include <string.h>

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

static ef_status load_text(const char *const *files, size_t count, ef_model_text *m) {
  for (size_t i = 0; i < count; i++) EF_TRY(ef_corpus_read(&m->corpus, files[i], false));
  EF_TRY(EF_NEW(m->streams, m->corpus.domain_count));
  for (size_t i = 0; i < m->corpus.count; i++) {
    const ef_document *document = &m->corpus.documents[i];
    EF_TRY(append(m, document, &m->streams[document->domain]));
  }
  return EF_OK;
}

ef_status ef_model_text_load(ef_par *par, const char *checkpoint, const char *const *files, size_t count,
                             ef_model_text *m) {
  *m = (ef_model_text){0};
  ef_status status = load_model(par, checkpoint, m);
  if (status == EF_OK) status = load_text(files, count, m);
  return ef_agree(par, status);
}
