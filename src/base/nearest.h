/* "did you mean ...?": the known word that is nearest to a wrong one. */
#pragma once

#include <stddef.h>

enum { EF_NEAREST_BYTES = 160 };

typedef struct ef_nearest {
  const char *wanted;          /* borrowed */
  size_t best;                 /* edits to the answer so far; one more than allowed while there is none */
  char text[EF_NEAREST_BYTES]; /* "; did you mean fusion.clusters?", or "" */
} ef_nearest;

/* A search for words that differ from `wanted` in at most a third of its letters, or in two. Local. */
ef_nearest ef_nearest_to(const char *wanted);

/* Takes `word` as the answer if it is nearer than those before, by edit distance (insert, delete, change,
 * swap of neighbours) plus `penalty`. It is shown as "<section>.<word>", or as it is if section is "". Local.
 */
void ef_nearest_try(ef_nearest *search, const char *section, const char *word, size_t penalty);
/* The same for each word of "a|b|c". Local. */
void ef_nearest_try_all(ef_nearest *search, const char *words);
