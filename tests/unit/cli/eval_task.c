/* `edgefuse eval --task`: tables and JSON of multiple choice and open answers. */
#include "test_cli.h"

#include "base/file.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

static char folder[PATH / 2];

static const char mcq[] =
    "{\"question\":\"rate?\",\"choices\":[\"the rate\",\"the interest of the rate fell\"],\"answer\":0,"
    "\"domain\":\"up\"}\n"
    "{\"question\":\"rate?\",\"choices\":[\"the rate fell and rose again\",\"rose\"],\"answer\":1,"
    "\"domain\":\"up\"}\n"
    "{\"question\":\"interest?\",\"choices\":[\"rose\",\"the interest of the rate\",\"of the rate rose\","
    "\"of the interest fell\"],\"answer\":2,\"domain\":\"down\"}\n";
static const char qa[] = "{\"question\":\"rate?\",\"answer\":\"the rate rose\",\"context\":\"the rate rose "
                         "again and again of the interest of the rate of the interest of the rate of the "
                         "interest of the rate\"}\n{\"question\":\"interest?\",\"answer\":\"fell\"}\n";

static size_t vocabulary;

/* m.h5: a model of zeros with a tokenizer, so that every token costs log V; mcq.jsonl, qa.jsonl, bad.jsonl.
 */
static void set_up(void) {
  static const char bad[] = "{\"question\":\"q\",\"choices\":[\"a\",\"b\"],\"answer\":1}\n"
                            "{\"question\":\"q\",\"choices\":[\"a\",\"b\"]}\n";
  test_make_folder(folder, sizeof folder);
  ef_tokenizer *tokenizer = sample_tokenizer();
  vocabulary = ef_tokenizer_size(tokenizer);
  ef_shape shape = {.V = vocabulary, .D = 16, .L = 2, .H = 2, .G = 2, .F = 24, .max_positions = 64};
  ef_dims dims;
  cr_assert_eq(ef_dims_make(EF_LLAMA, &shape, &dims), EF_OK, "%s", ef_message());
  write_zeros(in(folder, "m.h5"), &dims, tokenizer);
  ef_tokenizer_free(tokenizer);
  cr_assert_eq(ef_file_write(in(folder, "mcq.jsonl"), mcq, sizeof mcq - 1), EF_OK);
  cr_assert_eq(ef_file_write(in(folder, "qa.jsonl"), qa, sizeof qa - 1), EF_OK);
  cr_assert_eq(ef_file_write(in(folder, "bad.jsonl"), bad, sizeof bad - 1), EF_OK);
}
static void tear_down(void) { test_remove_folder(folder); }
TestSuite(eval_task, .init = set_up, .fini = tear_down);

#define EVAL "eval", in(folder, "m.h5")
#define TEXT(name) "--text", in(folder, name)

static json_t *parsed(const char *out) {
  json_t *object = json_loads(out, 0, NULL);
  cr_assert_not_null(object, "%s", out);
  return object;
}

static double number(const json_t *object, const char *group, const char *name, const char *key) {
  const json_t *at = json_object_get(object, group);
  if (name) at = json_object_get(at, name);
  at = json_object_get(at, key);
  cr_assert(json_is_number(at), "%s %s", group, key);
  return json_number_value(at);
}

Test(eval_task, multiple_choice_by_domain) {
  char out[8192];
  cr_assert_eq(RUN(out, EVAL, "--task=mcq", TEXT("mcq.jsonl"), "--json"), EF_OK, "%s", ef_message());
  json_t *object = parsed(out);
  cr_expect_str_eq(json_string_value(json_object_get(object, "task")), "mcq");
  cr_expect_eq(number(object, "all", NULL, "items"), 3);
  cr_expect_eq(number(object, "domains", "up", "items"), 2);
  cr_expect_eq(number(object, "domains", "up", "accuracy"), 1); /* the shorter of two */
  cr_expect_eq(number(object, "domains", "down", "accuracy"), 0);
  cr_expect_float_eq(number(object, "all", NULL, "accuracy"), 2.0 / 3, 1e-12);
  cr_expect_float_eq(number(object, "all", NULL, "chance"), (0.5 + 0.5 + 0.25) / 3, 1e-12);
  cr_expect_eq(number(object, "domains", "down", "chance"), 0.25);
  cr_expect_eq(number(object, "all", NULL, "cut"), 0);
  double each = log((double)vocabulary), tokens = number(object, "all", NULL, "tokens");
  cr_expect_float_eq(number(object, "all", NULL, "log_perplexity"), each, 1e-5);
  cr_expect_float_eq(number(object, "all", NULL, "nll"), each * tokens / 3, 1e-4);
  cr_expect(number(object, "all", NULL, "accuracy_normalised") >= 0);
  cr_expect(number(object, "all", NULL, "accuracy_normalised_bytes") >= 0);
  json_decref(object);
}

