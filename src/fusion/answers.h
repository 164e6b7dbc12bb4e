/* What the teachers of the merged model (fusion/mentors.h) say about every token of the public text and of
 * the generated text, if there is one. Tuning goes over its text many times and the teachers together cost
 * more than the model that learns, so each token is asked about once and the answer is kept.
 *
 * The teachers read the public text in windows of T = global.context tokens that overlap by half, and answer
 * for the second half: every token but the first T/2 has at least T/2 tokens before it. Generated samples do
 * not overlap. An answer is the whole distribution, a byte for each token of the vocabulary; or, for a large
 * vocabulary, the ensemble.top_k most likely tokens and the mass of all others: how that is shared out is
 * left to the learner, whose own distribution gives the tail its shape.
 *
 * Answers are made in pieces of EF_ANSWERS_PIECE windows, each a unit of work on one rank and a part.
 */
#pragma once

#include "fusion/mentors.h"
#include "train/feed.h"

enum { EF_ANSWERS_PIECE = 64, EF_ANSWERED_TEXTS = 2 }; /* windows of a piece; texts */

/* Makes the parts that are not there, with the teachers of the last round. EF_STOPPED. Collective. */
ef_status ef_answers_make(ef_run *run, const ef_population *population, const ef_clusters *clusters,
                          const ef_stream *generated);

/* Answers about `count` tokens; the arrays are owned. */
typedef struct ef_answer_table {
  size_t width, count; /* tokens of an answer: the vocabulary, or ensemble.top_k */
  uint8_t *code;       /* (count,width) -log p in steps of 1/16 nat, 255: that or less likely */
  int32_t *token;      /* (count,width) most likely first; NULL: the whole vocabulary in its order */
  float *rest;         /* (count) logarithm of the mass of all other tokens; NULL with token */
} ef_answer_table;

/* A window of training: its text, and the token that it starts with. */
typedef struct ef_window {
  size_t text, start;
} ef_window;

typedef struct ef_answers {
  const ef_stream *texts[EF_ANSWERED_TEXTS]; /* public; generated, or NULL; borrowed */
  double generated_share;                    /* probability that a window comes from the latter */
  uint64_t seed, unit;                       /* of the draws */
  size_t B, T, V;                            /* windows of a micro-batch, tokens of one, vocabulary */
  ef_answer_table table;                     /* of the tokens of both texts; owned */
  ef_window *drawn;                          /* (B) of the current micro-batch; owned */
  int32_t *labels; /* (B,T) what the cross-entropy sees, nothing of generated windows; NULL: all; owned */
  float *probs;    /* (V) of a row of the student; owned */
  const ef_kernels *kernels;
  ef_teacher teacher;
} ef_answers;

/* Reads all parts on this rank, for the tuning of the deck, whose windows start anywhere and are drawn from
 * the numbers of `unit`. `generated` NULL: none. EF_MACHINE, EF_CHECKPOINT. Local. */
ef_status ef_answers_load(const ef_run *run, const ef_stream *generated, uint64_t unit, ef_answers *answers);
void ef_answers_free(ef_answers *answers);

/* Tuning's feed: windows, cross-entropy and tune.kl times KL to the answers. Borrows `answers`. Pure. */
ef_feed ef_answers_feed(const ef_run *run, ef_answers *answers);

/* For a plan, with that many tokens of generated text: tokens that each teacher reads; bytes of all answers
 * and of those of the largest piece. Pure. */
size_t ef_answers_read(const ef_run *run, size_t generated);
size_t ef_answers_bytes(const ef_run *run, size_t generated);
size_t ef_answers_piece_bytes(const ef_run *run, size_t generated);
