/* Early exits in the deck: lists that are read, and lists that are refused with the place and the reason. */
#include "test_deck.h"

#include <string.h>

Test(deck_exits, lists_are_read) {
  ef_deck deck;
  cr_assert_eq(
      deck_from("global: {layers: 6}\nexits: {after: [1, 3, 5], weights: [0, 0.5, 1e-1]}\n", NULL, &deck),
      EF_OK, "%s", ef_message());
  cr_expect_eq(deck.exits.after.count, 3);
  cr_expect_str_eq(deck.exits.after.items[2], "5");
  cr_expect_str_eq(deck.exits.weights.items[1], "0.5");
  cr_expect(strstr(deck.yaml, "\nexits:\n"), "%s", deck.yaml);
  ef_deck_free(&deck);
  cr_assert_eq(deck_from("exits: {after: [1, 2], weights: [0.5]}\n", NULL, &deck), EF_OK, "%s", ef_message());
  ef_deck_free(&deck);
  cr_assert_eq(deck_from("", NULL, &deck), EF_OK, "%s", ef_message());
  cr_expect(deck.exits.after.count == 0 && deck.exits.weights.count == 0);
  ef_deck_free(&deck);
}

#define PLACE(text, most)                                                                                    \
  "\"" text "\" is not a number of layers before an early exit, 1 to " most " (global.layers - 1)"
#define WEIGHT(text) "\"" text "\" is not a weight, a number from 0 to 1e+06"

Test(deck_exits, contradictions_are_refused) {
  static const struct {
    const char *yaml, *override, *message;
  } cases[] = {
      {"\nexits:\n  after: [0]\n", NULL, "deck.yaml:3: exits.after: " PLACE("0", "3")},
      {"exits: {after: [4]}\n", NULL, "deck.yaml:1: exits.after: " PLACE("4", "3")},
      {"exits: {after: [-1]}\n", NULL, "deck.yaml:1: exits.after: " PLACE("-1", "3")},
      {"exits: {after: [1.5]}\n", NULL, "deck.yaml:1: exits.after: " PLACE("1.5", "3")},
      {"exits: {after: [one]}\n", NULL, "deck.yaml:1: exits.after: " PLACE("one", "3")},
      {"exits: {after: [99999999999999999999]}\n", NULL,
       "deck.yaml:1: exits.after: " PLACE("99999999999999999999", "3")},
      {"exits: {after: [3]}\nglobal: {layers: 3}\n", NULL, "deck.yaml:2: global.layers: " PLACE("3", "2")},
      {"exits: {after: [3]}\n", "global.layers=3", "--set global.layers=3: " PLACE("3", "2")},
      {"exits: {after: [2, 1]}\n", NULL,
       "deck.yaml:1: exits.after: 1 stands behind 2: the numbers must ascend"},
      {"exits: {after: [2, 2]}\n", NULL,
       "deck.yaml:1: exits.after: 2 stands behind 2: the numbers must ascend"},
      {"exits: {after: 1}\n", NULL, "deck.yaml:1: exits.after: wants a list such as [a, b], has a text"},
      {"exits: {after: [1, 2, 3], weights: [1, 2]}\n", NULL,
       "deck.yaml:1: exits.weights: 2 weights, but exits.after has 3 numbers: give one weight for all, or "
       "one for "
       "each"},
      {"exits:\n  weights: [0.1, 0.2]\n", "exits.after=[1]",
       "--set exits.after=[1]: 2 weights, but exits.after has 1 numbers: give one weight for all, or one for "
       "each"},
      {"exits: {after: [1], weights: [-0.5]}\n", NULL, "deck.yaml:1: exits.weights: " WEIGHT("-0.5")},
      {"exits: {after: [1], weights: [nan]}\n", NULL, "deck.yaml:1: exits.weights: " WEIGHT("nan")},
      {"exits: {after: [1], weights: [1e999]}\n", NULL, "deck.yaml:1: exits.weights: " WEIGHT("1e999")},
      {"exits: {after: [1], weights: [0x1]}\n", NULL, "deck.yaml:1: exits.weights: " WEIGHT("0x1")},
      {"exits: {after: [1], weights: [1 2]}\n", NULL, "deck.yaml:1: exits.weights: " WEIGHT("1 2")},
      {"exits: {afer: [1]}\n", NULL, "deck.yaml:1: exits.afer: unknown key; did you mean exits.after?"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    expect_refused(cases[i].yaml, cases[i].override, cases[i].message);
  }
}
