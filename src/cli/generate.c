#include "model/generate.h"

#include "base/memory.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "text/tokenizer.h"
#include "train/model_file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
  KEY_PROMPT = 0x20001,
  KEY_IDS,
  KEY_TOKENS,
  KEY_TEMPERATURE,
  KEY_TOP_K,
  KEY_SEED,
  KEY_BACKEND,
  KEY_NO_CACHE
};

typedef struct generate_options {
  const char *prompt, *ids, *backend;
  int64_t tokens, top_k, seed;
  double temperature;
  bool cache;
} generate_options;

/* The prompt and what follows it. */
typedef struct text_ids {
  int32_t *ids;        /* (length + room) owned */
  size_t length, made; /* tokens of the prompt, tokens behind it */
} text_ids;

/* ---- prompt --------------------------------------------------------------------------------- */

static ef_status prompt_from_text(const ef_tokenizer *tokenizer, const char *prompt, size_t room,
                                  text_ids *text) {
  int32_t *encoded = NULL;
  size_t count = 0;
  EF_TRY(ef_tokenizer_encode(tokenizer, prompt, strlen(prompt), &encoded, &count));
  ef_status status = EF_NEW(text->ids, count + 1 + room);
  if (status == EF_OK) {
    text->ids[0] = EF_TOKEN_BOS;
    memcpy(text->ids + 1, encoded, count * sizeof *encoded);
    text->length = count + 1;
  }
  ef_free(encoded);
  return status;
}

/* "1,2,3" as tokens. */
static ef_status prompt_from_ids(const char *list, size_t V, size_t room, text_ids *text) {
  EF_TRY(EF_NEW(text->ids, strlen(list) + room));
  for (const char *at = list;;) {
    char *end;
    errno = 0;
    unsigned long long id = strtoull(at, &end, 10);
    bool good = *at >= '0' && *at <= '9' && errno == 0 && id < V && (*end == ',' || *end == '\0');
    EF_TRY(EF_CHECK(good, EF_USAGE, "--ids %s: wants tokens from 0 to %zu, as 1,2,3", list, V - 1));
    text->ids[text->length++] = (int32_t)id;
    if (*end == '\0') return EF_OK;
    at = end + 1;
  }
}

static ef_status make_tokenizer(const ef_model_source *source, ef_tokenizer **tokenizer) {
  *tokenizer = NULL;
  if (!source->tokenizer) return EF_OK;
  return ef_tokenizer_load(source->tokenizer, source->tokenizer_bytes, tokenizer);
}

static ef_status make_prompt(const generate_options *options, const ef_tokenizer *tokenizer,
                             const ef_dims *dims, text_ids *text) {
  size_t room = (size_t)options->tokens;
  if (options->ids) return prompt_from_ids(options->ids, dims->V, room, text);
  EF_TRY(
      EF_CHECK(tokenizer != NULL, EF_INPUT,
               "the checkpoint has no tokenizer: give the prompt as --ids 1,2,3 (tokens are printed too)"));
  EF_TRY(EF_CHECK(ef_tokenizer_size(tokenizer) <= dims->V, EF_CHECKPOINT,
                  "the tokenizer has %zu tokens, the model %zu", ef_tokenizer_size(tokenizer), dims->V));
  return prompt_from_text(tokenizer, options->prompt, room, text);
}

/* ---- result --------------------------------------------------------------------------------- */

static json_t *ids_json(const int32_t *ids, size_t count) {
  json_t *array = json_array();
  for (size_t i = 0; i < count; i++) json_array_append_new(array, json_integer(ids[i]));
  return array;
}

static ef_status print_json(const text_ids *text, const char *words, size_t bytes) {
  json_t *object = json_object();
  json_object_set_new(object, "prompt_tokens", ids_json(text->ids, text->length));
  json_object_set_new(object, "tokens", ids_json(text->ids + text->length, text->made));
  /* A cut may fall inside a character: then the text is no UTF-8 and only the tokens are given. */
  json_t *value = words ? json_stringn(words, bytes) : NULL;
  json_object_set_new(object, "text", value ? value : json_null());
  return ef_cli_print_json(object);
}

static void print_ids(const int32_t *ids, size_t count) {
  for (size_t i = 0; i < count; i++) printf("%s%d", i ? "," : "", (int)ids[i]);
  putchar('\n');
}

/* The text of the new tokens is what decoding adds behind the prompt: spaces at the seam are kept. */
static ef_status new_words(const ef_tokenizer *tokenizer, const text_ids *text, char **all,
                           const char **words, size_t *bytes) {
  char *before = NULL;
  size_t skip = 0, whole = 0;
  EF_TRY(ef_tokenizer_decode(tokenizer, text->ids, text->length, &before, &skip));
  ef_free(before);
  EF_TRY(ef_tokenizer_decode(tokenizer, text->ids, text->length + text->made, all, &whole));
  if (skip > whole) skip = whole;
  *words = *all + skip;
  *bytes = whole - skip;
  return EF_OK;
}

