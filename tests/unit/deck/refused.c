/* Decks that must be refused, with the exact message: a place, the key, what is wrong, what to do. */
#include "test_deck.h"

#include "base/file.h"
#include "support/support.h"
#include <stdio.h>
#include <string.h>

typedef struct refusal {
  const char *yaml, *override, *message;
} refusal;

static void expect_all(const refusal *cases, size_t count) {
  for (size_t i = 0; i < count; i++) expect_refused(cases[i].yaml, cases[i].override, cases[i].message);
}

Test(deck_refused, unknown_keys_name_the_nearest) {
  static const refusal cases[] = {
      {"\n\nfederation:\n  device: 4\n", NULL,
       "deck.yaml:4: federation.device: unknown key; did you mean federation.devices?"},
      {"federation: {experts: 4}\n", NULL,
       "deck.yaml:1: federation.experts: unknown key; did you mean global.experts?"},
      {"federatoin: {devices: 4}\n", NULL,
       "deck.yaml:1: federatoin: unknown section; did you mean federation?"},
      {"sede: 4\n", NULL, "deck.yaml:1: sede: unknown section; did you mean run.seed?"},
      {"run: {zzzzzzzzzzzz: 4}\n", NULL,
       "deck.yaml:1: run.zzzzzzzzzzzz: unknown key; edgefuse train --help-deck lists all keys"},
      {"federation:\n  families:\n    - family: gpt2\n      wdith: 8\n", NULL,
       "deck.yaml:4: federation.families.0.wdith: unknown key; did you mean width?"},
      {"", "fusion.cluster=2", "--set fusion.cluster=2: unknown key; did you mean fusion.clusters?"},
      {"", "federation.families.0.head=2",
       "--set federation.families.0.head=2: unknown key; did you mean heads?"},
      {"", "seed=2", "--set seed=2: wants section.key=value"},
      {"", "run.seed", "--set run.seed: wants section.key=value"},
      {"", "federation.families.7.width=2",
       "--set federation.families.7.width=2: there is no entry 7: the deck has 3, from 0"},
      {"", "federation.families.x.width=2",
       "--set federation.families.x.width=2: wants federation.families.NUMBER.KEY=VALUE"},
  };
  expect_all(cases, COUNT(cases));
}

Test(deck_refused, values_out_of_range) {
  static const refusal cases[] = {
      {"\n\n\n\n\n\n\n\n\n\n\n\nfederation:\n  devices: 0\n", NULL,
       "deck.yaml:14: federation.devices: 0 is out of range [1, 1000000] devices"},
      {"run: {seed: 99999999999999999999}\n", NULL,
       "deck.yaml:1: run.seed: 99999999999999999999 is out of range [0, 9223372036854775807]"},
      {"text: {public_share: 1.01}\n", NULL, "deck.yaml:1: text.public_share: 1.01 is out of range [0, 1]"},
      {"run: {time_limit: 1e999}\n", NULL,
       "deck.yaml:1: run.time_limit: 1e999 is out of range [0, 1000000000] s"},
      {"run:\n  backend: blass\n", NULL,
       "deck.yaml:2: run.backend: \"blass\" is not one of blas|ref|guard|guard:ref; did you mean blas?"},
      {"", "tune.lr=-1", "--set tune.lr=-1: -1 is out of range [0, 10]"},
  };
  expect_all(cases, COUNT(cases));
}

