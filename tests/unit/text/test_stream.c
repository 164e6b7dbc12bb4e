#include "text/tokenizer.h"
#include "text/tokens.h"

#include "text_support.h"

enum { X = EF_TOKEN_IGNORE };

/* Documents of 4, 1, 3 and 2 tokens. */
static int32_t all[] = {1, 10, 11, 12, 1, 1, 20, 21, 1, 30};
static int64_t offsets[] = {0, 4, 5, 8, 10}, bytes[] = {7, 0, 5, 2};
static int32_t domains[] = {0, 1, 1, 0}, subdomains[] = {0, 0, 0, 0};
static uint8_t splits[] = {EF_PRIVATE, EF_PRIVATE, EF_PUBLIC, EF_PRIVATE};
static char *domain_names[] = {(char[]){"a"}, (char[]){"b c"}}, *subdomain_names[] = {(char[]){"text"}};

static ef_tokens index_in_memory(void) {
  return (ef_tokens){.documents = 4,
                     .split = splits,
                     .offset = offsets,
                     .bytes = bytes,
                     .domain = domains,
                     .subdomain = subdomains,
                     .domain_count = 2,
                     .subdomain_count = 1,
                     .domains = domain_names,
                     .subdomains = subdomain_names,
                     .vocabulary = 40,
                     .duplicates = 3};
}

static void write_and_open(text_folder *f, ef_tokens *tokens) {
  ef_tokens made = index_in_memory();
  cr_ok(ef_tokens_write(text_at(f, "t.h5"), &made, all, "model", 5, "text: {}", 17));
  cr_ok(ef_tokens_open(text_at(f, "t.h5"), tokens));
}

static ef_status rewrite(text_folder *f, const ef_tokens *made, const int32_t *ids, ef_tokens *tokens) {
  cr_ok(ef_tokens_write(text_at(f, "t.h5"), made, ids, "model", 5, "", 17));
  return ef_tokens_open(text_at(f, "t.h5"), tokens);
}

Test(tokens, a_file_gives_back_what_was_written) {
  text_folder f = text_up();
  ef_tokens t;
  write_and_open(&f, &t);
  cr_assert_eq(t.documents, 4);
  cr_assert_eq(t.vocabulary, 40);
  cr_assert_eq(t.duplicates, 3);
  cr_assert_eq(strlen(t.hash), 32);
  cr_assert_eq(t.domain_count, 2);
  cr_assert_str_eq(t.domains[1], "b c");
  cr_assert_str_eq(t.subdomains[0], "text");
  cr_assert(memcmp(t.offset, offsets, sizeof offsets) == 0 && memcmp(t.bytes, bytes, sizeof bytes) == 0);
  cr_assert(memcmp(t.split, splits, sizeof splits) == 0 && memcmp(t.domain, domains, sizeof domains) == 0);
  int32_t ids[4];
  cr_ok(ef_tokens_read(&t, 2, ids));
  cr_assert(memcmp(ids, all + 5, 3 * sizeof *ids) == 0);
  void *model;
  size_t n;
  cr_ok(ef_tokens_tokenizer(&t, &model, &n));
  cr_assert(n == 5 && memcmp(model, "model", 5) == 0);
  ef_free(model);
  ef_tokens_free(&t);
  cr_assert_eq(ef_memory_blocks(), 0);
  test_remove_folder(f.path);
}

Test(tokens, the_identity_follows_the_content) {
  text_folder f = text_up();
  ef_tokens a, b, made = index_in_memory();
  write_and_open(&f, &a);
  cr_ok(rewrite(&f, &made, all, &b));
  cr_assert_str_eq(a.hash, b.hash);
  ef_tokens_free(&b);
  all[1] = 13;
  cr_ok(rewrite(&f, &made, all, &b));
  cr_assert_str_neq(a.hash, b.hash);
  ef_tokens_free(&b);
  all[1] = 10;
  splits[0] = EF_VALIDATION;
  cr_ok(rewrite(&f, &made, all, &b));
  cr_assert_str_neq(a.hash, b.hash);
  ef_tokens_free(&b);
  ef_tokens_free(&a);
  test_remove_folder(f.path);
}

