#include "test_cli.h"

#include <jansson.h>
#include <string.h>

static char folder[PATH / 2];
static void set_up(void) { test_make_folder(folder, sizeof folder); }
static void tear_down(void) { test_remove_folder(folder); }
TestSuite(generate, .init = set_up, .fini = tear_down);

static ef_dims small_dims(size_t V) {
  ef_shape shape = {.V = V, .D = 16, .L = 2, .H = 2, .G = 2, .F = 24, .max_positions = 64};
  ef_dims dims;
  cr_assert_eq(ef_dims_make(EF_LLAMA, &shape, &dims), EF_OK, "%s", ef_message());
  return dims;
}

Test(generate, ids_without_a_tokenizer) {
  ef_dims dims = small_dims(40);
  char cached[2048], plain[2048], other[2048], text[256];
  write_model(in(folder, "m.h5"), &dims, 1, NULL);
  const char *model = in(folder, "m.h5");
  cr_assert_eq(RUN(cached, "generate", model, "--ids=3,4,5", "--tokens=20", "--json"), EF_OK, "%s",
               ef_message());
  cr_assert_eq(RUN(plain, "generate", model, "--ids=3,4,5", "--tokens=20", "--json", "--no-cache"), EF_OK);
  cr_assert_eq(RUN(other, "generate", model, "--ids=3,4,5", "--tokens=20", "--json", "--seed=2"), EF_OK);
  cr_expect_str_eq(cached, plain);
  cr_expect_str_neq(cached, other);
  json_t *object = json_loads(cached, 0, NULL);
  cr_assert_not_null(object, "%s", cached);
  cr_expect_eq(json_array_size(json_object_get(object, "tokens")), 20u);
  cr_expect_eq(json_array_size(json_object_get(object, "prompt_tokens")), 3u);
  cr_expect(json_is_null(json_object_get(object, "text")));
  json_decref(object);
  cr_assert_eq(RUN(text, "generate", model, "--ids=3,4,5", "--tokens=1", "--temperature=0"), EF_OK);
  cr_expect_eq(strspn(text, "0123456789\n"), strlen(text), "%s", text);
  cr_expect_eq(RUN_QUIET("generate", model, "--ids=3,40"), EF_USAGE);
  cr_expect_eq(RUN_QUIET("generate", model, "--prompt=hello"), EF_INPUT);
  cr_expect_not_null(strstr(ef_message(), "has no tokenizer: give the prompt as --ids"), "%s", ef_message());
}

Test(generate, a_prompt_is_continued) {
  ef_tokenizer *tokenizer = sample_tokenizer();
  ef_dims dims = small_dims(ef_tokenizer_size(tokenizer));
  write_model(in(folder, "m.h5"), &dims, 1, tokenizer);
  ef_tokenizer_free(tokenizer);

  char out[4096];
  static const char prompt[] = "the rate of ";
  cr_assert_eq(RUN(out, "generate", in(folder, "m.h5"), "--prompt", prompt, "--tokens=8"), EF_OK, "%s",
               ef_message());
  cr_expect(strncmp(out, prompt, strlen(prompt)) == 0, "%s", out);
  cr_expect_eq(out[strlen(out) - 1], '\n');
  cr_assert_eq(RUN(out, "generate", in(folder, "m.h5"), "--prompt", prompt, "--tokens=0", "--json"), EF_OK);
  json_t *object = json_loads(out, 0, NULL);
  cr_assert_not_null(object, "%s", out);
  cr_expect_str_eq(json_string_value(json_object_get(object, "text")), "");
  cr_expect_eq(json_integer_value(json_array_get(json_object_get(object, "prompt_tokens"), 0)), EF_TOKEN_BOS);
  json_decref(object);
}
