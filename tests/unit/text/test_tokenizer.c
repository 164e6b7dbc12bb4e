#include "text/tokenizer.h"

#include "base/rng.h"
#include "text/corpus.h"
#include "text/sentencepiece.h"
#include "text_support.h"
#include <stdlib.h>
#include <unistd.h>

static void shipped(ef_corpus *corpus) {
  const char *source = getenv("EDGEFUSE_SOURCE");
  char path[TEXT_PATH];
  *corpus = (ef_corpus){0};
  snprintf(path, sizeof path, "%s/inputs/corpus/gardening.jsonl", source ? source : ".");
  cr_ok(ef_corpus_read(corpus, path, false));
}

static ef_status train_on(const ef_corpus *corpus, size_t vocabulary, ef_tokenizer **t) {
  const char *texts[64];
  size_t bytes[64], n = corpus->count < 64 ? corpus->count : 64;
  for (size_t i = 0; i < n; i++) texts[i] = corpus->documents[i].text, bytes[i] = corpus->documents[i].bytes;
  return ef_tokenizer_train(texts, bytes, n, vocabulary, t);
}

static ef_tokenizer *trained(size_t vocabulary) {
  ef_corpus corpus;
  ef_tokenizer *t;
  shipped(&corpus);
  cr_ok(train_on(&corpus, vocabulary, &t));
  ef_corpus_free(&corpus);
  return t;
}

static size_t round_trip(const ef_tokenizer *t, const char *text, size_t bytes) {
  int32_t *ids;
  char *back;
  size_t count, n;
  cr_ok(ef_tokenizer_encode(t, text, bytes, &ids, &count));
  for (size_t i = 0; i < count; i++)
    cr_assert(ids[i] > EF_TOKEN_EOS && (size_t)ids[i] < ef_tokenizer_size(t));
  cr_ok(ef_tokenizer_decode(t, ids, count, &back, &n));
  cr_assert_eq(n, bytes);
  cr_assert(memcmp(back, text, bytes) == 0, "text: %.60s", text);
  cr_assert_eq(back[n], '\0');
  ef_free(ids);
  ef_free(back);
  return count;
}

#define TRIP(t, text) round_trip(t, text, sizeof(text) - 1)

