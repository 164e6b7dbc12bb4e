#include "text/corpus.h"

#include "text_support.h"

static ef_status read_as(text_folder *f, const char *name, const char *data, ef_corpus *corpus) {
  *corpus = (ef_corpus){0};
  return ef_corpus_read(corpus, text_put(f, name, data, strlen(data)), false);
}

/* The file is refused with EF_INPUT, its name, the line and this reason. */
static void refused(const char *name, const char *data, size_t bytes, const char *place, const char *reason) {
  text_folder f = text_up();
  ef_corpus corpus = {0};
  ef_status status = ef_corpus_read(&corpus, text_put(&f, name, data, bytes), false);
  cr_assert_eq(status, EF_INPUT, "%s: not refused: %s", name, reason);
  cr_says(place);
  cr_says(reason);
  ef_corpus_free(&corpus);
  cr_assert_eq(ef_memory_blocks(), 0);
  test_remove_folder(f.path);
}

#define REFUSED(name, data, place, reason) refused(name, data, sizeof(data) - 1, place, reason)

Test(corpus, bad_json_lines_are_refused_with_file_and_line) {
  REFUSED("a.jsonl", "{\"text\":\"x\"}\n{\"text\":\"y\"\n", "a.jsonl:2: ", "not JSON");
  REFUSED("a.jsonl", "{\"text\":\"x\"} {}\n", "a.jsonl:1: ", "not JSON");
  REFUSED("a.jsonl", "{\"text\":\"x\",\"text\":\"y\"}\n", "a.jsonl:1: ", "not JSON");
  REFUSED("a.jsonl", "{\"text\":\"\\ud800\"}\n", "a.jsonl:1: ", "not JSON");
  REFUSED("a.jsonl", "{\"text\":\"a\\u0000b\"}\n", "a.jsonl:1: ", "not JSON");
  REFUSED("a.jsonl", "\n\n{\"body\":\"x\"}\n", "a.jsonl:3: ", "no \"text\"");
  REFUSED("a.jsonl", "{\"text\":7}\n", "a.jsonl:1: ", "\"text\" is no string");
  REFUSED("a.jsonl", "{\"text\":null}\n", "a.jsonl:1: ", "\"text\" is no string");
  REFUSED("a.jsonl", "{\"text\":\"\"}\n", "a.jsonl:1: ", "\"text\" is empty");
  REFUSED("a.jsonl", "{\"text\":\" \\n\\t\"}\n", "a.jsonl:1: ", "\"text\" is empty");
  REFUSED("a.jsonl", "[\"x\"]\n", "a.jsonl:1: ", "not a JSON object");
  REFUSED("a.jsonl", "{\"text\":\"x\",\"domain\":3}\n", "a.jsonl:1: ", "\"domain\" is no string");
  REFUSED("a.jsonl", "{\"text\":\"x\",\"domain\":\"a\\nb\"}\n", "a.jsonl:1: ", "control character");
  REFUSED("a.jsonl", "{\"text\":\"x\",\"id\":[]}\n", "a.jsonl:1: ", "\"id\" is no string");
  REFUSED("a.jsonl", "", "a.jsonl: ", "no text in this file");
  REFUSED("a.jsonl", "\n \r\n", "a.jsonl: ", "no text in this file");
}

Test(corpus, bytes_that_are_no_text_are_refused) {
  REFUSED("a.jsonl", "{\"text\":\"x\"}\n{\"text\":\"\xC0\xAF\"}\n",
          "a.jsonl:2: ", "not UTF-8 (byte 0xc0 at offset 22)");
  REFUSED("a.txt",
          "one\ntwo\nthr\xED\xA0\x80"
          "ee\n",
          "a.txt:3: ", "not UTF-8 (byte 0xed");
  REFUSED("a.txt", "\xFF\xFEh\0i\0", "a.txt:1: ", "not UTF-8");
  REFUSED("a.txt", "one\ntwo\0\n", "a.txt:2: ", "NUL byte");
  REFUSED("a.txt", "\n\n \n", "a.txt: ", "no text in this file");
  ef_corpus corpus = {0};
  cr_assert_eq(ef_corpus_read(&corpus, "/nowhere/at/all.txt", false), EF_INPUT);
  cr_says("/nowhere/at/all.txt: ");
}

