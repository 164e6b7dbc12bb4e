/* A run without files: a small deck, made-up text in memory, an own folder for parts. For tests of what
 * stands on an ef_run.
 */
#pragma once

#include "train/run.h"

enum { TINY_V = 40, TINY_T = 8, TINY_B = 2, TINY_DOMAINS = 2, TINY_DOCUMENTS = 60 };

typedef struct tiny_run {
  ef_par alone;
  ef_deck deck;
  ef_run run;
  char folder[1024];
} tiny_run;

/* Two domains, TINY_DOCUMENTS documents, kernels of deck run.backend (ref). public_text and the others are
 * short texts of ids 3 .. TINY_V-1 with a BOS now and then, different for each seed and stream. `overrides`
 * ends with NULL, or is NULL. Aborts on failure. Collective if `par` has several ranks; NULL: this rank
 * alone. */
void tiny_run_open(tiny_run *t, ef_par *par, const char *const *overrides);
void tiny_run_close(tiny_run *t);

/* Gives the documents of the run made-up tokens, in a file of its folder, so that they can be read.
 * Collective if the run's ranks are several. */
void tiny_run_text(tiny_run *t);

/* A stream of made-up ids in counted memory; every 37th is BOS. */
ef_stream tiny_stream(size_t count, unsigned seed);
