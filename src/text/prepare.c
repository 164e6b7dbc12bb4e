#include "text/prepare.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "text/tokenizer.h"
#include <string.h>
#include <xxhash.h>

/* The parts of one run of prepare. */
typedef struct ef_work {
  const ef_prepare *settings;
  ef_corpus corpus;
  ef_tokens tokens; /* borrows the names of the corpus */
  ef_tokenizer *tokenizer;
  int32_t *ids; /* all tokens */
  size_t capacity;
} ef_work;

/* ---- splits ------------------------------------------------------------------------------------------- */

ef_split ef_split_of(const ef_document *document, const ef_prepare *settings) {
  size_t n = strcspn(document->id, "#");
  uint64_t unit = n > 0 ? XXH3_64bits(document->id, n) : document->hash[0];
  ef_rng rng = ef_rng_stream(settings->seed, EF_RNG_SPLIT, unit, 0);
  double u = ef_rng_uniform(&rng);
  if (u < settings->public_share) return EF_PUBLIC;
  bool kept = settings->validation_file_count == 0 && u >= 1.0 - settings->validation_share;
  return kept ? EF_VALIDATION : EF_PRIVATE;
}

static const char *const advice[EF_SPLIT_COUNT] = {
    "raise text.public_share or give more documents",
    "lower text.public_share or text.validation_share, or give more documents",
    "raise text.validation_share, name text.validation_files or give more documents",
};

static ef_status check_splits(const ef_work *work, size_t first) {
  static const char *const names[EF_SPLIT_COUNT] = {"public", "private", "validation"};
  const ef_prepare *s = work->settings;
  size_t found[EF_SPLIT_COUNT] = {0};
  bool needed[EF_SPLIT_COUNT] = {true, true, s->validation_share > 0 || s->validation_file_count > 0};
  for (size_t d = 0; d < work->corpus.count; d++) found[work->tokens.split[d]]++;
  for (int k = 0; k < EF_SPLIT_COUNT; k++) {
    EF_TRY(EF_CHECK(!needed[k] || found[k] > 0, EF_INPUT, "none of the %zu documents is %s; %s",
                    work->corpus.count - first, names[k], advice[k]));
  }
  return EF_OK;
}

/* ---- corpora ------------------------------------------------------------------------------------------ */

/* Validation files come first: a text that is also in `files` stays validation and is not trained on. */
static ef_status read_corpora(ef_work *work, size_t *validation) {
  const ef_prepare *s = work->settings;
  double shares = s->public_share + (s->validation_file_count == 0 ? s->validation_share : 0);
  EF_TRY(EF_CHECK(s->file_count > 0, EF_INPUT, "text.files: no file is named"));
  EF_TRY(EF_CHECK(shares <= 1, EF_DECK,
                  "text.public_share and text.validation_share add up to %g, more than 1", shares));
  for (size_t f = 0; f < s->validation_file_count; f++) {
    EF_TRY(ef_corpus_read(&work->corpus, s->validation_files[f], s->by_subdomain));
  }
  *validation = work->corpus.count;
  for (size_t f = 0; f < s->file_count; f++)
    EF_TRY(ef_corpus_read(&work->corpus, s->files[f], s->by_subdomain));
  return EF_OK;
}

static ef_status make_index(ef_work *work) {
  ef_tokens *t = &work->tokens;
  size_t n = work->corpus.count;
  *t = (ef_tokens){.documents = n,
                   .vocabulary = ef_tokenizer_size(work->tokenizer),
                   .split = t->split,
                   .domains = work->corpus.domains,
                   .domain_count = work->corpus.domain_count,
                   .subdomains = work->corpus.subdomains,
                   .subdomain_count = work->corpus.subdomain_count,
                   .duplicates = work->corpus.duplicates};
  EF_TRY(EF_NEW(t->offset, n + 1));
  EF_TRY(EF_NEW(t->bytes, n));
  EF_TRY(EF_NEW(t->domain, n));
  EF_TRY(EF_NEW(t->subdomain, n));
  for (size_t d = 0; d < n; d++) {
    t->bytes[d] = (int64_t)work->corpus.documents[d].bytes;
    t->domain[d] = (int32_t)work->corpus.documents[d].domain;
    t->subdomain[d] = (int32_t)work->corpus.documents[d].subdomain;
  }
  return EF_OK;
}