Test(corpus, fields_are_read_and_names_are_sorted) {
  text_folder f = text_up();
  ef_corpus c;
  cr_ok(read_as(
      &f, "a.jsonl",
      "\xEF\xBB\xBF{\"text\":\"one\",\"domain\":\"z\",\"subdomain\":\"q\",\"id\":\"i#1\",\"more\":[1]}\r\n"
      "\r\n"
      "{\"text\":\"two\\r\\n\",\"domain\":\"b\",\"subdomain\":\"r\",\"id\":12}\r\n"
      "{\"text\":\"three\",\"domain\":null,\"id\":\"\"}",
      &c));
  cr_assert_eq(c.count, 3);
  cr_assert_str_eq(c.documents[0].text, "one");
  cr_assert_str_eq(c.documents[0].id, "i#1");
  cr_assert_str_eq(c.documents[1].text, "two\r\n");
  cr_assert_eq(c.documents[1].bytes, 5);
  cr_assert_str_eq(c.documents[1].id, "12");
  cr_assert_str_eq(c.documents[2].id, "");
  static const char *const domains[] = {"b", "text", "z"}, *const subdomains[] = {"q", "r", "text"};
  cr_assert_eq(c.domain_count, 3);
  cr_assert_eq(c.subdomain_count, 3);
  for (int i = 0; i < 3; i++) {
    cr_assert_str_eq(c.domains[i], domains[i]);
    cr_assert_str_eq(c.subdomains[i], subdomains[i]);
  }
  cr_assert_str_eq(c.domains[c.documents[0].domain], "z");
  cr_assert_str_eq(c.domains[c.documents[1].domain], "b");
  cr_assert_str_eq(c.domains[c.documents[2].domain], "text");
  cr_assert_str_eq(c.subdomains[c.documents[1].subdomain], "r");
  ef_corpus_free(&c);
  cr_assert_eq(ef_memory_blocks(), 0);
  test_remove_folder(f.path);
}

Test(corpus, the_subdomain_serves_as_domain) {
  text_folder f = text_up();
  ef_corpus c = {0};
  static const char data[] =
      "{\"text\":\"one\",\"domain\":\"z\",\"subdomain\":\"q\"}\n{\"text\":\"two\",\"domain\":\"z\"}";
  cr_ok(ef_corpus_read(&c, text_put(&f, "a.jsonl", data, sizeof data - 1), true));
  cr_assert_eq(c.domain_count, 2);
  cr_assert_str_eq(c.domains[c.documents[0].domain], "q");
  cr_assert_str_eq(c.domains[c.documents[1].domain], "text");
  ef_corpus_free(&c);
  test_remove_folder(f.path);
}

Test(corpus, exact_duplicates_are_dropped_across_files) {
  text_folder f = text_up();
  ef_corpus c = {0};
  char data[65536];
  int n = 0;
  for (int i = 0; i < 2000; i++)
    n += snprintf(data + n, sizeof data - (size_t)n, "{\"text\":\"d%d\"}\n", i % 1500);
  cr_ok(ef_corpus_read(&c, text_put(&f, "a.jsonl", data, (size_t)n), false));
  cr_assert_eq(c.count, 1500);
  cr_assert_eq(c.duplicates, 500);
  cr_ok(ef_corpus_read(&c, text_put(&f, "b.jsonl", data, (size_t)n), false));
  cr_assert_eq(c.count, 1500);
  cr_assert_eq(c.duplicates, 2500);
  for (size_t i = 0; i < c.count; i++) {
    char want[32];
    snprintf(want, sizeof want, "d%zu", i);
    cr_assert_str_eq(c.documents[i].text, want);
  }
  ef_corpus_free(&c);
  cr_assert_eq(ef_memory_blocks(), 0);
  test_remove_folder(f.path);
}

Test(corpus, plain_text_is_cut_at_empty_lines) {
  text_folder f = text_up();
  ef_corpus c = {0};
  char data[20000], *out = data;
  for (int p = 0; p < 9; p++) {
    for (int i = 0; i < 90; i++) out += sprintf(out, "word%d ", p * 100 + i);
    out += sprintf(out, "end\r\n\r\n");
  }
  size_t bytes = (size_t)(out - data), text = 0;
  cr_ok(ef_corpus_read(&c, text_put(&f, "a.txt", data, bytes), false));
  cr_assert_gt(c.count, 1);
  for (size_t i = 0; i < c.count; i++) {
    cr_assert_geq(c.documents[i].bytes, 2048);
    cr_assert_eq(strlen(c.documents[i].text), c.documents[i].bytes);
    cr_assert(strncmp(c.documents[i].text, "word", 4) == 0);
    cr_assert_str_eq(c.documents[i].text + c.documents[i].bytes - 3, "end");
    cr_assert(!strchr(c.documents[i].text, '\r'));
    text += c.documents[i].bytes;
  }
  /* what is missing: 9 x "\r" twice, and the two newlines behind each document */
  cr_assert_eq(text, bytes - 18 - 2 * c.count);
  ef_corpus_free(&c);
  test_remove_folder(f.path);
}

Test(corpus, a_short_plain_text_is_one_document) {
  text_folder f = text_up();
  ef_corpus c;
  cr_ok(read_as(&f, "notes", "\n\none line\n\nanother\n\n", &c));
  cr_assert_eq(c.count, 1);
  cr_assert_str_eq(c.documents[0].text, "one line\n\nanother");
  ef_corpus_free(&c);
  test_remove_folder(f.path);
}
