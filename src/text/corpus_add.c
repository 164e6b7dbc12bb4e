#include "text/corpus_add.h"

#include "base/memory.h"
#include "text/names.h"
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

/* A new name moves the numbers of those behind it. */
static ef_status domain_of(ef_corpus *corpus, const char *name, size_t *index) {
  bool added;
  EF_TRY(ef_name_index(&corpus->domains, &corpus->domain_count, name, index, &added));
  for (size_t d = 0; added && d < corpus->count; d++) {
    if (corpus->documents[d].domain >= *index) corpus->documents[d].domain++;
  }
  return EF_OK;
}

static ef_status subdomain_of(ef_corpus *corpus, const char *name, size_t *index) {
  bool added;
  EF_TRY(ef_name_index(&corpus->subdomains, &corpus->subdomain_count, name, index, &added));
  for (size_t d = 0; added && d < corpus->count; d++) {
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

void ef_corpus_free(ef_corpus *corpus) {
  for (size_t d = 0; d < corpus->count; d++) {
    ef_free(corpus->documents[d].text);
    ef_free(corpus->documents[d].id);
  }
  ef_free(corpus->documents);
  ef_free(corpus->slots);
  ef_names_free(corpus->domains, corpus->domain_count);
  ef_names_free(corpus->subdomains, corpus->subdomain_count);
  *corpus = (ef_corpus){0};
}
