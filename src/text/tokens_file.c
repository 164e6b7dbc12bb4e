#include "text/tokens.h"

#include "base/memory.h"
#include "store/h5.h"
#include "text/tokenizer.h"
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* Chunks of tokens kept in memory by an open file: near documents are read once. */
enum { CACHE_BYTES = 16 << 20, HASH_BYTES = 40 };

/* ---- names: one list of bytes, each name ended by a newline ------------------------------------------- */

static ef_status join_names(char *const *names, size_t count, char **text, size_t *bytes) {
  *bytes = 0;
  for (size_t i = 0; i < count; i++) *bytes += strlen(names[i]) + 1;
  EF_TRY(EF_NEW(*text, *bytes + 1));
  char *out = *text;
  for (size_t i = 0; i < count; i++) out = stpcpy(stpcpy(out, names[i]), "\n");
  return EF_OK;
}

static ef_status split_names(char *text, size_t bytes, char ***names, size_t *count) {
  size_t lines = 0;
  for (size_t i = 0; i < bytes; i++) lines += text[i] == '\n';
  EF_TRY(EF_NEW(*names, lines));
  for (*count = 0; *count < lines; (*count)++) {
    char *stop = memchr(text, '\n', bytes);
    *stop = '\0';
    (*names)[*count] = ef_strdup(text);
    EF_TRY(EF_CHECK((*names)[*count], EF_MACHINE, "out of memory: names of domains"));
    bytes -= (size_t)(stop - text) + 1;
    text = stop + 1;
  }
  return EF_OK;
}

/* ---- writing ------------------------------------------------------------------------------------------ */

static ef_status write_names(ef_h5 *file, const char *path, const char *description, char *const *names,
                             size_t count, XXH3_state_t *sum) {
  char *text = NULL;
  size_t bytes;
  EF_TRY(join_names(names, count, &text, &bytes));
  XXH3_128bits_update(sum, text, bytes);
  ef_status status = ef_h5_write_vector(file, path, EF_H5_U8, bytes, "byte", description, "1", text);
  ef_free(text);
  return status;
}

static ef_status write_lists(ef_h5 *file, const ef_tokens *t, const int32_t *ids, const void *model,
                             size_t model_bytes, XXH3_state_t *sum) {
  size_t n = t->documents, total = (size_t)t->offset[n];
  const struct {
    const char *path;
    ef_h5_type type;
    size_t count, bytes;
    const char *description, *units, *dims;
    const void *data;
  } lists[] = {
      {"/tokens", EF_H5_I32, total, 4, "token ids of all documents", "1", "token", ids},
      {"/offsets", EF_H5_I64, n + 1, 8, "first token of each document; the last entry is their number",
       "token", "boundary", t->offset},
      {"/bytes", EF_H5_I64, n, 8, "bytes of the text of each document", "byte", "document", t->bytes},
      {"/split", EF_H5_U8, n, 1, "0 public, 1 private, 2 validation", "1", "document", t->split},
      {"/domain", EF_H5_I32, n, 4, "index of the domain's name", "1", "document", t->domain},
      {"/subdomain", EF_H5_I32, n, 4, "index of the subdomain's name", "1", "document", t->subdomain},
      {"/tokenizer", EF_H5_U8, model_bytes, 1, "SentencePiece model file", "1", "byte", model},
  };
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
    EF_TRY(ef_h5_write_vector(file, lists[i].path, lists[i].type, lists[i].count, lists[i].dims,
                              lists[i].description, lists[i].units, lists[i].data));
    XXH3_128bits_update(sum, lists[i].data, lists[i].count * lists[i].bytes);
  }
  EF_TRY(write_names(file, "/domains", "names of the domains, one a line", t->domains, t->domain_count, sum));
  return write_names(file, "/subdomains", "names of the subdomains, one a line", t->subdomains,
                     t->subdomain_count, sum);
}

