#include "text/prepare.h"

#include "text/tokenizer.h"
#include "text_support.h"
#include <stdlib.h>

typedef struct shipped_files {
  char a[TEXT_PATH], b[TEXT_PATH];
} shipped_files;

static shipped_files shipped(void) {
  const char *source = getenv("EDGEFUSE_SOURCE");
  shipped_files s;
  snprintf(s.a, sizeof s.a, "%s/inputs/corpus/gardening.jsonl", source ? source : ".");
  snprintf(s.b, sizeof s.b, "%s/inputs/corpus/seafaring.jsonl", source ? source : ".");
  return s;
}

static ef_prepare settings_of(const char *const *files, size_t count) {
  return (ef_prepare){.files = files,
                      .file_count = count,
                      .vocabulary = 400,
                      .public_share = 0.4,
                      .validation_share = 0.2,
                      .seed = 7,
                      .deck = "text: {}"};
}

static ef_document document_of(const char *id, uint64_t hash) {
  static char empty[1];
  return (ef_document){.text = empty, .id = (char *)(uintptr_t)id, .hash = {hash, 0}};
}

Test(prepare, shares_are_met_and_parts_stay_together) {
  ef_prepare s = settings_of(NULL, 0);
  size_t n = 20000, found[EF_SPLIT_COUNT] = {0}, moved = 0;
  for (size_t i = 0; i < n; i++) {
    char id[32], part[64];
    snprintf(id, sizeof id, "doc-%zu", i);
    snprintf(part, sizeof part, "%s#%zu", id, i % 9);
    ef_document whole = document_of(id, i), piece = document_of(part, i + n), nameless = document_of("", i);
    ef_split split = ef_split_of(&whole, &s);
    found[split]++;
    cr_assert_eq(ef_split_of(&piece, &s), split);
    ef_prepare other = s;
    other.seed = 8;
    moved += ef_split_of(&nameless, &s) != ef_split_of(&nameless, &other);
  }
  cr_assert_float_eq((double)found[EF_PUBLIC] / (double)n, 0.4, 0.015);
  cr_assert_float_eq((double)found[EF_VALIDATION] / (double)n, 0.2, 0.015);
  cr_assert_gt(moved, n / 2);
}

/* Every document comes back from its tokens with the bytes of the source, and the counts agree. */
static void compare(const ef_tokens *t, const ef_corpus *corpus) {
  void *model;
  size_t bytes;
  ef_tokenizer *tokenizer;
  cr_ok(ef_tokens_tokenizer(t, &model, &bytes));
  cr_ok(ef_tokenizer_load(model, bytes, &tokenizer));
  cr_assert_eq(ef_tokenizer_size(tokenizer), t->vocabulary);
  cr_assert_eq(t->documents, corpus->count);
  for (size_t d = 0; d < t->documents; d++) {
    const ef_document *document = &corpus->documents[d];
    size_t n = (size_t)(t->offset[d + 1] - t->offset[d]), m;
    int32_t *ids = ef_alloc(n, sizeof *ids);
    char *text;
    cr_ok(ef_tokens_read(t, d, ids));
    cr_assert_eq(ids[0], EF_TOKEN_BOS);
    cr_ok(ef_tokenizer_decode(tokenizer, ids, n, &text, &m));
    cr_assert(m == document->bytes && memcmp(text, document->text, m) == 0);
    cr_assert_eq((size_t)t->bytes[d], document->bytes);
    cr_assert_str_eq(t->domains[t->domain[d]], corpus->domains[document->domain]);
    cr_assert_str_eq(t->subdomains[t->subdomain[d]], corpus->subdomains[document->subdomain]);
    ef_free(text);
    ef_free(ids);
  }
  ef_tokenizer_free(tokenizer);
  ef_free(model);
}

Test(prepare, the_shipped_corpus_is_prepared_whole) {
  text_folder f = text_up();
  shipped_files files = shipped();
  const char *const list[] = {files.a, files.b};
  ef_prepare s = settings_of(list, 2);
  ef_corpus corpus = {0};
  ef_tokens t;
  cr_ok(ef_prepare_run(&s, text_at(&f, "t.h5")));
  cr_ok(ef_tokens_open(text_at(&f, "t.h5"), &t));
  cr_ok(ef_corpus_read(&corpus, files.a, false));
  cr_ok(ef_corpus_read(&corpus, files.b, false));
  cr_assert_geq(corpus.count, 60);
  cr_assert_eq(t.vocabulary, 400);
  cr_assert_eq(t.domain_count, 2);
  cr_assert_eq(t.subdomain_count, 6);
  compare(&t, &corpus);
  for (size_t d = 0; d < t.documents; d++) cr_assert_eq(t.split[d], ef_split_of(&corpus.documents[d], &s));
  ef_stream stream;
  int64_t bytes = 0;
  for (ef_split k = EF_PUBLIC; k < EF_SPLIT_COUNT; k++) {
    cr_ok(ef_stream_split(&t, k, -1, &stream));
    bytes += stream.bytes;
    ef_stream_free(&stream);
  }
  for (size_t d = 0; d < corpus.count; d++) bytes -= (int64_t)corpus.documents[d].bytes;
  cr_assert_eq(bytes, 0);
  ef_corpus_free(&corpus);
  ef_tokens_free(&t);
  cr_assert_eq(ef_memory_blocks(), 0);
  test_remove_folder(f.path);
}