Test(deck_refused, values_of_another_type) {
  static const refusal cases[] = {
      {"run: {seed: many}\n", NULL, "deck.yaml:1: run.seed: wants a whole number, has \"many\""},
      {"run: {seed: 1.5}\n", NULL, "deck.yaml:1: run.seed: wants a whole number, has \"1.5\""},
      {"run: {seed: 0x10}\n", NULL, "deck.yaml:1: run.seed: wants a whole number, has \"0x10\""},
      {"run: {seed: \"5\"}\n", NULL,
       "deck.yaml:1: run.seed: wants a whole number, has the quoted text \"5\""},
      {"run: {seed: [1, 2]}\n", NULL, "deck.yaml:1: run.seed: wants a whole number, has a list"},
      {"run: {seed: {a: 1}}\n", NULL, "deck.yaml:1: run.seed: wants a whole number, has keys and values"},
      {"run:\n  seed:\n", NULL, "deck.yaml:2: run.seed: wants a whole number, has nothing"},
      {"tune: {lr: nan}\n", NULL, "deck.yaml:1: tune.lr: wants a number, has \"nan\""},
      {"tune: {lr: inf}\n", NULL, "deck.yaml:1: tune.lr: wants a number, has \"inf\""},
      {"tune: {experts: yes}\n", NULL, "deck.yaml:1: tune.experts: wants true or false, has \"yes\""},
      {"text: {folder: [a]}\n", NULL, "deck.yaml:1: text.folder: wants a text, has a list"},
      {"text: {folder: ~}\n", NULL, "deck.yaml:1: text.folder: wants a text, has nothing"},
      {"text: {files: a.jsonl}\n", NULL, "deck.yaml:1: text.files: wants a list such as [a, b], has a text"},
      {"text: {files: [[a]]}\n", NULL, "deck.yaml:1: text.files: wants a text, has a list"},
      {"run: 5\n", NULL, "deck.yaml:1: run: is a section: it wants keys and values, has a text"},
      {"federation: {families: []}\n", NULL,
       "deck.yaml:1: federation.families: wants a list of at least one entry such as {family: llama, width: "
       "96}"},
      {"federation:\n  families: [gpt2]\n", NULL,
       "deck.yaml:2: federation.families: entry 0 wants keys such as {family: llama, width: 96}, has a text"},
      {"federation: {families: [{family: lama}]}\n", NULL,
       "deck.yaml:1: federation.families.0.family: \"lama\" is not one of gpt2|llama|qwen2|olmo|bloom; did "
       "you "
       "mean llama?"},
      {"", "run.seed=", "--set run.seed=: wants a whole number, has nothing"},
      {"", "run.seed=[1",
       "--set run.seed=[1: did not find expected ',' or ']' (while parsing a flow sequence)"},
  };
  expect_all(cases, COUNT(cases));
}

Test(deck_refused, not_a_deck) {
  static const refusal cases[] = {
      {"run:\n  seed: 1\n  keep: 2\n  seed: 3\n", NULL,
       "deck.yaml:4: run.seed: is set twice, first in line 2"},
      {"run: {}\ntext: {}\nrun: {}\n", NULL, "deck.yaml:3: run: is set twice, first in line 1"},
      {"federation: {families: [{width: 8, width: 16}]}\n", NULL,
       "deck.yaml:1: federation.families.0.width: is set twice"},
      {"- a\n- b\n", NULL, "deck.yaml:1: a deck is sections of keys and values, this is a list"},
      {"just a text\n", NULL, "deck.yaml:1: a deck is sections of keys and values, this is a text"},
      {"run: {seed: 1}\n---\nrun: {seed: 2}\n", NULL,
       "deck.yaml:2: a second document; a deck is one document"},
      {"run:\n\tseed: 1\n", NULL,
       "deck.yaml:2: a tab cannot indent; use spaces (while scanning for the next token)"},
      {"run:\n  seed: !!int 1\n", NULL, "deck.yaml:2: tags such as !!int have no place in a deck"},
      {"text:\n  folder: \"a\\0b\"\n", NULL, "deck.yaml:2: a text must not hold a NUL"},
      {"run:\n  [a, b]: 1\n", NULL, "deck.yaml:2: run: a key must be a plain word"},
      {"run:\n  seed: 1\ntext:\n  folder: \"\xff\xfe\"\n", NULL,
       "deck.yaml:4: not a UTF-8 text: invalid leading UTF-8 octet"},
      {"run: *nobody\n", NULL, "deck.yaml:1: found undefined alias"},
  };
  expect_all(cases, COUNT(cases));
}