Test(tokenizer, every_text_comes_back_byte_for_byte) {
  ef_tokenizer *t = trained(512);
  TRIP(t, "");
  TRIP(t, " ");
  TRIP(t, "\n");
  TRIP(t, "The rose. \n\n  Two  spaces,   three\t\ttabs \r\n trailing  ");
  TRIP(t, "\n\n\n leading and trailing \n\n");
  TRIP(t, "caf\xC3\xA9 \xE2\x82\xAC 5 \xF0\x9F\x8C\xB7\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x8C\xBE "
          "\xE4\xB8\xAD\xE6\x96\x87");
  TRIP(t, "control \x01\x02\x1B[0m\x7F \xC2\x85 \xC2\xA0 \xE2\x80\xA8 \xEF\xBB\xBF end");
  TRIP(t, "a zero\0byte");
  TRIP(t, "the marker \xE2\x96\x81 itself, \xE2\x96\x81\xE2\x96\x81twice, and at the end \xE2\x96\x81");
  TRIP(t, "reserved \xE2\x96\x85 and \xE2\x81\x87 and \xEF\xBF\xBD, <unk> <s> </s> <0x41>");
  TRIP(t, "e\xCC\x81 \xEF\xAC\x81 \xC2\xBD \xE2\x84\xAB not normalised");
  TRIP(t, "not UTF-8: \xFF\xC0\xAF \xED\xA0\x80 cut \xE2\x82");
  cr_assert_eq(TRIP(t, "2026"), 4 + 0, "every digit is a token of its own");
  ef_tokenizer_free(t);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(tokenizer, random_bytes_and_random_characters_come_back) {
  ef_tokenizer *t = trained(512);
  ef_rng rng = ef_rng_stream(5, EF_RNG_TEST, 1, 0);
  static const char *const parts[] = {
      " ", "\n", "\t",           "the",  "garden", "\xE2\x96\x81", "\xC3\xA9", "\xF0\x9F\x98\x80",
      "7", ".",  "\xE2\x96\x85", "\x01", "\r\n",   "  ",           "Z"};
  for (int round = 0; round < 200; round++) {
    char text[1024];
    size_t n = 0;
    while (n < 500)
      n += (size_t)sprintf(text + n, "%s", parts[ef_rng_below(&rng, sizeof parts / sizeof parts[0])]);
    round_trip(t, text, n);
    for (size_t i = 0; i < 500; i++) text[i] = (char)ef_rng_below(&rng, 256);
    round_trip(t, text, 500);
  }
  ef_tokenizer_free(t);
}

Test(tokenizer, training_is_deterministic_and_the_model_loads) {
  ef_tokenizer *a = trained(512), *b = trained(512), *c;
  const void *ma, *mb, *mc;
  size_t na, nb, nc;
  ef_tokenizer_model(a, &ma, &na);
  ef_tokenizer_model(b, &mb, &nb);
  cr_assert_eq(na, nb);
  cr_assert(memcmp(ma, mb, na) == 0);
  cr_ok(ef_tokenizer_load(ma, na, &c));
  ef_tokenizer_model(c, &mc, &nc);
  cr_assert(nc == na && memcmp(ma, mc, na) == 0);
  cr_assert_eq(ef_tokenizer_size(c), 512);
  cr_assert_eq(TRIP(a, "A hedge of roses."), TRIP(c, "A hedge of roses."));
  cr_assert_lt(TRIP(a, "the garden in the spring"), sizeof "the garden in the spring" / 2);
  ef_tokenizer_free(a);
  ef_tokenizer_free(b);
  ef_tokenizer_free(c);
}

Test(tokenizer, control_tokens_decode_to_nothing) {
  ef_tokenizer *t = trained(512);
  int32_t *ids, more[3] = {EF_TOKEN_BOS, EF_TOKEN_EOS, EF_TOKEN_UNKNOWN}, wrong = 512;
  char *text;
  size_t count, bytes;
  cr_ok(ef_tokenizer_decode(t, more, 3, &text, &bytes));
  cr_assert_eq(bytes, 0);
  ef_free(text);
  cr_assert_eq(ef_tokenizer_decode(t, &wrong, 1, &text, &bytes), EF_INPUT);
  cr_says("token 512");
  cr_ok(ef_tokenizer_encode(t, "<s></s>", 7, &ids, &count));
  for (size_t i = 0; i < count; i++) cr_assert_gt(ids[i], EF_TOKEN_EOS);
  ef_free(ids);
  ef_tokenizer_free(t);
}

Test(tokenizer, vocabularies_that_do_not_fit_are_explained) {
  ef_corpus corpus;
  ef_tokenizer *t;
  size_t fits = 0;
  shipped(&corpus);
  cr_assert_eq(train_on(&corpus, 1000000, &t), EF_INPUT);
  cr_says("text.vocabulary: 1000000 tokens are too many");
  const char *advice = strstr(ef_message(), "set it to ");
  cr_assert(advice && sscanf(advice, "set it to %zu", &fits) == 1, "%s", ef_message());
  cr_ok(train_on(&corpus, fits, &t));
  cr_assert_eq(ef_tokenizer_size(t), fits);
  ef_tokenizer_free(t);
  cr_assert_eq(train_on(&corpus, 270, &t), EF_INPUT);
  cr_says("text.vocabulary: 270 tokens are too few");
  cr_assert_eq(ef_tokenizer_train(NULL, NULL, 0, 512, &t), EF_INPUT);
  ef_corpus_free(&corpus);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(tokenizer, words_above_the_limit_of_the_trainer_do_not_end_the_program) {
  enum { LONG = 200000 };
  ef_corpus corpus;
  ef_tokenizer *t;
  shipped(&corpus);
  char *word = ef_alloc(LONG + 1, 1);
  for (size_t i = 0; i < LONG; i += 2) memcpy(word + i, "\xC3\xA9", 2);
  const char *texts[] = {word, corpus.documents[0].text, corpus.documents[1].text};
  size_t bytes[] = {LONG, corpus.documents[0].bytes, corpus.documents[1].bytes};
  cr_ok(ef_tokenizer_train(texts, bytes, 3, 400, &t));
  round_trip(t, word, LONG);
  ef_tokenizer_free(t);
  ef_free(word);
  ef_corpus_free(&corpus);
}

Test(tokenizer, bytes_that_are_no_model_are_refused) {
  ef_tokenizer *t;
  cr_assert_eq(ef_tokenizer_load("no model at all", 15, &t), EF_INPUT);
  cr_assert_eq(ef_tokenizer_load("", 0, &t), EF_INPUT);
  cr_assert_null(t);
}

Test(tokenizer, nothing_is_printed) {
  text_folder f = text_up();
  int kept = dup(2);
  cr_assert_not_null(freopen(text_at(&f, "stderr"), "w", stderr));
  ef_corpus corpus;
  ef_tokenizer *t;
  shipped(&corpus);
  cr_ok(train_on(&corpus, 512, &t));
  TRIP(t, "\xFF words \xE2\x96\x81");
  ef_tokenizer_free(t);
  cr_assert_eq(train_on(&corpus, 1000000, &t), EF_INPUT);
  cr_assert_eq(ef_tokenizer_load("no model", 8, &t), EF_INPUT);
  ef_corpus_free(&corpus);
  fflush(stderr);
  dup2(kept, 2);
  char *data;
  size_t size;
  cr_ok(ef_file_read(text_at(&f, "stderr"), EF_INPUT, &data, &size));
  cr_assert_eq(size, 0, "%s", data);
  ef_free(data);
  test_remove_folder(f.path);
}
