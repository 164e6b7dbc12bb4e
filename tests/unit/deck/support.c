#include "test_deck.h"

#include <string.h>

ef_status deck_from(const char *yaml, const char *const *overrides, ef_deck *deck) {
  size_t count = 0;
  while (overrides && overrides[count]) count++;
  return ef_deck_parse("deck.yaml", yaml, overrides, count, deck);
}

void expect_refused(const char *yaml, const char *override, const char *message) {
  const char *overrides[] = {override, NULL};
  size_t blocks = ef_memory_blocks();
  ef_deck deck;
  ef_status status = deck_from(yaml, overrides, &deck);
  cr_expect_eq(status, EF_DECK, "accepted: %s %s", yaml, override ? override : "");
  cr_expect_str_eq(ef_message(), message, "\n got: %s\nwant: %s", ef_message(), message);
  cr_expect_eq(ef_memory_blocks(), blocks, "a refused deck left memory behind: %s", yaml);
}
