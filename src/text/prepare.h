/* prepare: corpora -> tokenizer -> token file.
 */
#pragma once

#include "text/corpus.h"
#include "text/tokens.h"

typedef struct ef_prepare {
  const char *const *files; /* public and private text */
  size_t file_count;
  const char *const *validation_files; /* none: a share of `files` */
  size_t validation_file_count;
  bool by_subdomain;
  size_t vocabulary;
  double public_share, validation_share; /* of the documents, by hash of the document's id */
  uint64_t seed;
  const char *deck; /* resolved deck, for the header */
} ef_prepare;

/* The split of a document: a pure function of its hash (of its id up to '#', or of its text if it has none),
 * the seed and the shares, stratified by nothing: the same document is always in the same split. Pure. */
ef_split ef_split_of(const ef_document *document, const ef_prepare *settings);

/* Reads the corpora, trains the tokenizer on the public text only, encodes, writes `path`. Validation files
 * are read first: a text that is in them and in `files` is validation text and is counted as a duplicate.
 * EF_INPUT when a split that is needed is empty or the public text is too small, EF_DECK when the shares add
 * up to more than 1. Local (the root calls it). */
ef_status ef_prepare_run(const ef_prepare *settings, const char *path);