static ef_status print_result(const ef_cli *cli, const generate_options *options,
                              const ef_tokenizer *tokenizer, const text_ids *text) {
  char *all = NULL;
  const char *words = NULL;
  size_t bytes = 0;
  if (tokenizer) EF_TRY(new_words(tokenizer, text, &all, &words, &bytes));
  ef_status status = EF_OK;
  if (cli->json) {
    status = print_json(text, words, bytes);
  } else if (words && options->prompt) {
    printf("%s", options->prompt);
    fwrite(words, 1, bytes, stdout);
    putchar('\n');
  } else {
    print_ids(text->ids + text->length, text->made);
  }
  ef_free(all);
  return status;
}

/* ---- command -------------------------------------------------------------------------------- */

static ef_status run_generate(const ef_cli *cli, const char *checkpoint, const generate_options *options) {
  const ef_kernels *kernels;
  ef_model model = {0};
  ef_model_source source = {0};
  ef_tokenizer *tokenizer = NULL;
  text_ids text = {0};
  ef_status status;
  EF_TRY(ef_cli_backend(options->backend, &kernels));
  EF_GO(ef_model_load(checkpoint, &model, &source));
  EF_GO(make_tokenizer(&source, &tokenizer));
  EF_GO(make_prompt(options, tokenizer, &model.dims, &text));
  ef_sampling sampling = {.temperature = options->temperature,
                          .top_k = (size_t)options->top_k,
                          .seed = (uint64_t)options->seed,
                          .stop = tokenizer ? EF_TOKEN_BOS : -1,
                          .cache = options->cache};
  EF_GO(ef_generate(&model, kernels, &sampling, text.ids, text.length, (size_t)options->tokens, &text.made));
  EF_GO(print_result(cli, options, tokenizer, &text));
done:
  ef_free(text.ids);
  ef_tokenizer_free(tokenizer);
  ef_model_source_free(&source);
  ef_model_free(&model);
  return status;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  generate_options *options = state->input;
  switch (key) {
  case KEY_PROMPT:
    options->prompt = arg;
    return 0;
  case KEY_IDS:
    options->ids = arg;
    return 0;
  case KEY_BACKEND:
    options->backend = arg;
    return 0;
  case KEY_NO_CACHE:
    options->cache = false;
    return 0;
  case KEY_TOKENS:
    return ef_cli_int("--tokens", arg, 0, 1000000, &options->tokens);
  case KEY_TOP_K:
    return ef_cli_int("--top-k", arg, 0, 1000000, &options->top_k);
  case KEY_SEED:
    return ef_cli_int("--seed", arg, 0, INT64_MAX, &options->seed);
  case KEY_TEMPERATURE:
    return ef_cli_real("--temperature", arg, 0.0, 1000.0, &options->temperature);
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

ef_status ef_cli_generate(ef_cli *cli, int argc, char **argv) {
  static const struct argp_option list[] = {
      {"prompt", KEY_PROMPT, "TEXT", 0, "text that is continued", 0},
      {"ids", KEY_IDS, "1,2,3", 0, "the prompt as tokens, for a checkpoint without a tokenizer", 0},
      {"tokens", KEY_TOKENS, "N", 0, "most tokens that are made (default 64)", 0},
      {"temperature", KEY_TEMPERATURE, "X", 0, "0: the likeliest token (default 0.8)", 0},
      {"top-k", KEY_TOP_K, "K", 0, "draw among the K likeliest tokens (default 0: all)", 0},
      {"seed", KEY_SEED, "N", 0, "seed of the draws (default 1)", 0},
      {"no-cache", KEY_NO_CACHE, NULL, 0, "without the key-value cache: slower, the same tokens", 0},
      {"backend", KEY_BACKEND, "NAME", 0, "kernels: blas (default), ref, guard, guard:ref", 0},
      {0}};
  static const struct argp argp = {.options = list,
                                   .parser = parse,
                                   .args_doc = "CHECKPOINT",
                                   .doc = "Continues a text. Equal seeds give equal texts. --json: "
                                          "{\"prompt_tokens\", \"tokens\", \"text\"}."};
  generate_options options = {.backend = "blas", .tokens = 64, .seed = 1, .temperature = 0.8, .cache = true};
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &options, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 1, 1, argp.args_doc));
  EF_TRY(EF_CHECK(!options.prompt != !options.ids, EF_USAGE, "generate: wants --prompt TEXT or --ids 1,2,3"));
  if (!ef_par_root(cli->par)) return EF_OK;
  return run_generate(cli, cli->arguments[0], &options);
}