Test(tokens, a_file_that_contradicts_itself_is_refused) {
  text_folder f = text_up();
  ef_tokens t, made = index_in_memory();
  int32_t ids[4];
  made.domain_count = 1;
  cr_assert_eq(rewrite(&f, &made, all, &t), EF_CHECKPOINT);
  cr_says("document 1");
  made = index_in_memory();
  splits[3] = 9;
  cr_assert_eq(rewrite(&f, &made, all, &t), EF_CHECKPOINT);
  cr_says("t.h5");
  splits[3] = EF_PRIVATE;
  made.vocabulary = 12;
  cr_ok(rewrite(&f, &made, all, &t));
  cr_assert_eq(ef_tokens_read(&t, 0, ids), EF_CHECKPOINT);
  cr_says("token 12");
  ef_tokens_free(&t);
  made.vocabulary = 40;
  all[5] = 9;
  cr_ok(rewrite(&f, &made, all, &t));
  cr_assert_eq(ef_tokens_read(&t, 2, ids), EF_CHECKPOINT);
  cr_says("begin token");
  ef_tokens_free(&t);
  cr_assert_eq(ef_tokens_open(text_at(&f, "absent.h5"), &t), EF_CHECKPOINT);
  cr_assert_eq(ef_memory_blocks(), 0);
  test_remove_folder(f.path);
}

Test(tokens, damage_is_noticed_or_without_effect) {
  text_folder f = text_up();
  enum { MANY = 4000 };
  static int32_t ids[MANY], back[MANY];
  ef_tokens made = index_in_memory(), t;
  for (size_t i = 0; i < MANY; i++) ids[i] = i == 0 ? EF_TOKEN_BOS : (int32_t)(3 + i % 37);
  static int64_t offset[] = {0, MANY};
  made.documents = 1;
  made.offset = offset;
  cr_ok(ef_tokens_write(text_at(&f, "t.h5"), &made, ids, "model", 5, "", 17));
  char *data;
  size_t size, noticed = 0;
  cr_ok(ef_file_read(text_at(&f, "t.h5"), EF_INPUT, &data, &size));
  for (size_t at = 0; at < size; at += size / 150) {
    data[at] = (char)(data[at] ^ 0x10);
    text_put(&f, "bad.h5", data, size);
    data[at] = (char)(data[at] ^ 0x10);
    ef_status status = ef_tokens_open(text_at(&f, "bad.h5"), &t);
    if (status == EF_OK) status = ef_tokens_read(&t, 0, back);
    cr_assert(status == EF_CHECKPOINT || memcmp(ids, back, sizeof ids) == 0, "byte %zu: %s", at,
              ef_message());
    noticed += status == EF_CHECKPOINT;
    ef_tokens_free(&t);
  }
  cr_assert_gt(noticed, 50);
  text_put(&f, "bad.h5", data, size / 2);
  cr_assert_eq(ef_tokens_open(text_at(&f, "bad.h5"), &t), EF_CHECKPOINT);
  ef_free(data);
  cr_assert_eq(ef_memory_blocks(), 0);
  test_remove_folder(f.path);
}

Test(stream, documents_come_one_behind_the_other) {
  text_folder f = text_up();
  ef_tokens t;
  ef_stream s;
  write_and_open(&f, &t);
  static const size_t chosen[] = {3, 0};
  cr_ok(ef_stream_read(&t, chosen, 2, &s));
  static const int32_t want[] = {1, 30, 1, 10, 11, 12};
  cr_assert(s.count == 6 && memcmp(s.ids, want, sizeof want) == 0);
  cr_assert_eq(s.bytes, 9);
  ef_stream_free(&s);
  cr_ok(ef_stream_split(&t, EF_PRIVATE, -1, &s));
  cr_assert(s.count == 7 && s.bytes == 9);
  ef_stream_free(&s);
  cr_ok(ef_stream_split(&t, EF_PRIVATE, 1, &s));
  cr_assert(s.count == 1 && s.bytes == 0 && ef_stream_windows(&s, 4) == 0);
  int32_t ids[2], targets[2];
  cr_assert_eq(ef_stream_sample(&s, 1, 0, 0, 0, 1, 2, ids, targets), EF_INPUT);
  ef_stream_free(&s);
  cr_ok(ef_stream_split(&t, EF_VALIDATION, -1, &s));
  cr_assert(s.count == 0 && ef_stream_windows(&s, 4) == 0);
  ef_stream_free(&s);
  ef_tokens_free(&t);
  cr_assert_eq(ef_memory_blocks(), 0);
  test_remove_folder(f.path);
}

