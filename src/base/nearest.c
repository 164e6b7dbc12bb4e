#include "base/nearest.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WORD_BYTES = 64 };

/* The optimal string alignment distance of Damerau and Levenshtein; long words are far from everything. */
static size_t distance(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b), row[WORD_BYTES + 1][WORD_BYTES + 1];
  if (n > WORD_BYTES || m > WORD_BYTES) return WORD_BYTES;
  for (size_t i = 0; i <= n; i++) row[i][0] = i;
  for (size_t j = 0; j <= m; j++) row[0][j] = j;
  for (size_t i = 1; i <= n; i++) {
    for (size_t j = 1; j <= m; j++) {
      size_t best = row[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      if (row[i - 1][j] + 1 < best) best = row[i - 1][j] + 1;
      if (row[i][j - 1] + 1 < best) best = row[i][j - 1] + 1;
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped && row[i - 2][j - 2] + 1 < best) best = row[i - 2][j - 2] + 1;
      row[i][j] = best;
    }
  }
  return row[n][m];
}

ef_nearest ef_nearest_to(const char *wanted) {
  size_t third = strlen(wanted) / 3;
  return (ef_nearest){.wanted = wanted, .best = (third > 2 ? third : 2) + 1};
}

void ef_nearest_try(ef_nearest *search, const char *section, const char *word, size_t penalty) {
  size_t d = distance(search->wanted, word) + penalty;
  if (d >= search->best) return;
  search->best = d;
  snprintf(search->text, sizeof search->text, "; did you mean %s%s%s?", section, *section ? "." : "", word);
}

void ef_nearest_try_all(ef_nearest *search, const char *words) {
  for (const char *at = words; *at;) {
    size_t n = strcspn(at, "|");
    char word[WORD_BYTES + 1];
    snprintf(word, sizeof word, "%.*s", (int)n, at);
    ef_nearest_try(search, "", word, 0);
    at += n + (at[n] == '|');
  }
}
