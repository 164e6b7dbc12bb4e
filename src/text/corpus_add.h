/* Inside of the corpus, shared by its readers: adding a document, its names and the table of duplicates.
 */
#pragma once

#include "text/corpus.h"

/* What a reader knows of a document; everything is copied. */
typedef struct ef_document_source {
  const char *text, *id, *domain, *subdomain; /* id "" if none */
  size_t bytes;
} ef_document_source;

/* Appends a document unless the corpus holds the same text: then it is counted as a duplicate. EF_MACHINE.
 * Local. */
ef_status ef_corpus_add(ef_corpus *corpus, const ef_document_source *source);
