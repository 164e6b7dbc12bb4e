#include "test_deck.h"

#include <stdlib.h>
#include <string.h>

Test(deck, empty_file_gives_defaults) {
  static const char *const empty[] = {"",      "\n",     "# only a comment\n",
                                      "---\n", "run:\n", "\xEF\xBB\xBFrun: {}\n"};
  for (size_t i = 0; i < COUNT(empty); i++) {
    ef_deck deck;
    cr_assert_eq(deck_from(empty[i], NULL, &deck), EF_OK, "%zu: %s", i, ef_message());
    cr_expect_eq(deck.run.seed, 1);
    cr_expect_str_eq(deck.run.backend, "blas");
    cr_expect_eq(deck.federation.devices, 8);
    cr_expect_float_eq(deck.federation.lr, 1.5e-3, 0.0);
    cr_expect_eq(deck.text.files.count, 0u);
    cr_expect_eq(deck.federation.family_count, 3u);
    cr_expect_str_eq(deck.federation.families[0].family, "gpt2");
    cr_expect_str_eq(deck.federation.families[1].family, "llama");
    cr_expect_str_eq(deck.federation.families[2].family, "olmo");
    cr_expect_eq(deck.federation.families[2].width, 96);
    cr_expect_str_eq(deck.folder, ".");
    ef_deck_free(&deck);
  }
  cr_expect_eq(ef_memory_blocks(), 0u);
}

Test(deck, reads_every_kind_of_value) {
  static const char yaml[] = "run: {seed: 9223372036854775807, checkpoint_every: .5}\n"
                             "text:\n"
                             "  folder: \"a: b\"\n"
                             "  files:\n"
                             "    - one.jsonl\n"
                             "    - 'two #2.jsonl'\n"
                             "federation:\n"
                             "  devices: 12\n"
                             "  fail: [0, 11]\n"
                             "  families:\n"
                             "    - family: bloom\n"
                             "      heads: 6\n"
                             "    - {family: qwen2, heads: 6, kv_heads: 2, share: 2.5}\n"
                             "fusion: {centre: false, lr: 2e-4}\n";
  ef_deck deck;
  cr_assert_eq(deck_from(yaml, NULL, &deck), EF_OK, "%s", ef_message());
  cr_expect_eq(deck.run.seed, INT64_MAX);
  cr_expect_float_eq(deck.run.checkpoint_every, 0.5, 0.0);
  cr_expect_str_eq(deck.text.folder, "a: b");
  cr_assert_eq(deck.text.files.count, 2u);
  cr_expect_str_eq(deck.text.files.items[1], "two #2.jsonl");
  cr_expect_str_eq(deck.federation.fail.items[1], "11");
  cr_assert_eq(deck.federation.family_count, 2u);
  cr_expect_str_eq(deck.federation.families[0].family, "bloom");
  cr_expect_eq(deck.federation.families[1].kv_heads, 2);
  cr_expect_float_eq(deck.federation.families[1].share, 2.5, 0.0);
  cr_expect_not(deck.fusion.centre);
  cr_expect_float_eq(deck.fusion.lr, 2e-4, 0.0);
  ef_deck_free(&deck);
}

Test(deck, anchors_and_aliases_are_the_node_itself) {
  ef_deck deck;
  static const char yaml[] = "federation:\n  families:\n    - &one {family: llama, width: 48}\n    - *one\n"
                             "fusion: &f {steps: 7}\n";
  cr_assert_eq(deck_from(yaml, NULL, &deck), EF_OK, "%s", ef_message());
  cr_expect_eq(deck.federation.families[1].width, 48);
  cr_expect_eq(deck.fusion.steps, 7);
  ef_deck_free(&deck);
}

Test(deck, recipe_sets_the_defaults_of_its_keys) {
  ef_deck deck;
  cr_assert_eq(deck_from("", NULL, &deck), EF_OK);
  cr_expect_float_eq(deck.fusion.own_share, 0.9, 0.0);
  cr_expect(deck.fusion.drop_weak && deck.tune.experts);
  cr_expect_float_eq(deck.tune.kl, 4.0, 0.0);
  ef_deck_free(&deck);
  cr_assert_eq(deck_from("fusion: {recipe: paper}\n", NULL, &deck), EF_OK);
  cr_expect_float_eq(deck.fusion.own_share, 0.0, 0.0);
  cr_expect_not(deck.fusion.drop_weak || deck.tune.experts);
  cr_expect_float_eq(deck.tune.kl, 0.0, 0.0);
  ef_deck_free(&deck);
  const char *set[] = {"fusion.recipe=paper", "tune.kl=0.25", NULL};
  cr_assert_eq(deck_from("fusion: {own_share: 0.5}\n", set, &deck), EF_OK);
  cr_expect_float_eq(deck.fusion.own_share, 0.5, 0.0);
  cr_expect_float_eq(deck.tune.kl, 0.25, 0.0);
  cr_expect_not(deck.tune.experts);
  ef_deck_free(&deck);
}

