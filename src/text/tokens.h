/* Token files: the documents of a run as tokens in one HDF5 file (kind "tokens"), with their split, domain
 * and true bytes; and the tokenizer. The index is held in memory, tokens are read by ranges of documents.
 */
#pragma once

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

typedef enum ef_split { EF_PUBLIC, EF_PRIVATE, EF_VALIDATION, EF_SPLIT_COUNT } ef_split;

typedef struct ef_tokens {
  char *path; /* of the file; owned */
  size_t documents;
  uint8_t *split;              /* (documents) ef_split */
  int64_t *offset;             /* (documents + 1) first token; every document starts with EF_TOKEN_BOS */
  int64_t *bytes;              /* (documents) true bytes of the text */
  int32_t *domain, *subdomain; /* (documents) */
  size_t domain_count, subdomain_count;
  char **domains, **subdomains; /* names */
  size_t vocabulary;
  size_t duplicates;         /* documents dropped as exact duplicates */
  char *hash;                /* hexadecimal XXH3-128 over tokens, index, names and tokenizer: the identity */
  struct ef_h5 *file;        /* held open for reading; NULL in an index that was made in memory */
  struct ef_h5_range *range; /* its tokens */
} ef_tokens;

/* Writes a token file under a temporary name and renames it. `tokens` holds index, names, vocabulary and
 * duplicates, `ids` all offset[documents] tokens, `model` the tokenizer; `hash` is computed. EF_MACHINE.
 * Local. */
ef_status ef_tokens_write(const char *path, const ef_tokens *tokens, const int32_t *ids, const void *model,
                          size_t model_bytes, const char *deck, uint64_t seed);

/* Opens a token file and reads its index; the file stays open until ef_tokens_free. EF_CHECKPOINT if damaged.
 * Local. */
ef_status ef_tokens_open(const char *path, ef_tokens *tokens);
void ef_tokens_free(ef_tokens *tokens);

/* Tokens of one document, offset[d+1]-offset[d] of them. EF_CHECKPOINT: damaged. Local. */
ef_status ef_tokens_read(const ef_tokens *tokens, size_t document, int32_t *ids);
/* The bytes of the SentencePiece model, for ef_tokenizer_load. Local. */
ef_status ef_tokens_tokenizer(const ef_tokens *tokens, void **model,
                              size_t *bytes); /* counted memory, the caller's */

/* A target that is not counted; the value of EF_IGNORE in kernels.h, which this layer does not see. */
enum { EF_TOKEN_IGNORE = -100 };

/* A stream: chosen documents one behind the other. */
typedef struct ef_stream {
  int32_t *ids; /* (count) owned */
  size_t count;
  int64_t bytes; /* true bytes of the documents */
} ef_stream;

/* Concatenates the given documents (indices ascending or in any order, as given). EF_MACHINE. Local. */
ef_status ef_stream_read(const ef_tokens *tokens, const size_t *documents, size_t count, ef_stream *stream);
/* All documents of a split, and of a domain if domain >= 0. Local. */
ef_status ef_stream_split(const ef_tokens *tokens, ef_split split, int domain, ef_stream *stream);
/* The second behind the first, in memory of its own. EF_MACHINE. Local. */
ef_status ef_stream_join(const ef_stream *first, const ef_stream *second, ef_stream *joined);
void ef_stream_free(ef_stream *stream);

/* Draws B training windows of T+1 tokens, numbers first .. first+B-1 of this step; start positions are
 * uniform over the stream, which is taken as a ring (a short stream works: it repeats). ids (B,T), targets
 * (B,T) the next tokens; a target that is EF_TOKEN_BOS (start of the next document) is EF_TOKEN_IGNORE.
 * Window b of step s of a unit is a pure function of (seed, unit, s, b). EF_INPUT for a stream with fewer
 * than 2 tokens. Local. */
ef_status ef_stream_sample(const ef_stream *stream, uint64_t seed, uint64_t unit, uint32_t step, size_t first,
                           size_t B, size_t T, int32_t *ids, int32_t *targets);

/* The window that starts at token `start`, of the stream as a ring: ids, targets (T) as above. Local. */
void ef_stream_ring(const ef_stream *stream, size_t start, size_t T, int32_t *ids, int32_t *targets);

/* Evaluation windows: consecutive, each token of the stream is a target exactly once except BOS. Number of
 * windows of T tokens, and window w: ids (T), targets (T), the last one padded with BOS and EF_TOKEN_IGNORE.
 * Local. */
size_t ef_stream_windows(const ef_stream *stream, size_t T);
void ef_stream_window(const ef_stream *stream, size_t T, size_t w, int32_t *ids, int32_t *targets);
