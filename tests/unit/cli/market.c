/* `edgefuse market`: its subcommands, and `market workload`. */
#include "test_cli.h"

#include "base/file.h"
#include "market/workload.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static char folder[PATH / 2];
static void set_up(void) { test_make_folder(folder, sizeof folder); }
static void tear_down(void) { test_remove_folder(folder); }
TestSuite(market, .init = set_up, .fini = tear_down);

Test(market, subcommands) {
  static const char *const names[] = {"solve", "audit", "simulate", "workload"};
  char out[8192], usage[64];
  cr_assert_eq(RUN(out, "market", "--help"), EF_OK);
  for (size_t i = 0; i < COUNT(names); i++) {
    char help[8192];
    snprintf(usage, sizeof usage, "\n  %s ", names[i]);
    cr_expect_not_null(strstr(out, usage), "%s", names[i]);
    cr_expect_eq(RUN(help, "market", names[i], "--help"), EF_OK, "%s", ef_message());
    snprintf(usage, sizeof usage, "Usage: edgefuse market %s ", names[i]);
    cr_expect(strncmp(help, usage, strlen(usage)) == 0, "%s", help);
  }
}

Test(market, mistakes_give_one_line) {
  static const struct {
    const char *arguments[5], *message;
  } cases[] = {
      {{"market"}, "market: no subcommand; edgefuse market --help lists them"},
      {{"market", "slove"}, "market slove: unknown subcommand; did you mean solve?"},
      {{"market", "quantumise"}, "market quantumise: unknown subcommand; edgefuse market --help lists them"},
      {{"market", "solve"}, "market solve: wants INSTANCE.json; edgefuse market solve --help explains it"},
      {{"market", "solve", "a", "b"}, "market solve: one argument too many: b"},
      {{"market", "workload", "a", "b"}, "market workload: one argument too many: b"},
      {{"market", "workload", "a", "--bytes=0"},
       "market workload: --bytes 0: wants a number from 0.000976562 to 1024"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    cr_expect_eq(run_command(NULL, 0, cases[i].arguments), EF_USAGE, "%zu", i);
    cr_expect_str_eq(ef_message(), cases[i].message, "\n got: %s\nwant: %s", ef_message(), cases[i].message);
  }
}

Test(market, workloads_are_listed) {
  char out[8192];
  cr_assert_eq(RUN(out, "market", "workload"), EF_OK, "%s", ef_message());
  for (size_t i = 0; i < 4; i++) {
    static const char *const names[] = {"alexnet ", "resnet34 ", "vgg16 ", "bart_base "};
    cr_expect_not_null(strstr(out, names[i]), "%s", names[i]);
  }
  cr_assert_eq(RUN(out, "market", "workload", "--json"), EF_OK, "%s", ef_message());
  json_t *list = json_loads(out, 0, NULL);
  cr_assert_not_null(list, "%s", out);
  cr_expect_geq(json_array_size(json_object_get(list, "networks")), 4u);
  json_decref(list);
}

/* AlexNet: 11 layers of 1.4292 GFLOP in all, 224 x 224 x 3 numbers in. */
Test(market, a_workload_by_name) {
  static char out[1 << 16];
  size_t blocks = ef_memory_blocks();
  const char *path = in(folder, "alexnet.json");
  ef_workload one, four;
  cr_assert_eq(RUN(out, "market", "workload", "alexnet"), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_file_write(path, out, strlen(out)), EF_OK);
  cr_assert_eq(ef_workload_read(path, &one), EF_OK, "%s", ef_message());
  cr_assert_eq(RUN(out, "market", "workload", "alexnet", "--bytes=4", "--out", path), EF_OK);
  cr_expect_str_eq(out, "", "with --out nothing is printed");
  cr_assert_eq(ef_workload_read(path, &four), EF_OK, "%s", ef_message());
  double flops = 0.0;
  for (size_t l = 0; l < one.layer_count; l++) flops += one.layers[l].flops;
  cr_expect_eq(one.layer_count, 11u);
  cr_expect_float_eq(flops, 1.4292e9, 5e4);
  cr_expect_eq(one.input_bytes, 150528);
  cr_expect_eq(four.input_bytes, 4 * 150528);
  cr_expect_eq(four.layers[0].out_bytes, 4 * one.layers[0].out_bytes);
  ef_workload_free(&one);
  ef_workload_free(&four);
  cr_expect_eq(ef_memory_blocks(), blocks);
}

Test(market, an_unknown_workload) {
  cr_expect_eq(RUN_QUIET("market", "workload", "alexnt", "--out", in(folder, "never.json")), EF_USAGE);
  cr_expect_not_null(strstr(ef_message(), "did you mean alexnet?"), "%s", ef_message());
  cr_expect_not(ef_file_exists(in(folder, "never.json")));
}