Test(deck, overrides_come_after_the_deck) {
  ef_deck deck;
  const char *set[] = {
      "federation.devices=6", "fusion.clusters=2", "text.files=[x.jsonl, \"y, z.jsonl\"]", "text.folder=",
      "run.seed=3",           "run.seed=4",        "federation.families.2.width=64",       NULL};
  cr_assert_eq(deck_from("run: {seed: 2}\ntext: {folder: q}\n", set, &deck), EF_OK, "%s", ef_message());
  cr_expect_eq(deck.run.seed, 4);
  cr_expect_str_eq(deck.text.folder, "");
  cr_assert_eq(deck.text.files.count, 2u);
  cr_expect_str_eq(deck.text.files.items[1], "y, z.jsonl");
  cr_expect_eq(deck.federation.families[2].width, 64);
  cr_expect_eq(deck.federation.families[1].width, 96);
  ef_deck_free(&deck);
  const char *whole[] = {"federation.families=[{family: gpt2, layers: 2}]", NULL};
  cr_assert_eq(deck_from("", whole, &deck), EF_OK, "%s", ef_message());
  cr_expect_eq(deck.federation.family_count, 1u);
  cr_expect_eq(deck.federation.families[0].layers, 2);
  ef_deck_free(&deck);
}

/* Every value that the first reading made must come back bit for bit: the dump of the dump is the dump, and
 * the dump names every key. */
Test(deck, dump_reads_back_to_the_same_deck) {
  static const char *const decks[] = {
      "",
      "fusion: {recipe: paper}\n",
      ("text: {folder: \"a\\\"b\\\\c\\t\\u2028\\u00e9\\x01 null\", files: [\"null\", \"5\", \"true\", é, "
       "\"\", \"- a\"]}\n"),
      "run: {checkpoint_every: 0.1}\nfederation: {lr: 3.3333333333333335e-05, fail: [3, 1]}\n",
      "federation: {families: [{family: gpt2, share: 0.30000000000000004}, {heads: 3}]}\n",
  };
  for (size_t i = 0; i < COUNT(decks); i++) {
    ef_deck first, second;
    cr_assert_eq(deck_from(decks[i], NULL, &first), EF_OK, "%zu: %s", i, ef_message());
    cr_assert_eq(deck_from(first.yaml, NULL, &second), EF_OK, "%zu: %s\n%s", i, ef_message(), first.yaml);
    cr_expect_str_eq(first.yaml, second.yaml);
    cr_expect_str_eq(first.text.folder, second.text.folder);
    cr_expect_eq(first.federation.lr, second.federation.lr);
    cr_expect_eq(first.federation.families[0].share, second.federation.families[0].share);
    for (size_t j = 0; j < first.text.files.count; j++) {
      cr_expect_str_eq(first.text.files.items[j], second.text.files.items[j]);
    }
    ef_deck_free(&first);
    ef_deck_free(&second);
  }
}

Test(deck, dump_of_sections) {
  ef_deck deck;
  char *part = NULL;
  cr_assert_eq(deck_from("tune: {steps: 5}\n", NULL, &deck), EF_OK);
  cr_assert_eq(ef_deck_dump(&deck, "run,tune", &part), EF_OK);
  cr_expect(strncmp(part, "run:\n  seed: 1\n", 15) == 0, "%s", part);
  cr_expect_not_null(strstr(part, "\ntune:\n  steps: 5\n"));
  cr_expect_null(strstr(part, "federation"));
  cr_expect_not_null(strstr(deck.yaml, "\nfederation:\n"));
  ef_free(part);
  ef_deck_free(&deck);
}

Test(deck, dump_without_keys) {
  ef_deck deck;
  char *part = NULL;
  cr_assert_eq(deck_from("tune: {steps: 5}\n", NULL, &deck), EF_OK);
  cr_assert_eq(ef_deck_dump(&deck, "run,tune,-tune.steps,-run.steps,-tune.lr", &part), EF_OK);
  cr_expect_not_null(strstr(part, "run:\n  seed: 1\n"));
  cr_expect_not_null(strstr(part, "\ntune:\n  batch: 8\n"), "%s", part);
  cr_expect_null(strstr(part, "  steps:"));
  cr_expect_null(strstr(part, "  lr:"));
  ef_free(part);
  ef_deck_free(&deck);
}

Test(deck, help_names_every_key_with_range_and_unit) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  ef_deck_help(out);
  fclose(out);
  cr_expect_not_null(strstr(text, "whole number, 1 to 1000000 devices; default 8"));
  cr_expect_not_null(strstr(text, "number, 0 to 1; default 0 (recipe paper) or 0.9 (recipe extended)"));
  cr_expect_not_null(strstr(text, "gpt2|llama|qwen2|olmo|bloom; default llama"));
  free(text);
}

Test(deck, file_and_folder) {
  ef_deck deck;
  cr_assert_eq(ef_deck_parse("some/where/a.yaml", "", NULL, 0, &deck), EF_OK);
  cr_expect_str_eq(deck.folder, "some/where");
  ef_deck_free(&deck);
  cr_expect_eq(ef_deck_read("/no/such/deck.yaml", NULL, 0, &deck), EF_DECK);
  cr_expect_str_eq(ef_message(), "/no/such/deck.yaml: No such file or directory");
}
