/* The data embedding e_n of a device: 16 half-precision numbers that say what its text is about (deepfusion.md
 * section 4; Eq. 6 compares them by cosine).
 *
 * Character n-grams (3 to 5 bytes) of the text are hashed into buckets; their frequencies, weighted by the inverse document
 * frequency over the public text, are normalised and projected by a matrix that follows from the server's seed. The
 * encoder (seed and document frequencies) is public and is known to devices beforehand, like the tokenizer.
 */
#pragma once

#include "text/tokens.h"
#include "text/tokenizer.h"

enum { EF_EMBEDDING = 16 };

typedef struct ef_encoder ef_encoder; /* opaque */

/* Document frequencies of the public text. The text of a document is its decoded tokens. Local. */
ef_status ef_encoder_create(const ef_tokens *tokens, const ef_tokenizer *tokenizer, uint64_t seed, ef_encoder **encoder);
void ef_encoder_free(ef_encoder *encoder);

/* Mean of the unit vectors of the documents, projected, scaled to unit length, rounded to IEEE half: e (EF_EMBEDDING) as
 * bits. Zero documents give zeros. Local. */
ef_status ef_encode_documents(ef_encoder *encoder, const ef_tokens *tokens, const size_t *documents, size_t count,
                              uint16_t *e);
