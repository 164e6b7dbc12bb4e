/* `edgefuse profile`: a model file and a text become a workload; accuracies are those of `edgefuse eval`. */
#include "test_cli.h"

#include "base/file.h"
#include "market/workload.h"
#include "train/model_hash.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { LAYERS = 3, D = 16, F = 24, CONTEXT = 16 };

static char folder[PATH / 2];

/* m.h5: three layers and an exit behind the second, with a tokenizer; text.txt. */
static void set_up(void) {
  test_make_folder(folder, sizeof folder);
  ef_tokenizer *tokenizer = sample_tokenizer();
  ef_shape shape = {
      .V = ef_tokenizer_size(tokenizer), .D = D, .L = LAYERS, .H = 2, .G = 2, .F = F, .max_positions = 64};
  ef_dims dims;
  cr_assert_eq(ef_dims_make(EF_LLAMA, &shape, &dims), EF_OK, "%s", ef_message());
  dims.exits[0] = 2;
  write_model(in(folder, "m.h5"), &dims, 1, tokenizer);
  cr_assert_eq(ef_file_write(in(folder, "text.txt"), sample_text(), 3000), EF_OK);
  ef_tokenizer_free(tokenizer);
}
static void tear_down(void) { test_remove_folder(folder); }
TestSuite(profile_command, .init = set_up, .fini = tear_down);

#define PROFILE "profile", in(folder, "m.h5"), "--text", in(folder, "text.txt"), "--out", in(folder, "w.json")

static ef_workload written(void) {
  ef_workload w;
  cr_assert_eq(ef_workload_read(in(folder, "w.json"), &w), EF_OK, "%s", ef_message());
  return w;
}

/* What eval says of the last head on the same windows. */
static double eval_accuracy(void) {
  char out[4096];
  cr_assert_eq(
      RUN(out, "eval", in(folder, "m.h5"), "--text", in(folder, "text.txt"), "--context=16", "--json"), EF_OK,
      "%s", ef_message());
  json_t *quality = json_loads(out, 0, NULL);
  cr_assert_not_null(quality, "%s", out);
  const json_t *accuracy = json_object_get(json_object_get(quality, "all"), "token_accuracy");
  cr_assert(json_is_real(accuracy), "%s", out);
  double value = json_real_value(accuracy);
  json_decref(quality);
  return value;
}

/* Threshold 0 lets everything leave at the first exit, 1 nothing before the last head. */
Test(profile_command, a_forward_pass) {
  char out[8192], hash[EF_MODEL_HASH_BYTES];
  size_t blocks = ef_memory_blocks();
  cr_assert_eq(RUN(out, PROFILE, "--context=16", "--thresholds=0,0.01,1", "--name=tiny"), EF_OK, "%s",
               ef_message());
  cr_expect(strncmp(out, "threshold ", 10) == 0, "%s", out);
  cr_assert_eq(ef_model_path_hash(in(folder, "m.h5"), hash), EF_OK);
  ef_workload w = written();
  cr_expect_str_eq(w.name, "tiny");
  cr_expect_str_eq(w.checkpoint, hash);
  cr_expect(!w.autoregressive && w.input_bytes == 4.0 * CONTEXT && w.measured_flops > 0);
  cr_assert(w.layer_count == LAYERS && w.exit_count == 2 && w.policy_count == 3);
  double products = 2.0 * (4 * D * D + 3 * D * F), pairs = CONTEXT * (CONTEXT + 1) / 2.0;
  cr_expect_float_eq(w.layers[1].flops, CONTEXT * products + pairs * 4 * D, 1e-6);
  cr_expect_eq(w.layers[1].out_bytes, 4.0 * CONTEXT * D);
  cr_expect(w.exits[0].after == 2 && w.exits[1].after == LAYERS);
  cr_expect(w.policies[0].threshold == 0 && w.policies[1].threshold == 0.01 && w.policies[2].threshold == 1);
  cr_expect(w.policies[0].leave[0] == 1 && w.policies[0].leave[1] == 0);
  cr_expect(w.policies[2].leave[0] == 0 && w.policies[2].leave[1] == 1);
  cr_expect_eq(w.policies[0].accuracy, w.exits[0].accuracy);
  cr_expect_eq(w.policies[2].accuracy, w.exits[1].accuracy);
  cr_expect_float_eq(w.exits[1].accuracy, eval_accuracy(), 1e-9);
  ef_workload_free(&w);
  cr_expect_eq(ef_memory_blocks(), blocks);
}

