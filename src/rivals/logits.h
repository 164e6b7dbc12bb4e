/* Top-k logits of public text: what the models of FedMKT tell each other (Fan et al., COLING 2025).
 *
 * The public samples are the consecutive windows of the public text (ef_stream_window), |D_p| of them with
 * n_p scored tokens. A set holds what one model says of them: of every scored token the k largest logits with
 * their token numbers, of every window the mean cross-entropy. On the wire a token takes k * (b + 4) bytes, b
 * = 4, or 2 where federation.wire is bfloat16 (then the logits are rounded), and a window 4 (deepfusion.md
 * section 7).
 */
#pragma once

#include "kernels/kernels.h"
#include "model/model.h"
#include "par/par.h"
#include "store/h5.h"
#include "text/tokens.h"

/* The samples. Scored tokens are numbered in the order of the text. */
typedef struct ef_samples {
  const ef_stream *text; /* borrowed */
  size_t T, windows;     /* tokens of a window; |D_p| */
  size_t *first;         /* (windows + 1) scored tokens before each window, then n_p; owned */
} ef_samples;

/* EF_MACHINE. Local. */
ef_status ef_samples_make(const ef_stream *text, size_t T, ef_samples *samples);
void ef_samples_free(ef_samples *samples);
static inline size_t ef_samples_tokens(const ef_samples *s) { return s->first[s->windows]; }

typedef struct ef_logit_set {
  size_t tokens, windows, k;
  int32_t *index; /* (tokens,k) token numbers, by descending logit; owned */
  float *logit;   /* (tokens,k) owned */
  float *loss;    /* (windows) nat per scored token, 0 in a window without any; owned */
} ef_logit_set;

/* A set of zeros. EF_MACHINE. Local. */
ef_status ef_logit_set_create(const ef_samples *samples, size_t k, ef_logit_set *set);
void ef_logit_set_free(ef_logit_set *set);

enum { EF_LOGIT_ROWS = 256 }; /* rows of logits (V) that exist at once while a set is made */

/* How a set is made. */
typedef struct ef_logit_recipe {
  size_t B;  /* windows of a forward pass */
  size_t k;  /* logits kept, at most V */
  bool half; /* they are rounded to bfloat16; losses are not */
} ef_logit_recipe;

/* The set of `shard` (dense, or experts spread over the ranks as step/exchange.h wants them): batch u of the
 * samples runs on rank u % size, the root of `par` gets the whole set, other ranks one that is of no use. The
 * same bits on any number of ranks. EF_MACHINE; on failure nothing is left behind. Collective. */
ef_status ef_logit_set_make(ef_par *par, const ef_kernels *kernels, const ef_model *shard,
                            const ef_samples *samples, const ef_logit_recipe *recipe, ef_logit_set *set);

/* ---- files --------------------------------------------------------------------------------------------- */

/* The set as /logits/index, /logits/value and /logits/loss of a serial file, and back into a set of the same
 * sizes. EF_MACHINE, EF_CHECKPOINT. Local. */
ef_status ef_logit_set_write(ef_h5 *file, const ef_logit_set *set);
ef_status ef_logit_set_read(ef_h5 *file, ef_logit_set *set);

/* ---- messages ------------------------------------------------------------------------------------------ */

/* Bytes of a message that carries n_p = `tokens` and |D_p| = `windows`: the closed formula. Pure. */
uint64_t ef_logit_set_formula(size_t tokens, size_t windows, size_t k, bool half);
/* Writes the message, returns its bytes. Without room (message NULL) the bytes alone. Local. */
size_t ef_logit_set_pack(const ef_logit_set *set, bool half, unsigned char *message);
/* Reads a message into a set of the same sizes. Local. */
void ef_logit_set_unpack(const unsigned char *message, bool half, ef_logit_set *set);