static ef_status find_splits(ef_work *work, size_t validation) {
  EF_TRY(EF_NEW(work->tokens.split, work->corpus.count));
  for (size_t d = 0; d < work->corpus.count; d++) {
    ef_split split = d < validation ? EF_VALIDATION : ef_split_of(&work->corpus.documents[d], work->settings);
    work->tokens.split[d] = (uint8_t)split;
  }
  return check_splits(work, validation);
}

/* ---- tokens ------------------------------------------------------------------------------------------- */

static ef_status train_tokenizer(ef_work *work) {
  const ef_corpus *corpus = &work->corpus;
  const char **texts = NULL;
  size_t *bytes = NULL, count = 0;
  ef_status status;
  EF_GO(EF_NEW(texts, corpus->count));
  EF_GO(EF_NEW(bytes, corpus->count));
  for (size_t d = 0; d < corpus->count; d++) {
    if (work->tokens.split[d] != EF_PUBLIC) continue;
    texts[count] = corpus->documents[d].text;
    bytes[count++] = corpus->documents[d].bytes;
  }
  EF_GO(ef_tokenizer_train(texts, bytes, count, work->settings->vocabulary, &work->tokenizer));
done:
  ef_free(texts);
  ef_free(bytes);
  return status;
}

static ef_status reserve(ef_work *work, size_t need) {
  if (need <= work->capacity) return EF_OK;
  size_t capacity = 2 * work->capacity > need ? 2 * work->capacity : need;
  int32_t *grown = ef_realloc(work->ids, capacity, sizeof *grown);
  EF_TRY(EF_CHECK(grown, EF_MACHINE, "out of memory: %zu tokens", capacity));
  work->ids = grown;
  work->capacity = capacity;
  return EF_OK;
}

static ef_status encode_document(ef_work *work, size_t d) {
  const ef_document *document = &work->corpus.documents[d];
  size_t at = (size_t)work->tokens.offset[d], count;
  int32_t *ids;
  EF_TRY(ef_tokenizer_encode(work->tokenizer, document->text, document->bytes, &ids, &count));
  ef_status status = reserve(work, at + count + 1);
  if (status == EF_OK) {
    work->ids[at] = EF_TOKEN_BOS;
    memcpy(work->ids + at + 1, ids, count * sizeof *ids);
    work->tokens.offset[d + 1] = (int64_t)(at + count + 1);
  }
  ef_free(ids);
  return status;
}

static ef_status write_tokens(const ef_work *work, const char *path) {
  const void *model;
  size_t bytes;
  ef_tokenizer_model(work->tokenizer, &model, &bytes);
  return ef_tokens_write(path, &work->tokens, work->ids, model, bytes, work->settings->deck,
                         work->settings->seed);
}

static ef_status run(ef_work *work, const char *path) {
  size_t validation;
  EF_TRY(read_corpora(work, &validation));
  EF_TRY(find_splits(work, validation));
  EF_TRY(train_tokenizer(work));
  EF_TRY(make_index(work));
  for (size_t d = 0; d < work->corpus.count; d++) EF_TRY(encode_document(work, d));
  EF_TRY(write_tokens(work, path));
  ef_log(EF_LOG_VERBOSE, "prepare: %zu documents (%zu duplicates dropped), %lld tokens, vocabulary %zu",
         work->corpus.count, work->corpus.duplicates, (long long)work->tokens.offset[work->corpus.count],
         work->tokens.vocabulary);
  return EF_OK;
}

ef_status ef_prepare_run(const ef_prepare *settings, const char *path) {
  ef_work work = {.settings = settings};
  ef_status status = run(&work, path);
  ef_free(work.ids);
  ef_free(work.tokens.split);
  ef_free(work.tokens.offset);
  ef_free(work.tokens.bytes);
  ef_free(work.tokens.domain);
  ef_free(work.tokens.subdomain);
  ef_tokenizer_free(work.tokenizer);
  ef_corpus_free(&work.corpus);
  return status;
}