static ef_status write_all(ef_h5 *file, const ef_tokens *t, const int32_t *ids, const void *model,
                           size_t model_bytes) {
  XXH3_state_t *sum = XXH3_createState();
  EF_TRY(EF_CHECK(sum, EF_MACHINE, "out of memory: hash of the tokens"));
  XXH3_128bits_reset(sum);
  ef_status status = write_lists(file, t, ids, model, model_bytes, sum);
  XXH128_hash_t hash = XXH3_128bits_digest(sum);
  XXH3_freeState(sum);
  EF_TRY(status);
  char text[HASH_BYTES];
  snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
  EF_TRY(ef_h5_set_text(file, "/", "hash", text));
  EF_TRY(ef_h5_set_int(file, "/", "vocabulary", (int64_t)t->vocabulary));
  return ef_h5_set_int(file, "/", "duplicates", (int64_t)t->duplicates);
}

ef_status ef_tokens_write(const char *path, const ef_tokens *tokens, const int32_t *ids, const void *model,
                          size_t model_bytes, const char *deck, uint64_t seed) {
  ef_h5 *file;
  ef_h5_header header = {.kind = "tokens", .deck = deck, .seed = seed, .ranks = 1};
  EF_TRY(ef_h5_create(path, MPI_COMM_NULL, &header, &file));
  ef_status status = write_all(file, tokens, ids, model, model_bytes);
  if (status == EF_OK) return ef_h5_commit(file);
  ef_h5_close(file);
  return status;
}

/* ---- reading ------------------------------------------------------------------------------------------ */

static ef_status length_of(ef_h5 *file, const char *path, size_t *count) {
  ef_h5_array array;
  EF_TRY(ef_h5_describe(file, path, &array));
  *count = array.rank == 1 ? array.shape[0] : 0;
  return EF_CHECK(array.rank == 1, EF_CHECKPOINT, "%s: is no list", path);
}

static ef_status read_list(ef_h5 *file, const char *path, ef_h5_type type, size_t count, void *data) {
  ef_h5_array array = {.path = path, .type = type, .rank = 1, .shape = {count}};
  return ef_h5_read(file, &array, data);
}

static ef_status read_names(ef_h5 *file, const char *path, char ***names, size_t *count) {
  char *text = NULL;
  size_t bytes;
  ef_status status;
  EF_TRY(length_of(file, path, &bytes));
  EF_TRY(EF_NEW(text, bytes + 1));
  EF_GO(read_list(file, path, EF_H5_U8, bytes, text));
  EF_GO(split_names(text, bytes, names, count));
done:
  ef_free(text);
  return status;
}

static ef_status read_index(ef_tokens *t) {
  EF_TRY(length_of(t->file, "/split", &t->documents));
  size_t n = t->documents;
  EF_TRY(EF_NEW(t->split, n));
  EF_TRY(EF_NEW(t->offset, n + 1));
  EF_TRY(EF_NEW(t->bytes, n));
  EF_TRY(EF_NEW(t->domain, n));
  EF_TRY(EF_NEW(t->subdomain, n));
  EF_TRY(read_list(t->file, "/split", EF_H5_U8, n, t->split));
  EF_TRY(read_list(t->file, "/offsets", EF_H5_I64, n + 1, t->offset));
  EF_TRY(read_list(t->file, "/bytes", EF_H5_I64, n, t->bytes));
  EF_TRY(read_list(t->file, "/domain", EF_H5_I32, n, t->domain));
  return read_list(t->file, "/subdomain", EF_H5_I32, n, t->subdomain);
}

static ef_status read_attributes(ef_tokens *t) {
  int64_t vocabulary, duplicates;
  EF_TRY(ef_h5_get_int(t->file, "/", "vocabulary", &vocabulary));
  EF_TRY(ef_h5_get_int(t->file, "/", "duplicates", &duplicates));
  EF_TRY(EF_CHECK(vocabulary > 0 && vocabulary <= INT32_MAX && duplicates >= 0, EF_CHECKPOINT,
                  "damaged attributes"));
  t->vocabulary = (size_t)vocabulary;
  t->duplicates = (size_t)duplicates;
  return ef_h5_get_text(t->file, "/", "hash", &t->hash);
}

