#include "text/corpus_add.h"

#include "base/memory.h"
#include <string.h>
#include <xxhash.h>

/* ---- duplicates --------------------------------------------------------------------------------------- */

static bool same_text(const ef_document *a, const ef_document *b) {
  return a->hash[0] == b->hash[0] && a->hash[1] == b->hash[1] && a->bytes == b->bytes;
}

/* Slot of a text: that of its equal, or the free one where it belongs. */
static size_t find_slot(const ef_corpus *corpus, const ef_document *document) {
  size_t mask = corpus->slot_count - 1, i = (size_t)document->hash[0] & mask;
  while (corpus->slots[i] != 0 && !same_text(&corpus->documents[corpus->slots[i] - 1], document)) {
    i = (i + 1) & mask;
  }
  return i;
}

/* Keeps the table, a power of two, at most half full. */
static ef_status grow_slots(ef_corpus *corpus) {
  if (2 * (corpus->count + 1) <= corpus->slot_count) return EF_OK;
  size_t *slots, count = corpus->slot_count > 0 ? 2 * corpus->slot_count : 1024;
  EF_TRY(EF_NEW(slots, count));
  ef_free(corpus->slots);
  corpus->slots = slots;
  corpus->slot_count = count;
  for (size_t d = 0; d < corpus->count; d++) corpus->slots[find_slot(corpus, &corpus->documents[d])] = d + 1;
  return EF_OK;
}

/* ---- names -------------------------------------------------------------------------------------------- */

/* Position of a name in a sorted list, or where it belongs. */
static size_t find_name(char *const *names, size_t count, const char *name, bool *found) {
  size_t low = 0, high = count;
  *found = false;
  while (low < high) {
    size_t mid = (low + high) / 2;
    int order = strcmp(names[mid], name);
    if (order == 0) *found = true;
    if (order < 0) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  return low;
}

static ef_status insert_name(char ***names, size_t *count, const char *name, size_t at) {
  char **grown = ef_realloc(*names, *count + 1, sizeof **names), *copy = grown ? ef_strdup(name) : NULL;
  if (grown) *names = grown;
  EF_TRY(EF_CHECK(copy, EF_MACHINE, "out of memory: names of domains"));
  memmove(grown + at + 1, grown + at, (*count - at) * sizeof *grown);
  grown[at] = copy;
  (*count)++;
  return EF_OK;
}

/* The names stay sorted, so a new one moves the numbers of those behind it. */
static ef_status domain_of(ef_corpus *corpus, const char *name, size_t *index) {
  bool found;
  *index = find_name(corpus->domains, corpus->domain_count, name, &found);
  if (found) return EF_OK;
  EF_TRY(insert_name(&corpus->domains, &corpus->domain_count, name, *index));
  for (size_t d = 0; d < corpus->count; d++) {
    if (corpus->documents[d].domain >= *index) corpus->documents[d].domain++;
  }
  return EF_OK;
}

static ef_status subdomain_of(ef_corpus *corpus, const char *name, size_t *index) {
  bool found;
  *index = find_name(corpus->subdomains, corpus->subdomain_count, name, &found);
  if (found) return EF_OK;
  EF_TRY(insert_name(&corpus->subdomains, &corpus->subdomain_count, name, *index));
  for (size_t d = 0; d < corpus->count; d++) {
    if (corpus->documents[d].subdomain >= *index) corpus->documents[d].subdomain++;
  }
  return EF_OK;
}

/* ---- documents ---------------------------------------------------------------------------------------- */

static ef_status grow_documents(ef_corpus *corpus) {
  if (corpus->count < corpus->capacity) return EF_OK;
  size_t capacity = corpus->capacity > 0 ? 2 * corpus->capacity : 256;
  ef_document *grown = ef_realloc(corpus->documents, capacity, sizeof *grown);
  EF_TRY(EF_CHECK(grown, EF_MACHINE, "out of memory: %zu documents", capacity));
  corpus->documents = grown;
  corpus->capacity = capacity;
  return EF_OK;
}

static ef_status copy_texts(ef_document *document, const ef_document_source *source) {
  EF_TRY(EF_NEW(document->text, source->bytes + 1));
  memcpy(document->text, source->text, source->bytes);
  document->id = ef_strdup(source->id);
  if (document->id) return EF_OK;
  ef_free(document->text);
  return ef_fail(EF_MACHINE, __FILE__, __LINE__, "out of memory: id of a document");
}

ef_status ef_corpus_add(ef_corpus *corpus, const ef_document_source *source) {
  XXH128_hash_t hash = XXH3_128bits(source->text, source->bytes);
  ef_document document = {.bytes = source->bytes, .hash = {hash.low64, hash.high64}};
  EF_TRY(grow_documents(corpus));
  EF_TRY(grow_slots(corpus));
  size_t slot = find_slot(corpus, &document);
  if (corpus->slots[slot] != 0) {
    corpus->duplicates++;
    return EF_OK;
  }
  EF_TRY(domain_of(corpus, source->domain, &document.domain));
  EF_TRY(subdomain_of(corpus, source->subdomain, &document.subdomain));
  EF_TRY(copy_texts(&document, source));
  corpus->documents[corpus->count++] = document;
  corpus->slots[slot] = corpus->count;
  return EF_OK;
}

static void free_names(char **names, size_t count) {
  for (size_t i = 0; i < count; i++) ef_free(names[i]);
  ef_free(names);
}

void ef_corpus_free(ef_corpus *corpus) {
  for (size_t d = 0; d < corpus->count; d++) {
    ef_free(corpus->documents[d].text);
    ef_free(corpus->documents[d].id);
  }
  ef_free(corpus->documents);
  ef_free(corpus->slots);
  free_names(corpus->domains, corpus->domain_count);
  free_names(corpus->subdomains, corpus->subdomain_count);
  *corpus = (ef_corpus){0};
}
