/* Scores by document: what a model makes of each document of a text whose documents stand one behind the
 * other in streams, one stream a domain.
 *
 * A document may cross windows and batches. Each batch is cut into pieces, one for every document that it
 * scores, and pieces are added in the order of the batches, wherever they were computed: the sums have the
 * same bits on any number of ranks.
 */
#pragma once

#include "train/evaluate.h"

typedef struct ef_documents {
  size_t count;
  size_t *start;       /* (count) its first token, BOS, in the stream of its domain */
  int64_t *number;     /* (count) in the token file */
  int64_t *domain;     /* (count) ascending */
  ef_quality *quality; /* (count) nll, tokens, hits; bytes are those of the text */
} ef_documents;

/* The documents of a split by domain, those of a domain in the order of ef_stream_split, nothing scored yet.
 * EF_MACHINE. Local. */
ef_status ef_documents_make(const ef_tokens *tokens, ef_split split, ef_documents *documents);
void ef_documents_free(ef_documents *documents);

/* Those of one domain, which borrow from `all`. Local. */
ef_documents ef_documents_of(const ef_documents *all, size_t domain);

/* Number of documents of one stream that hold any of its tokens from .. to-1 (from < to); `first`: the first
 * of them. Pure. */
size_t ef_documents_span(const ef_documents *documents, size_t from, size_t to, size_t *first);

/* What was measured of the tokens from .. to-1 of a stream, one row each. */
typedef struct ef_scored_rows {
  size_t from, to;
  const int32_t *targets; /* EF_TOKEN_IGNORE: not scored */
  const float *losses;    /* nat */
  const uint8_t *hits;
} ef_scored_rows;

/* Cuts the rows into the pieces of the documents of their span: pieces (span), overwritten, bytes 0. A piece
 * is summed in the order of its rows. Pure. */
void ef_documents_cut(const ef_documents *documents, const ef_scored_rows *rows, ef_quality *pieces);