/* What later code takes for granted: whole documents in order, known splits and names. */
static ef_status check_index(const ef_tokens *t) {
  size_t total;
  EF_TRY(length_of(t->file, "/tokens", &total));
  bool ends = t->offset[0] == 0 && t->offset[t->documents] == (int64_t)total;
  EF_TRY(EF_CHECK(ends, EF_CHECKPOINT, "/offsets does not cover /tokens"));
  for (size_t d = 0; d < t->documents; d++) {
    bool good = t->offset[d + 1] > t->offset[d] && t->bytes[d] >= 0 && t->split[d] < EF_SPLIT_COUNT &&
                t->domain[d] >= 0 && (size_t)t->domain[d] < t->domain_count && t->subdomain[d] >= 0 &&
                (size_t)t->subdomain[d] < t->subdomain_count;
    EF_TRY(EF_CHECK(good, EF_CHECKPOINT, "document %zu: index out of range", d));
  }
  return EF_OK;
}

ef_status ef_tokens_open(const char *path, ef_tokens *tokens) {
  ef_status status;
  *tokens = (ef_tokens){0};
  EF_TRY(ef_h5_open(path, "tokens", &tokens->file));
  tokens->path = ef_strdup(path);
  EF_GO(EF_CHECK(tokens->path, EF_MACHINE, "out of memory: path of a token file"));
  EF_GO(read_attributes(tokens));
  EF_GO(read_names(tokens->file, "/domains", &tokens->domains, &tokens->domain_count));
  EF_GO(read_names(tokens->file, "/subdomains", &tokens->subdomains, &tokens->subdomain_count));
  EF_GO(read_index(tokens));
  status = check_index(tokens);
  if (status != EF_OK) ef_context(status, "%s", path);
  if (status != EF_OK) goto done;
  EF_GO(ef_h5_range_open(tokens->file, "/tokens", EF_H5_I32, CACHE_BYTES, &tokens->range));
  return EF_OK;
done:
  ef_tokens_free(tokens);
  return status;
}

void ef_tokens_free(ef_tokens *tokens) {
  ef_h5_range_close(tokens->range);
  ef_h5_close(tokens->file);
  for (size_t i = 0; i < tokens->domain_count; i++) ef_free(tokens->domains[i]);
  for (size_t i = 0; i < tokens->subdomain_count; i++) ef_free(tokens->subdomains[i]);
  ef_free(tokens->domains);
  ef_free(tokens->subdomains);
  ef_free(tokens->path);
  ef_free(tokens->split);
  ef_free(tokens->offset);
  ef_free(tokens->bytes);
  ef_free(tokens->domain);
  ef_free(tokens->subdomain);
  ef_free(tokens->hash);
  *tokens = (ef_tokens){0};
}

ef_status ef_tokens_read(const ef_tokens *tokens, size_t document, int32_t *ids) {
  size_t first = (size_t)tokens->offset[document], n = (size_t)tokens->offset[document + 1] - first;
  EF_TRY(ef_h5_read_range(tokens->range, first, n, ids));
  for (size_t i = 0; i < n; i++) {
    bool known = ids[i] >= 0 && (size_t)ids[i] < tokens->vocabulary;
    EF_TRY(EF_CHECK(known, EF_CHECKPOINT, "%s: document %zu: token %d is outside of the vocabulary of %zu",
                    tokens->path, document, ids[i], tokens->vocabulary));
  }
  return EF_CHECK(ids[0] == EF_TOKEN_BOS, EF_CHECKPOINT,
                  "%s: document %zu does not start with its begin token", tokens->path, document);
}

ef_status ef_tokens_tokenizer(const ef_tokens *tokens, void **model, size_t *bytes) {
  char *data = NULL;
  EF_TRY(length_of(tokens->file, "/tokenizer", bytes));
  EF_TRY(EF_NEW(data, *bytes));
  ef_status status = read_list(tokens->file, "/tokenizer", EF_H5_U8, *bytes, data);
  if (status != EF_OK) ef_free(data);
  *model = status == EF_OK ? data : NULL;
  return status;
}
