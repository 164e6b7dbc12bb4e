/* The data embedding e_n of a device: 16 half-precision numbers that say what its text is about
 * (deepfusion.md section 4; Eq. 6 compares them by cosine).
 *
 * Character n-grams (3 to 5 bytes, letters in lower case, one space for any run of white space) are hashed
 * into 2^14 buckets; their frequencies, weighted by the inverse document frequency over the public text and
 * scaled to unit length, are the vector of a document. The mean of the public documents is taken from the
 * mean of the device's, so that what all text shares does not hide what differs. The projection starts as a
 * Gaussian matrix that follows from the server's seed and is turned towards the directions in which public
 * documents differ most (a purely random one to 16 numbers mixes domains). The encoder (seed, document
 * frequencies, public mean, projection) is public and is known to devices beforehand, like the tokenizer.
 */
#pragma once

#include "text/tokenizer.h"
#include "text/tokens.h"

enum { EF_EMBEDDING = 16 };

typedef struct ef_encoder ef_encoder; /* opaque */

/* Document frequencies, mean and projection from the public text, which is read six times. The text of a
 * document is its decoded tokens. The tokenizer is borrowed as long as the encoder lives. EF_INPUT: no public
 * document. Local. */
ef_status ef_encoder_create(const ef_tokens *tokens, const ef_tokenizer *tokenizer, uint64_t seed,
                            ef_encoder **encoder);
void ef_encoder_free(ef_encoder *encoder);

/* Mean of the unit vectors of the documents less the public mean, projected, scaled to unit length, rounded
 * to IEEE half: e (EF_EMBEDDING) as bits. Zero documents give zeros. Local. */
ef_status ef_encode_documents(ef_encoder *encoder, const ef_tokens *tokens, const size_t *documents,
                              size_t count, uint16_t *e);