Test(deck_refused, keys_that_contradict_each_other) {
  static const refusal cases[] = {
      {"global:\n  experts: 10\n", NULL,
       "deck.yaml:2: global.experts: global.experts (10) must be a multiple of fusion.clusters (4)"},
      {"fusion:\n  clusters: 8\nglobal:\n  experts: 12\n", NULL,
       "deck.yaml:4: global.experts: global.experts (12) must be a multiple of fusion.clusters (8)"},
      {"global:\n  experts: 16\n", "fusion.clusters=5",
       "--set fusion.clusters=5: global.experts (16) must be a multiple of fusion.clusters (5)"},
      {"global: {top_k: 17}\n", NULL,
       "deck.yaml:1: global.top_k: global.top_k (17) must be at most global.experts (16)"},
      {"federation:\n  devices: 2\n", NULL,
       "deck.yaml:2: federation.devices: fusion.clusters (4) must be at most federation.devices (2)"},
      {"global: {width: 130}\n", NULL,
       "deck.yaml:1: global.width: global.width (130) must be a multiple of global.heads (4)"},
      {"global: {kv_heads: 3}\n", NULL,
       "deck.yaml:1: global.kv_heads: global.heads (4) must be a multiple of global.kv_heads (3)"},
      {"global: {width: 12, heads: 4}\n", NULL,
       "deck.yaml:1: global.width: width 12 over 4 heads is an odd head width; rotary positions need an even "
       "one"},
      {"global: {dense_first: 4}\n", NULL,
       "deck.yaml:1: global.dense_first: global.dense_first (4) must be below global.layers (4)"},
      {"tune: {micro_batch: 3}\n", NULL,
       "deck.yaml:1: tune.micro_batch: tune.batch (8) must be a multiple of tune.micro_batch (3)"},
      {"fusion: {vaa_heads: 3}\n", NULL,
       "deck.yaml:1: fusion.vaa_heads: the width of view-aligned attention (128) must be a multiple of "
       "fusion.vaa_heads (3)"},
      {"fusion: {vaa_width: 30}\n", NULL,
       "deck.yaml:1: fusion.vaa_width: the width of view-aligned attention (30) must be a multiple of "
       "fusion.vaa_heads (4)"},
      {"federation: {context: 4}\n", NULL,
       "deck.yaml:1: federation.context: fusion.patch (8) must be at most federation.context (4)"},
      {"global: {context: 4}\n", NULL,
       "deck.yaml:1: global.context: fusion.patch (8) must be at most global.context (4)"},
      {"federation:\n  families:\n    - {width: 96}\n    - {width: 94}\n", NULL,
       "deck.yaml:4: federation.families.1: width (94) must be a multiple of heads (4)"},
      {"", "federation.families.0.kv_heads=2",
       "--set federation.families.0.kv_heads=2: gpt2 has as many key-value heads as heads: leave kv_heads 0"},
      {"federation: {families: [{share: 0}]}\n", NULL,
       "deck.yaml:1: federation.families: the shares of all entries are 0: no device can draw a family"},
      {"federation: {fail: [8]}\n", NULL,
       "deck.yaml:1: federation.fail: \"8\" is not the number of a device, 0 to 7"},
      {"federation: {fail: [x]}\n", NULL,
       "deck.yaml:1: federation.fail: \"x\" is not the number of a device, 0 to 7"},
  };
  expect_all(cases, COUNT(cases));
}

Test(deck_refused, bytes_that_are_no_text) {
  char folder[256], path[300];
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/deck.yaml", folder);
  cr_assert_eq(ef_file_write(path, "run:\n\0 seed: 1\n", 15), EF_OK);
  ef_deck deck;
  cr_expect_eq(ef_deck_read(path, NULL, 0, &deck), EF_DECK);
  cr_expect_not_null(strstr(ef_message(), "not a UTF-8 text: it holds a NUL byte"));
  test_remove_folder(folder);
}

/* A deck cut off or damaged at any byte is read or refused with a place, never a crash, and leaves no memory.
 */
Test(deck_refused, damage_at_every_byte) {
  static const char whole[] = "run: {seed: 3}\ntext:\n  files: [a.jsonl, \"b\"]\nfederation:\n  families:\n"
                              "    - family: gpt2\n      width: 64\n    - {family: olmo}\n  fail: [1]\n";
  for (size_t i = 0; i < sizeof whole; i++) {
    char text[sizeof whole];
    for (int change = 0; change < 4; change++) {
      memcpy(text, whole, sizeof whole);
      if (i < sizeof whole - 1) text[i] = "\0\t[\xff"[change];
      ef_deck deck;
      ef_status status = ef_deck_parse("deck.yaml", text, NULL, 0, &deck);
      if (status == EF_OK) ef_deck_free(&deck);
      cr_assert(status == EF_OK || status == EF_DECK, "byte %zu", i);
      cr_assert(status == EF_OK || strncmp(ef_message(), "deck.yaml:", 10) == 0, "byte %zu: %s", i,
                ef_message());
      cr_assert_eq(ef_memory_blocks(), 0u, "byte %zu", i);
    }
  }
}