Test(prepare, the_same_input_gives_the_same_identity_and_file) {
  text_folder f = text_up();
  shipped_files files = shipped();
  const char *const list[] = {files.a};
  ef_prepare s = settings_of(list, 1);
  char *a, *b;
  size_t na, nb;
  cr_ok(ef_prepare_run(&s, text_at(&f, "t.h5")));
  cr_ok(ef_file_read(text_at(&f, "t.h5"), EF_INPUT, &a, &na));
  cr_ok(ef_prepare_run(&s, text_at(&f, "t.h5")));
  cr_ok(ef_file_read(text_at(&f, "t.h5"), EF_INPUT, &b, &nb));
  cr_assert(na == nb && memcmp(a, b, na) == 0);
  ef_free(a);
  ef_free(b);
  test_remove_folder(f.path);
}

Test(prepare, the_split_of_a_document_is_stable_under_added_files) {
  text_folder f = text_up();
  shipped_files files = shipped();
  const char *const one[] = {files.b}, *const two[] = {files.a, files.b};
  ef_prepare s = settings_of(one, 1), more = settings_of(two, 2);
  ef_tokens t, u;
  cr_ok(ef_prepare_run(&s, text_at(&f, "t.h5")));
  cr_ok(ef_tokens_open(text_at(&f, "t.h5"), &t));
  cr_ok(ef_prepare_run(&more, text_at(&f, "u.h5")));
  cr_ok(ef_tokens_open(text_at(&f, "u.h5"), &u));
  size_t shift = u.documents - t.documents;
  for (size_t d = 0; d < t.documents; d++) cr_assert_eq(t.split[d], u.split[d + shift]);
  ef_tokens_free(&t);
  ef_tokens_free(&u);
  test_remove_folder(f.path);
}

Test(prepare, validation_files_are_the_validation_text) {
  text_folder f = text_up();
  shipped_files files = shipped();
  static const char extra[] = "{\"text\":\"Kept apart.\"}\n{\"text\":\"Also kept apart.\"}\n";
  char train[2 * TEXT_PATH];
  snprintf(train, sizeof train, "%s", text_put(&f, "train.jsonl", extra, sizeof extra / 2));
  const char *const list[] = {files.a, train}, *const kept[] = {
                                                   text_put(&f, "valid.jsonl", extra, sizeof extra - 1)};
  ef_prepare s = settings_of(list, 2);
  s.validation_files = kept;
  s.validation_file_count = 1;
  ef_tokens t;
  char out[2 * TEXT_PATH];
  snprintf(out, sizeof out, "%s/t.h5", f.path);
  cr_assert_eq(ef_prepare_run(&s, out), EF_INPUT, "train.jsonl is cut in the middle");
  cr_says("train.jsonl:2: not JSON");
  static const char first[] = "{\"text\":\"Kept apart.\"}\n";
  cr_ok(ef_file_write(train, first, sizeof first - 1));
  cr_ok(ef_prepare_run(&s, out));
  cr_ok(ef_tokens_open(out, &t));
  for (size_t d = 0; d < t.documents; d++) cr_assert_eq(t.split[d] == EF_VALIDATION, d < 2);
  cr_assert_eq(t.duplicates, 1, "a training text that is also validation text is not trained on");
  ef_tokens_free(&t);
  test_remove_folder(f.path);
}

Test(prepare, settings_that_leave_a_split_empty_are_refused) {
  text_folder f = text_up();
  shipped_files files = shipped();
  const char *const list[] = {files.a};
  ef_prepare s = settings_of(list, 1);
  s.public_share = 0;
  cr_assert_eq(ef_prepare_run(&s, text_at(&f, "t.h5")), EF_INPUT);
  cr_says("is public; raise text.public_share");
  s.public_share = 1;
  s.validation_share = 0;
  cr_assert_eq(ef_prepare_run(&s, text_at(&f, "t.h5")), EF_INPUT);
  cr_says("is private; lower text.public_share");
  s.validation_share = 0.5;
  cr_assert_eq(ef_prepare_run(&s, text_at(&f, "t.h5")), EF_DECK);
  s.public_share = 0.5;
  s.validation_share = 1e-9;
  cr_assert_eq(ef_prepare_run(&s, text_at(&f, "t.h5")), EF_INPUT);
  cr_says("is validation; raise text.validation_share");
  s.validation_share = 0.2;
  s.vocabulary = 100000;
  cr_assert_eq(ef_prepare_run(&s, text_at(&f, "t.h5")), EF_INPUT);
  cr_says("set it to");
  s.file_count = 0;
  cr_assert_eq(ef_prepare_run(&s, text_at(&f, "t.h5")), EF_INPUT);
  cr_assert(!ef_file_exists(text_at(&f, "t.h5")));
  cr_assert(!ef_file_exists(text_at(&f, "t.h5.tmp")));
  cr_assert_eq(ef_memory_blocks(), 0);
  test_remove_folder(f.path);
}

Test(prepare, real_text_round_trips) {
  char path[TEXT_PATH];
  if (!test_data_path(path, sizeof path, "tiny.medical.jsonl")) cr_skip_test("no real text here");
  text_folder f = text_up();
  const char *const list[] = {path};
  ef_prepare s = settings_of(list, 1);
  ef_corpus corpus = {0};
  ef_tokens t;
  cr_ok(ef_prepare_run(&s, text_at(&f, "t.h5")));
  cr_ok(ef_tokens_open(text_at(&f, "t.h5"), &t));
  cr_ok(ef_corpus_read(&corpus, path, false));
  compare(&t, &corpus);
  ef_corpus_free(&corpus);
  ef_tokens_free(&t);
  test_remove_folder(f.path);
}
