/* The decks that ship with edgefuse are read without a complaint. */
#include "test_deck.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(deck, decks_of_inputs_are_valid) {
  const char *source = getenv("EDGEFUSE_SOURCE");
  if (!source) cr_skip_test("EDGEFUSE_SOURCE is not set");
  char pattern[4096];
  snprintf(pattern, sizeof pattern, "%s/inputs/*.yaml", source);
  glob_t found;
  cr_assert_eq(glob(pattern, 0, NULL, &found), 0, "%s", pattern);
  cr_expect_geq(found.gl_pathc, 3u);
  for (size_t i = 0; i < found.gl_pathc; i++) {
    ef_deck deck;
    cr_expect_eq(ef_deck_read(found.gl_pathv[i], NULL, 0, &deck), EF_OK, "%s", ef_message());
    bool simulation = strstr(found.gl_pathv[i], "/market.yaml");
    cr_expect_eq(deck.text.files.count > 0, !simulation, "%s", found.gl_pathv[i]);
    ef_deck_free(&deck);
  }
  globfree(&found);
}