Test(eval_task, open_answers) {
  char out[8192];
  cr_assert_eq(RUN(out, EVAL, "--task=qa", TEXT("qa.jsonl"), "--json", "--context=32"), EF_OK, "%s",
               ef_message());
  json_t *object = parsed(out);
  cr_expect_str_eq(json_string_value(json_object_get(object, "task")), "qa");
  cr_expect_eq(number(object, "all", NULL, "items"), 2);
  cr_expect_eq(number(object, "all", NULL, "cut"), 1);
  cr_expect_eq(number(object, "domains", "qa", "items"), 2);
  cr_expect_float_eq(number(object, "all", NULL, "perplexity"), (double)vocabulary,
                     1e-3 * (double)vocabulary);
  cr_expect_eq(number(object, "all", NULL, "token_accuracy"), 0);
  cr_expect_null(json_object_get(json_object_get(object, "all"), "accuracy"));
  double bits = number(object, "all", NULL, "tokens") * log2((double)vocabulary);
  cr_expect_float_eq(number(object, "all", NULL, "bits_per_byte"),
                     bits / (double)strlen(" the rate rose fell"), 1e-4);
  json_decref(object);
}

Test(eval_task, tables_for_people) {
  char out[8192];
  cr_assert_eq(RUN(out, EVAL, "--task=mcq", TEXT("mcq.jsonl"), in(folder, "mcq.jsonl")), EF_OK, "%s",
               ef_message());
  cr_expect(strncmp(out, "domain ", 7) == 0 && strstr(out, "\ndown ") && strstr(out, "\nup "), "%s", out);
  cr_expect_not_null(strstr(out, "\nall                             6     0.6667 "), "%s", out);
  cr_assert_eq(RUN(out, EVAL, "--task=qa", TEXT("qa.jsonl")), EF_OK, "%s", ef_message());
  cr_expect(strncmp(out, "domain ", 7) == 0 && strstr(out, "\nall "), "%s", out);
}

Test(eval_task, what_is_wrong_is_said) {
  char out[256];
  cr_expect_eq(RUN(out, EVAL, "--task=mcq", TEXT("bad.jsonl")), EF_INPUT);
  cr_expect_not_null(strstr(ef_message(), "bad.jsonl:2: no \"answer\" in this line"), "%s", ef_message());
  cr_expect_str_eq(out, "");
  cr_expect_eq(RUN_QUIET(EVAL, "--task=mcq", TEXT("qa.jsonl")), EF_INPUT);
  cr_expect_not_null(strstr(ef_message(), "qa.jsonl:1: no \"choices\""), "%s", ef_message());
  cr_expect_eq(RUN_QUIET(EVAL, "--task=qa", TEXT("mcq.jsonl")), EF_INPUT);
  cr_expect_not_null(strstr(ef_message(), "mcq.jsonl:1: \"answer\" is no string"), "%s", ef_message());
  cr_expect_eq(RUN_QUIET(EVAL, "--task=essay", TEXT("qa.jsonl")), EF_USAGE);
  cr_expect_eq(RUN_QUIET(EVAL, "--task=qa"), EF_USAGE);
  cr_expect_eq(RUN_QUIET(EVAL, "--task=qa", TEXT("qa.jsonl"), "--context=65"), EF_INPUT);
  cr_expect_not_null(strstr(ef_message(), "has 64 positions"), "%s", ef_message());
}
