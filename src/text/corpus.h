/* Documents read from files: JSON lines with "text" (and "domain", "subdomain", "id", when there) or plain
 * text.
 */
#pragma once

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct ef_document {
  char *text; /* UTF-8, NUL-terminated; owned by the corpus */
  size_t bytes;
  char *id;         /* "" if none */
  size_t domain;    /* index into corpus->domains */
  size_t subdomain; /* index into corpus->subdomains */
  uint64_t hash[2]; /* XXH3-128 of the text: equal hash and bytes, equal text */
} ef_document;

typedef struct ef_corpus {
  size_t count, capacity;
  ef_document *documents; /* owned; in the order of the files */
  size_t domain_count, subdomain_count;
  char **domains, **subdomains; /* names, sorted in byte order; owned. A text without one: "text" */
  size_t duplicates;            /* exact duplicates that were dropped */
  size_t *slots, slot_count;    /* hash table of the texts: number of the document + 1, 0 free; owned */
} ef_corpus;

/* Appends the documents of a file (start from a zeroed corpus); a plain text file (any name that does not end
 * in .jsonl or .json) is cut into documents at empty lines so that none is below ~2 KiB. Exact duplicates of
 * what the corpus holds are dropped and counted. EF_INPUT with file and line: not UTF-8, JSON that does not
 * parse, a line without "text", a text that is no string or is empty, a file without any text.
 * `by_subdomain`: the subdomain is used as the domain. Local. */
ef_status ef_corpus_read(ef_corpus *corpus, const char *path, bool by_subdomain);
void ef_corpus_free(ef_corpus *corpus);
