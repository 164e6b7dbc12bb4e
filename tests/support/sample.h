/* A finished run made by hand: two domains, three devices of two families of which one failed, two clusters.
 */
#pragma once

#include "methods/methods.h"

typedef struct sample {
  ef_par par;
  ef_deck deck;
  ef_run run;
  ef_outcome outcome;
  char folder[256];
} sample;

enum { SAMPLE_VOCABULARY = 32, LLAMA_PARAMS = 1176, MOE_PARAMS = 1128, MOE_ACTIVE = 1032 };

/* Everything stands in memory; the folder is fresh. `overrides` ends with NULL, or is NULL. */
void sample_make(sample *s, const char *const *overrides);
void sample_free(sample *s);
