#include "test_instance_support.h"

#include "base/file.h"
#include "base/memory.h"
#include "support/support.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LAYERS                                                                                               \
  "\"layers\":[{\"name\":\"a\",\"flops\":1e6,\"out_bytes\":10},{\"name\":\"b\",\"flops\":2,\"out_bytes\":3}" \
  "]"
#define EXITS                                                                                                \
  "\"exits\":[{\"layer\":1,\"head_flops\":5,\"accuracy\":60},{\"layer\":2,\"head_flops\":0,\"accuracy\":70}" \
  "]"
#define HEAD "{\"name\":\"w\",\"input_bytes\":100,"

Test(workload, fields_and_defaults) {
  ef_workload w = test_read_workload(HEAD LAYERS "," EXITS "}");
  cr_assert_str_eq(w.name, "w");
  cr_assert_not(w.autoregressive);
  cr_assert_eq(w.input_bytes, 100);
  cr_assert_eq(w.layer_count, 2);
  cr_assert_str_eq(w.layers[1].name, "b");
  cr_assert_eq(w.layers[0].flops, 1e6);
  cr_assert_eq(w.layers[0].out_bytes, 10);
  cr_assert_eq(w.layers[0].attention_flops, 0);
  cr_assert_eq(w.layers[0].prefill_bytes, 0);
  cr_assert_eq(w.exit_count, 2);
  cr_assert_eq(w.exits[0].after, 1);
  cr_assert_eq(w.exits[0].head_flops, 5);
  cr_assert_eq(w.exits[0].head_bytes, 0);
  cr_assert_null(w.exits[0].source);
  cr_assert_eq(w.exits[1].accuracy, 70);
  cr_assert_eq(w.policy_count, 0);
  cr_assert_null(w.source);
  cr_assert_null(w.checkpoint);
  cr_assert_eq(w.measured_flops, 0);
  ef_workload_free(&w);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(workload, autoregressive_fields) {
  ef_workload w = test_read_workload(
      "{\"schema\":\"aeria-workload/"
      "1\",\"kind\":\"autoregressive\",\"name\":\"lm\",\"comment\":\"free\",\"_x\":[1],"
      "\"x-y\":{},\"input_bytes\":4,\"prompt_tokens\":100,\"decode_tokens\":20,\"source\":\"s\","
      "\"checkpoint\":\"ab\","
      "\"measured_flops\":1e10,\"layers\":[{\"name\":\"a\",\"flops\":1,\"out_bytes\":2,\"attention_flops\":3,"
      "\"weight_bytes\":4,\"cache_bytes\":5},{\"name\":\"b\",\"flops\":1,\"out_bytes\":2,\"weight_bytes\":4,"
      "\"prefill_bytes\":6}],\"exits\":[{\"layer\":0,\"head_flops\":1,\"head_bytes\":7,\"accuracy\":0.5,"
      "\"source\":\"e\"},{\"layer\":2,\"head_flops\":1,\"accuracy\":0.75}],"
      "\"policies\":[{\"threshold\":0.8,\"accuracy\":0.7,\"leave\":[0.25,0.75]}]}");
  cr_assert(w.autoregressive);
  cr_assert_eq(w.prompt_tokens, 100);
  cr_assert_eq(w.decode_tokens, 20);
  cr_assert_eq(w.layers[0].attention_flops, 3);
  cr_assert_eq(w.layers[0].weight_bytes, 4);
  cr_assert_eq(w.layers[0].prefill_bytes, 4, "the default is weight_bytes");
  cr_assert_eq(w.layers[0].cache_bytes, 5);
  cr_assert_eq(w.layers[1].prefill_bytes, 6);
  cr_assert_eq(w.exits[0].after, 0);
  cr_assert_eq(w.exits[0].head_bytes, 7);
  cr_assert_str_eq(w.exits[0].source, "e");
  cr_assert_str_eq(w.source, "s");
  cr_assert_str_eq(w.checkpoint, "ab");
  cr_assert_eq(w.measured_flops, 1e10);
  cr_assert_eq(w.policy_count, 1);
  cr_assert_eq(w.policies[0].threshold, 0.8);
  cr_assert_eq(w.policies[0].leave[1], 0.75);
  ef_workload_free(&w);
}

static void refused(const char *before, const char *piece, const char *after, const char *part) {
  test_refused_workload(test_fill_in(before, piece, after), part);
}

Test(workload, faults_at_the_top) {
  static const char rest[] = LAYERS "," EXITS "}";
  static const struct {
    const char *head, *part;
  } bad[] = {
      {"{\"input_bytes\":1,", "name: is missing"},
      {"{\"name\":7,\"input_bytes\":1,", "name: must be a string, is a number"},
      {"{\"name\":\"w\",", "input_bytes: is missing"},
      {"{\"name\":\"w\",\"input_bytes\":-1,", "input_bytes: must be 0 or a positive number, is -1"},
      {"{\"name\":\"w\",\"input_bytes\":\"1\",", "input_bytes: must be a number, is a string"},
      {"{\"name\":\"w\",\"input_bytes\":1e101,", "input_bytes: must be at most 1e+100"},
      {"{\"name\":\"w\",\"input_bytes\":1e999,", "line 1, column 31: not JSON: real number overflow"},
      {"{\"name\":\"w\",\"input_bytes\":NaN,", "not JSON"},
      {"{\"name\":\"w\",\"name\":\"v\",\"input_bytes\":1,", "duplicate object key"},
      {HEAD "\"kind\":\"forwards\",",
       "kind: must be one of forward|autoregressive, is \"forwards\"; did you mean forward?"},
      {HEAD "\"kind\":1,", "kind: must be one of forward|autoregressive, is a number"},
      {HEAD "\"schema\":\"aeria-market/1\",", "schema: must be one of aeria-workload/1"},
      {HEAD "\"layer\":[],", "layer: unknown field; did you mean layers?"},
      {HEAD "\"zzzzzzzzzz\":[],", "zzzzzzzzzz: unknown field; known are schema, kind, name"},
      {HEAD "\"a\\nbbbbbbb\":1,", "w.json: a?bbbbbbb: unknown field; known are schema, kind, name"},
      {HEAD "\"kind\":\"a\\nb\",", "is \"a?b\""},
      {HEAD "\"measured_flops\":-3,", "measured_flops: must be 0 or a positive number"},
      {HEAD "\"kind\":\"autoregressive\",", "prompt_tokens: must be a positive number"},
      {HEAD "\"kind\":\"autoregressive\",\"prompt_tokens\":3,\"decode_tokens\":0.5,",
       "decode_tokens: must be at least 1"},
      {HEAD "\n\n ?", "line 3, column 2: not JSON"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) refused(bad[i].head, rest, "", bad[i].part);
  test_refused_workload("[]", "must be an object, is an array");
  test_refused_workload("", "line 1, column 1: not JSON");
  test_refused_workload(HEAD LAYERS "," EXITS "} 1", "not JSON");
  test_refused_workload(HEAD LAYERS "," EXITS, "not JSON");
}

Test(workload, faults_of_layers) {
  static const struct {
    const char *layers, *part;
  } bad[] = {
      {"[]", "layers: is empty"},
      {"{}", "layers: must be an array, is an object"},
      {"null", "layers: is missing"},
      {"[1]", "layers[0]: must be an object, is a number"},
      {"[{\"name\":\"a\",\"out_bytes\":1}]", "layers[0].flops: is missing"},
      {"[{\"name\":\"a\",\"flops\":1}]", "layers[0].out_bytes: is missing"},
      {"[{\"flops\":1,\"out_bytes\":1}]", "layers[0].name: is missing"},
      {"[{\"name\":\"a\",\"flops\":-1,\"out_bytes\":1}]",
       "layers[0].flops: must be 0 or a positive number, is -1"},
      {"[{\"name\":\"a\",\"flops\":1,\"out_bytes\":true}]", "layers[0].out_bytes: must be a number, is true"},
      {"[{\"name\":\"a\",\"flops\":1,\"out_bytes\":1,\"flop\":1}]",
       "layers[0].flop: unknown field; did you mean flops?"},
      {"[{\"name\":\"a\",\"flops\":1,\"out_bytes\":1},{\"name\":\"a\",\"flops\":1,\"out_bytes\":1,\"cache_"
       "bytes\":-1}]",
       "layers[1].cache_bytes: must be 0 or a positive number"},
      {"[{\"name\":\"\\u0000\",\"flops\":1,\"out_bytes\":1}]", "not JSON"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    refused(HEAD EXITS ",\"layers\":", bad[i].layers, "}", bad[i].part);
  }
}

Test(workload, faults_of_exits_and_policies) {
  static const struct {
    const char *tail, *part;
  } bad[] = {
      {"\"exits\":[]", "exits: is empty"},
      {"\"policies\":[]", "exits: is missing"},
      {"\"exits\":[{\"layer\":3,\"head_flops\":0,\"accuracy\":1}]",
       "exits[0].layer: is 3, but there are 2 layers"},
      {"\"exits\":[{\"layer\":-1,\"head_flops\":0,\"accuracy\":1}]",
       "exits[0].layer: must be a whole number from 0, is -1"},
      {"\"exits\":[{\"layer\":1.5,\"head_flops\":0,\"accuracy\":1}]",
       "exits[0].layer: must be a whole number, is 1.5"},
      {"\"exits\":[{\"layer\":1e30,\"head_flops\":0,\"accuracy\":1}]",
       "exits[0].layer: must be at most 9007199254740992"},
      {"\"exits\":[{\"layer\":2,\"head_flops\":0,\"accuracy\":1},{\"layer\":1,\"head_flops\":0,\"accuracy\":"
       "1}]",
       "exits[1].layer: is 1, but the exit before is at 2"},
      {"\"exits\":[{\"layer\":2,\"accuracy\":1}]", "exits[0].head_flops: is missing"},
      {"\"exits\":[{\"layer\":2,\"head_flops\":0}]", "exits[0].accuracy: is missing"},
      {EXITS ",\"policies\":[{\"threshold\":1,\"accuracy\":1}]", "policies[0].leave: is missing"},
      {EXITS ",\"policies\":[{\"threshold\":1,\"accuracy\":1,\"leave\":[1]}]",
       "policies[0].leave: has 1 shares, but there are 2 exits"},
      {EXITS ",\"policies\":[{\"threshold\":1,\"accuracy\":1,\"leave\":[0.5,0.4]}]",
       "policies[0].leave: the shares sum to 0.9, must be 1"},
      {EXITS ",\"policies\":[{\"threshold\":1,\"accuracy\":1,\"leave\":[1.5,-0.5]}]",
       "policies[0].leave[0]: must be a share from 0 to 1, is 1.5"},
      {EXITS ",\"policies\":[{\"threshold\":1,\"accuracy\":1,\"leave\":[1,\"0\"]}]",
       "policies[0].leave[1]: must be a number"},
      {EXITS ",\"policies\":[{\"threshold\":1,\"leave\":[1,0]}]", "policies[0].accuracy: is missing"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    refused(HEAD LAYERS ",", bad[i].tail, "}", bad[i].part);
}

/* Numbers at the ends of what doubles and the format hold, and names that need escapes. */
static ef_workload extreme(void) {
  static ef_layer_cost layers[] = {{NULL, DBL_MIN, 5e-324, 0.1, 1.0 / 3, 1e100, 1e-300},
                                   {NULL, 9007199254740993.0, 1e22, 0, 7, 0, 0},
                                   {NULL, 123456789012345678.0, 1e21, 0, 7, 7, -0.0}};
  static ef_exit exits[] = {{0, 0, 0, -1e300, NULL}, {3, 1e100, 3.1415926535897931, 1e300, NULL}};
  static double leave[] = {1.0 / 3, 2.0 / 3};
  static ef_policy policies[] = {{-0.0, 1e-320, leave}};
  return (ef_workload){.autoregressive = true,
                       .input_bytes = 2.7182818284590451,
                       .prompt_tokens = 1e30,
                       .decode_tokens = 1 + DBL_EPSILON,
                       .layer_count = 3,
                       .exit_count = 2,
                       .policy_count = 1,
                       .layers = layers,
                       .exits = exits,
                       .policies = policies,
                       .measured_flops = 1e-9};
}

Test(workload, a_written_file_reads_back_to_the_same_bits) {
  char folder[256], path[300];
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/w.json", folder);
  char name[] = "quote \" backslash \\ line \n \xc3\xa9 \x01", b[] = "b", empty[] = "", n[] = "n", s[] = "s";
  ef_workload w = extreme(), again;
  w.name = n;
  w.layers[0].name = name;
  w.layers[1].name = b;
  w.layers[2].name = empty;
  w.exits[1].source = s;
  cr_assert_eq(ef_workload_write(&w, path), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_workload_read(path, &again), EF_OK, "%s", ef_message());
  test_same_workload(&w, &again);
  ef_workload_free(&again);
  test_remove_folder(folder);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(workload, a_file_appears_whole_or_not_at_all) {
  char folder[256], path[300], temporary[310];
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/w.json", folder);
  snprintf(temporary, sizeof temporary, "%s.tmp", path);
  ef_workload w = test_read_workload(HEAD LAYERS "," EXITS "}");
  w.layers[1].name[0] = (char)0xFF;
  cr_assert_eq(ef_workload_write(&w, path), EF_INPUT);
  cr_assert(strstr(ef_message(), "is no UTF-8"));
  w.layers[1].name[0] = 'b';
  w.layers[1].flops = NAN;
  cr_assert_eq(ef_workload_write(&w, path), EF_INPUT);
  cr_assert(strstr(ef_message(), "layers[1].flops: must be 0 or a positive number, is nan"), "%s",
            ef_message());
  cr_assert_not(ef_file_exists(path));
  cr_assert_not(ef_file_exists(temporary));
  w.layers[1].flops = 0;
  cr_assert_eq(ef_workload_write(&w, "/nowhere/at/all.json"), EF_MACHINE);
  ef_workload_free(&w);
  test_remove_folder(folder);
}

Test(workload, a_check_names_its_place) {
  ef_workload w = test_read_workload(HEAD LAYERS "," EXITS "}");
  cr_assert_eq(ef_workload_check(&w, "workloads[4]"), EF_OK);
  w.exits[1].accuracy = INFINITY;
  cr_assert_eq(ef_workload_check(&w, "workloads[4]"), EF_INPUT);
  cr_assert(strstr(ef_message(), "workloads[4].exits[1].accuracy: must be at most 1e+300, is inf"), "%s",
            ef_message());
  ef_workload_free(&w);
}