Test(stream, every_token_but_begin_is_a_target_exactly_once) {
  for (size_t n = 0; n <= 25; n++) {
    for (size_t T = 1; T <= 9; T++) {
      int32_t stream_ids[25], seen[25] = {0}, ids[9], targets[9];
      for (size_t i = 0; i < n; i++) stream_ids[i] = i % 7 == 0 ? EF_TOKEN_BOS : (int32_t)(100 + i);
      ef_stream s = {stream_ids, n, 0};
      for (size_t w = 0; w < ef_stream_windows(&s, T); w++) {
        size_t counted = 0;
        ef_stream_window(&s, T, w, ids, targets);
        for (size_t i = 0; i < T; i++) {
          if (targets[i] == X) continue;
          counted++;
          seen[targets[i] - 100]++;
          cr_assert_eq(ids[i], stream_ids[targets[i] - 101], "the id is the token before its target");
        }
        cr_assert(counted > 0 || T == 1 || (w + 1) * T >= n - 1);
      }
      for (size_t i = 0; i < n; i++) cr_assert_eq(seen[i], i % 7 != 0, "n %zu T %zu token %zu", n, T, i);
    }
  }
}

Test(stream, the_last_window_is_padded) {
  ef_stream s = {all, 6, 0};
  int32_t ids[4], targets[4];
  cr_assert_eq(ef_stream_windows(&s, 4), 2);
  ef_stream_window(&s, 4, 0, ids, targets);
  static const int32_t a[] = {1, 10, 11, 12}, b[] = {10, 11, 12, X}, c[] = {1, 1, 1, 1}, d[] = {X, X, X, X};
  cr_assert(memcmp(ids, a, sizeof a) == 0 && memcmp(targets, b, sizeof b) == 0);
  ef_stream_window(&s, 4, 1, ids, targets);
  cr_assert(memcmp(ids, c, sizeof c) == 0 && memcmp(targets, d, sizeof d) == 0);
}

Test(stream, samples_wrap_around_the_ring) {
  int32_t ring[5] = {1, 101, 102, 103, 104}, ids[64 * 12], targets[64 * 12];
  ef_stream s = {ring, 5, 0};
  int starts[5] = {0};
  cr_ok(ef_stream_sample(&s, 3, 4, 5, 0, 64, 12, ids, targets));
  for (size_t b = 0; b < 64; b++) {
    int32_t *id = ids + b * 12, *target = targets + b * 12;
    size_t at = id[0] == 1 ? 0 : (size_t)(id[0] - 100);
    starts[at]++;
    for (size_t t = 0; t < 12; t++) {
      cr_assert_eq(id[t], ring[(at + t) % 5]);
      cr_assert_eq(target[t], (at + t + 1) % 5 == 0 ? X : ring[(at + t + 1) % 5]);
    }
  }
  for (size_t i = 0; i < 5; i++) cr_assert(starts[i] > 2, "start %zu is drawn too seldom", i);
}

Test(stream, a_window_is_a_function_of_its_number) {
  int32_t ring[1000], a[8 * 5], b[8 * 5], ta[8 * 5], tb[8 * 5];
  for (int32_t i = 0; i < 1000; i++) ring[i] = 100 + i;
  ef_stream s = {ring, 1000, 0};
  cr_ok(ef_stream_sample(&s, 3, 4, 5, 0, 8, 5, a, ta));
  cr_ok(ef_stream_sample(&s, 3, 4, 5, 0, 8, 5, b, tb));
  cr_assert(memcmp(a, b, sizeof a) == 0 && memcmp(ta, tb, sizeof ta) == 0);
  cr_ok(ef_stream_sample(&s, 3, 4, 5, 6, 2, 5, b, tb));
  cr_assert(memcmp(a + 30, b, 10 * sizeof *a) == 0 && memcmp(ta + 30, tb, 10 * sizeof *a) == 0);
  cr_ok(ef_stream_sample(&s, 3, 4, 6, 0, 8, 5, b, tb));
  cr_assert(memcmp(a, b, sizeof a) != 0);
  cr_ok(ef_stream_sample(&s, 3, 5, 5, 0, 8, 5, b, tb));
  cr_assert(memcmp(a, b, sizeof a) != 0);
  cr_ok(ef_stream_sample(&s, 4, 4, 5, 0, 8, 5, b, tb));
  cr_assert(memcmp(a, b, sizeof a) != 0);
}