Test(profile_command, autoregressive) {
  static char out[1 << 16];
  cr_assert_eq(RUN(out, PROFILE, "--kind=autoregressive", "--prompt=5", "--decode=9", "--context=16",
                   "--windows=2", "--json"),
               EF_OK, "%s", ef_message());
  char *file = NULL;
  size_t bytes;
  cr_assert_eq(ef_file_read(in(folder, "w.json"), EF_INPUT, &file, &bytes), EF_OK);
  cr_expect_str_eq(out, file, "--json prints the file");
  ef_free(file);
  ef_workload w = written();
  cr_expect(w.autoregressive && w.prompt_tokens == 5 && w.decode_tokens == 9 && w.input_bytes == 4);
  cr_expect_eq(w.policy_count, 10u, "the default thresholds");
  cr_expect_str_eq(w.name, "llama");
  cr_assert_eq(w.layer_count, (size_t)LAYERS);
  cr_expect_float_eq(w.layers[0].flops, 2.0 * (4 * D * D + 3 * D * F), 1e-9);
  cr_expect_eq(w.layers[0].attention_flops, 4.0 * D);
  cr_expect_eq(w.layers[0].weight_bytes, 4.0 * (4 * D * D + 3 * D * F + 2 * D), "matrices and two norms");
  cr_expect_eq(w.layers[0].prefill_bytes, w.layers[0].weight_bytes, "no experts: read once");
  cr_expect_eq(w.layers[0].cache_bytes, 4.0 * 2 * D);
  cr_expect_eq(w.layers[0].out_bytes, 4.0 * D);
  cr_expect_not_null(strstr(w.exits[0].source, "measured on 32 tokens"), "%s", w.exits[0].source);
  ef_workload_free(&w);
}

Test(profile_command, mistakes) {
  static const struct {
    const char *option, *message;
  } cases[] = {
      {"--kind=backward", "--kind backward: is not one of forward|autoregressive"},
      {"--thresholds=0.5,0.2", "--thresholds 0.5,0.2: wants up to 256 ascending numbers from 0 to 1"},
      {"--thresholds=0.5,0.5", "ascending"},
      {"--thresholds=0.5,,0.7", "ascending"},
      {"--thresholds=1.5", "ascending"},
      {"--thresholds=nan", "ascending"},
      {"--thresholds=", "ascending"},
      {"--decode=0", "--decode 0: wants a whole number from 1"},
      {"--backend=bals", "did you mean blas?"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    cr_expect_eq(RUN_QUIET(PROFILE, cases[i].option), EF_USAGE, "%s", cases[i].option);
    cr_expect_not_null(strstr(ef_message(), cases[i].message), "%s", ef_message());
  }
  cr_expect_eq(RUN_QUIET("profile", in(folder, "m.h5"), "--text", in(folder, "text.txt")), EF_USAGE);
  cr_expect_str_eq(ef_message(), "profile: wants CHECKPOINT --text FILE... --out WORKLOAD.json");
  cr_expect_eq(RUN_QUIET("profile", in(folder, "m.h5"), "--out", in(folder, "w.json")), EF_USAGE);
  cr_expect_eq(RUN_QUIET(PROFILE, "--context=65"), EF_INPUT, "the model has 64 positions");
  cr_expect_not_null(strstr(ef_message(), "64 positions"), "%s", ef_message());
  cr_expect_eq(RUN_QUIET(PROFILE, in(folder, "nowhere.txt")), EF_INPUT);
  cr_expect_not(ef_file_exists(in(folder, "w.json")));
}

Test(profile_command, models_that_cannot_read) {
  ef_tokenizer *tokenizer = sample_tokenizer();
  ef_shape shape = {.V = 40, .D = D, .L = 2, .H = 2, .G = 2, .F = F, .max_positions = 64};
  ef_dims dims;
  cr_assert_eq(ef_dims_make(EF_LLAMA, &shape, &dims), EF_OK, "%s", ef_message());
  write_model(in(folder, "m.h5"), &dims, 1, NULL);
  cr_expect_eq(RUN_QUIET(PROFILE), EF_INPUT);
  cr_expect_not_null(strstr(ef_message(), "has no tokenizer"), "%s", ef_message());
  write_model(in(folder, "m.h5"), &dims, 1, tokenizer);
  cr_expect_eq(RUN_QUIET(PROFILE), EF_CHECKPOINT);
  cr_expect_not_null(strstr(ef_message(), "its tokenizer has 300 tokens, but the model only 40"), "%s",
                     ef_message());
  cr_expect_not(ef_file_exists(in(folder, "w.json")));
  ef_tokenizer_free(tokenizer);
}
