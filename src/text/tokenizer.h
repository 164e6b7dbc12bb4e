/* SentencePiece BPE with byte fallback, behind a C interface (the shim is the only C++ of the tree). Every
 * text has an encoding, and decoding gives its bytes back: no normalisation, no spaces dropped.
 */
#pragma once

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct ef_tokenizer ef_tokenizer; /* opaque */

enum { EF_TOKEN_UNKNOWN = 0, EF_TOKEN_BOS = 1, EF_TOKEN_EOS = 2 }; /* BOS stands in front of every document */

/* Trains on `count` texts, one thread, deterministic. EF_INPUT when the text is too small for the vocabulary
 * (the message says what size would do, or to lower text.vocabulary). Local. */
ef_status ef_tokenizer_train(const char *const *texts, const size_t *bytes, size_t count, size_t vocabulary,
                             ef_tokenizer **tokenizer);
/* From and to the bytes of a SentencePiece model file. `*model` belongs to the tokenizer. EF_INPUT. Local. */
ef_status ef_tokenizer_load(const void *model, size_t bytes, ef_tokenizer **tokenizer);
void ef_tokenizer_model(const ef_tokenizer *tokenizer, const void **model, size_t *bytes);
void ef_tokenizer_free(ef_tokenizer *tokenizer);

size_t ef_tokenizer_size(const ef_tokenizer *tokenizer); /* V */

/* Token ids of a text, without BOS; counted memory, freed by the caller. Local. */
ef_status ef_tokenizer_encode(const ef_tokenizer *tokenizer, const char *text, size_t bytes, int32_t **ids,
                              size_t *count);
/* The text of ids (control tokens give nothing), counted memory, freed by the caller. Local. */
ef_status ef_tokenizer_decode(const ef_tokenizer *tokenizer, const int32_t *ids, size_t count, char **text,
                              size_t *bytes);
