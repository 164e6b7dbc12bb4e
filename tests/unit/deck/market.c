/* The section `market`: defaults that work, refusals, decks without any text. */
#include "test_deck.h"

#include <string.h>

Test(deck_market, defaults_are_the_papers_setting) {
  ef_deck deck;
  cr_assert_eq(deck_from("market: {}\n", NULL, &deck), EF_OK, "%s", ef_message());
  cr_expect(deck.market.clear);
  cr_expect_eq(deck.market.workloads.count + deck.market.mechanisms.count + deck.market.sweeps.count, 0u);
  cr_expect_str_eq(deck.market.variant, "T");
  cr_expect_float_eq(deck.market.capacity_flops, 3.93e12, 0.0);
  cr_expect_eq(deck.market.users_least, 39);
  cr_expect_eq(deck.market.users_most, 112);
  cr_expect_eq(deck.market.population, 1500);
  cr_expect_float_eq(deck.market.uplink_least, 7e6, 0.0);
  cr_expect_float_eq(deck.market.uplink_most, 6e7, 0.0);
  cr_expect_float_eq(deck.market.slot_seconds, 3600.0, 0.0);
  ef_deck_free(&deck);
}

Test(deck_market, reads_without_text_files) {
  ef_deck deck;
  const char *set[] = {"market.slots=3", "market.sweeps=[c, tail]", NULL};
  static const char yaml[] = "run: {seed: 7}\nmarket:\n  workloads: [alexnet, mine.json]\n"
                             "  rate_least: 0\n  rate_most: 0\n  thresholds: [0.5, 1]\n"
                             "  price_file: p.csv\n  price_column: HOEP\n";
  cr_assert_eq(deck_from(yaml, set, &deck), EF_OK, "%s", ef_message());
  cr_expect_eq(deck.text.files.count, 0u);
  cr_expect_eq(deck.market.slots, 3);
  cr_assert_eq(deck.market.workloads.count, 2u);
  cr_expect_str_eq(deck.market.workloads.items[1], "mine.json");
  cr_expect_str_eq(deck.market.sweeps.items[1], "tail");
  cr_expect_not_null(strstr(deck.yaml, "price_column: HOEP"));
  ef_deck_free(&deck);
}

Test(deck_market, refused) {
  static const struct {
    const char *yaml, *override, *message;
  } cases[] = {
      {"market: {slot: 3}\n", NULL, "deck.yaml:1: market.slot: unknown key; did you mean market.slots?"},
      {"market: {slots: 0}\n", NULL, "deck.yaml:1: market.slots: 0 is out of range [1, 1000000] slots"},
      {"market: {c: 1}\n", NULL, "deck.yaml:1: market.c: 1 is out of range [1.001, 1000000]"},
      {"market: {variant: F}\n", NULL,
       "deck.yaml:1: market.variant: \"F\" is not one of T|E|D; did you mean T?"},
      {"market:\n  users_least: 9\n  users_most: 8\n", NULL,
       "deck.yaml:3: market.users_most: market.users_least (9) must be at most market.users_most (8)"},
      {"market: {users_most: 38}\n", NULL,
       "deck.yaml:1: market.users_most: market.users_least (39) must be at most market.users_most (38)"},
      {"market: {uplink_most: 1e6}\n", NULL,
       "deck.yaml:1: market.uplink_most: market.uplink_least (7000000) must be at most market.uplink_most "
       "(1000000)"},
      {"market:\n  device_flops_most: 1e8\n", NULL,
       "deck.yaml:2: market.device_flops_most: market.device_flops_least (500000000) must be at most "
       "market.device_flops_most (100000000)"},
      {"", "market.deadline_least=0.9",
       "--set market.deadline_least=0.9: market.deadline_least (0.9) must be at most market.deadline_most "
       "(0.8)"},
      {"market: {scale_least: 3}\n", NULL,
       "deck.yaml:1: market.scale_least: market.scale_least (3) must be at most market.scale_most (2)"},
      {"market: {rate_least: 6}\n", NULL,
       "deck.yaml:1: market.rate_least: market.rate_least (6) must be at most market.rate_most (5)"},
      {"market: {rate_least: 0}\n", NULL,
       "deck.yaml:1: market.rate_least: rates are log-uniform: market.rate_least is 0 only if rate_most is"},
      {"market: {sweeps: [users, capcity]}\n", NULL,
       "deck.yaml:1: market.sweeps: \"capcity\" is not one of users|capacity|c|deadline|uplink|tail; did you "
       "mean capacity?"},
      {"market: {thresholds: [0.5, 1.5]}\n", NULL,
       "deck.yaml:1: market.thresholds: \"1.5\" is no confidence: above 0 and at most 1"},
      {"market: {thresholds: [high]}\n", NULL,
       "deck.yaml:1: market.thresholds: \"high\" is no confidence: above 0 and at most 1"},
      {"market: {thresholds: [nan]}\n", NULL,
       "deck.yaml:1: market.thresholds: \"nan\" is no confidence: above 0 and at most 1"},
      {"market:\n  price_column: HOEP\n", NULL,
       "deck.yaml:2: market.price_column: column \"HOEP\" of no file: market.price_file is empty"},
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    expect_refused(cases[i].yaml, cases[i].override, cases[i].message);
}
