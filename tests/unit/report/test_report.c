#include "base/file.h"
#include "base/memory.h"
#include "report/report.h"
#include "report/rows.h"
#include "store/h5.h"
#include "support/json_path.h"
#include "support/sample.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static json_t *read_report(const sample *s) {
  char path[4096];
  json_error_t error;
  snprintf(path, sizeof path, "%s/report.json", s->folder);
  json_t *report = json_load_file(path, 0, &error);
  cr_assert(report, "%s: %s", path, error.text);
  return report;
}

static char *read_page(const sample *s) {
  char path[4096], *page = NULL;
  size_t bytes;
  snprintf(path, sizeof path, "%s/report.md", s->folder);
  cr_assert_eq(ef_file_read(path, EF_MACHINE, &page, &bytes), EF_OK);
  return page;
}

static void expect_real(json_t *report, const char *path, double wanted) {
  json_t *value = test_json_at(report, path);
  cr_expect(json_is_number(value) && fabs(json_number_value(value) - wanted) <= 1e-8 * fabs(wanted),
            "%s: %g, not %g", path, json_number_value(value), wanted);
}

static void expect_whole(json_t *report, const char *path, long long wanted) {
  json_t *value = test_json_at(report, path);
  cr_expect(json_is_integer(value) && json_integer_value(value) == wanted, "%s: %lld, not %lld", path,
            (long long)json_integer_value(value), wanted);
}

static void expect_text(json_t *report, const char *path, const char *wanted) {
  const char *text = json_string_value(test_json_at(report, path));
  cr_expect(text && strcmp(text, wanted) == 0, "%s: %s, not %s", path, text ? text : "no text", wanted);
}

static void expect_null(json_t *report, const char *path) {
  cr_expect(json_is_null(test_json_at(report, path)), "%s is not null", path);
}

static json_t *write_sample(sample *s) {
  const ef_method *method = ef_method_find("deepfusion");
  cr_assert_eq(ef_report_write(&s->run, method, &s->outcome), EF_OK, "%s", ef_message());
  return read_report(s);
}

static void write_log(const sample *s, const char *lines) {
  char path[4096];
  snprintf(path, sizeof path, "%s/metrics.jsonl", s->folder);
  cr_assert_eq(ef_file_write(path, lines, strlen(lines)), EF_OK);
}

/* ---- the contract ------------------------------------------------------------------------------- */

Test(report, every_key_has_its_type) {
  static const struct {
    const char *key;
    json_type type;
  } keys[] = {{"method", JSON_STRING},
              {"seed", JSON_INTEGER},
              {"ranks", JSON_INTEGER},
              {"devices", JSON_INTEGER},
              {"family", JSON_STRING},
              {"finished", JSON_TRUE},
              {"quality", JSON_OBJECT},
              {"quality.all", JSON_OBJECT},
              {"baselines.public_only", JSON_OBJECT},
              {"baselines.best_device", JSON_OBJECT},
              {"communication", JSON_OBJECT},
              {"communication.per_device", JSON_ARRAY},
              {"device_memory", JSON_ARRAY},
              {"device_memory_by_family", JSON_OBJECT},
              {"server_flops", JSON_REAL},
              {"server_seconds", JSON_REAL},
              {"device_flops", JSON_REAL},
              {"device_seconds", JSON_REAL},
              {"phases", JSON_ARRAY},
              {"market", JSON_NULL},
              {"plan_error.memory", JSON_OBJECT},
              {"plan_error.time", JSON_OBJECT},
              {"rows", JSON_ARRAY},
              {"clusters", JSON_ARRAY},
              {"bases", JSON_ARRAY},
              {"left_out", JSON_ARRAY},
              {"verdict", JSON_OBJECT},
              {"recipe", JSON_STRING},
              {"text", JSON_OBJECT},
              {"sgemm_peak_gflops", JSON_REAL}};
  sample s;
  sample_make(&s, NULL);
  json_t *report = write_sample(&s);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    cr_expect_eq(json_typeof(test_json_at(report, keys[i].key)), keys[i].type, "%s", keys[i].key);
  }
  expect_text(report, "method", "deepfusion");
  expect_text(report, "family", "qwen2_moe");
  expect_text(report, "recipe", "extended");
  expect_whole(report, "ranks", 1);
  expect_whole(report, "devices", 3);
  expect_whole(report, "text.documents", 8);
  expect_whole(report, "text.duplicates", 5);
  expect_whole(report, "text.public_tokens", 30);
  expect_whole(report, "text.private_tokens", 180);
  expect_whole(report, "text.validation_tokens", 150);
  json_decref(report);
  sample_free(&s);
}

Test(report, qualities_are_pooled_by_sums) {
  sample s;
  sample_make(&s, NULL);
  json_t *report = write_sample(&s);
  expect_real(report, "quality.med.log_perplexity", 2.0);
  expect_real(report, "quality.med.perplexity", 7.38905609893065); /* e^2 */
  expect_real(report, "quality.med.token_accuracy", 0.5);
  expect_real(report, "quality.med.bits_per_byte", 0.9617966939259757); /* 200 / ln 2 / 300 */
  expect_real(report, "quality.all.log_perplexity", 2.75);              /* 1100 / 400, not (2 + 3) / 2 */
  expect_real(report, "quality.all.perplexity", 15.642631884188171);
  expect_real(report, "quality.all.token_accuracy", 0.275);
  expect_real(report, "quality.all.bits_per_byte", 1.7632939388642885); /* 1100 / ln 2 / 900 */
  expect_whole(report, "quality.all.tokens", 400);
  json_decref(report);
  sample_free(&s);
}

Test(report, bits_per_byte_need_all_of_the_text) {
  sample s;
  sample_make(&s, NULL);
  json_t *report = write_sample(&s);
  expect_null(report, "baselines.public_only.fin.bits_per_byte");
  expect_null(report, "baselines.public_only.all.bits_per_byte");
  expect_real(report, "baselines.public_only.med.bits_per_byte", 1.2022458674074694); /* 250 / ln 2 / 300 */
  expect_real(report, "baselines.public_only.all.log_perplexity", 3.0625);            /* 1225 / 400 */
  expect_whole(report, "baselines.public_only.steps", 11);
  expect_whole(report, "baselines.public_only.kept_step", 9);
  json_decref(report);
  sample_free(&s);
}

/* Device 0: 1450 / 400 = 3.625; device 1: 1290 / 400 = 3.225. */
Test(report, the_best_device_is_named) {
  sample s;
  sample_make(&s, NULL);
  json_t *report = write_sample(&s);
  expect_whole(report, "baselines.best_device.device", 1);
  expect_text(report, "baselines.best_device.family", "gpt2");
  expect_real(report, "baselines.best_device.all.log_perplexity", 3.225);
  expect_real(report, "verdict.minus_public_only", -0.3125);
  expect_real(report, "verdict.minus_best_device", -0.475);
  json_decref(report);
  sample_free(&s);
}

/* ---- steps and tokens --------------------------------------------------------------------------- */

static size_t row_of(json_t *report, const char *name) {
  json_t *rows = test_json_at(report, "rows");
  for (size_t i = 0; i < json_array_size(rows); i++) {
    if (strcmp(json_string_value(json_object_get(json_array_get(rows, i), "name")), name) == 0) return i;
  }
  cr_assert(false, "no row %s", name);
  return 0;
}

static void expect_row(json_t *report, const char *name, long long total, long long sequential,
                       long long device, long long server) {
  const char *keys[] = {"total_steps", "sequential_steps", "device_tokens", "server_tokens"};
  long long wanted[] = {total, sequential, device, server};
  for (size_t i = 0; i < 4; i++) {
    char path[64];
    snprintf(path, sizeof path, "rows.%zu.%s", row_of(report, name), keys[i]);
    expect_whole(report, path, wanted[i]);
  }
}

/* Windows have 8 tokens; devices and bases take 2 of them a step, tuning 4. Base 1 was not taught. */
Test(report, steps_and_tokens_are_counted) {
  sample s;
  sample_make(&s, NULL);
  json_t *report = write_sample(&s);
  cr_expect_eq(json_array_size(test_json_at(report, "rows")), 2 + 2 + 2 + 2 + 2);
  expect_row(report, "device 0", 10, 10, 160, 0);
  expect_row(report, "device 1", 6, 6, 96, 0);
  expect_row(report, "proxy 0", 0, 0, 160, 0);
  expect_row(report, "base 0", 3, 3, 160, 48);
  expect_row(report, "base 1", 2, 2, 0, 32);
  expect_row(report, "merged", 5, 3, 256, 80);
  expect_row(report, "tuned", 10, 8, 256, 240);
  expect_row(report, "public_only", 11, 11, 0, 352);
  json_decref(report);
  sample_free(&s);
}

/* ---- devices ------------------------------------------------------------------------------------ */

Test(report, a_device_that_is_left_out_is_named) {
  sample s;
  sample_make(&s, NULL);
  json_t *report = write_sample(&s);
  cr_expect_eq(json_array_size(test_json_at(report, "left_out")), 1);
  expect_whole(report, "left_out.0.device", 2);
  expect_text(report, "left_out.0.reason", "left out: failed to upload");
  expect_text(report, "communication.per_device.2.state", "left out: failed to upload");
  expect_text(report, "communication.per_device.0.state", "uploaded");
  expect_whole(report, "communication.per_device.0.up_bytes", LLAMA_PARAMS * 4 + 32);
  expect_whole(report, "communication.per_device.2.up_bytes", 0);
  expect_whole(report, "communication.down_bytes", 0);
  cr_expect_eq(json_integer_value(test_json_at(report, "communication.up_bytes")),
               json_integer_value(test_json_at(report, "communication.formula_bytes")));
  expect_whole(report, "device_memory.1.peak_bytes", 2000);
  expect_text(report, "device_memory.1.family", "gpt2");
  expect_whole(report, "device_memory.2.peak_bytes", 0);
  json_decref(report);
  sample_free(&s);
}

Test(report, bytes_that_differ_from_the_formula_are_a_fault) {
  const ef_method *method = ef_method_find("deepfusion");
  sample s;
  sample_make(&s, NULL);
  ef_ledger_count(&s.outcome.ledger, 0, EF_UP, EF_MSG_WEIGHTS, 1);
  cr_expect_eq(ef_report_write(&s.run, method, &s.outcome), EF_FAULT);
  char *page = read_page(&s);
  cr_expect(strstr(page, "THEY DIFFER"));
  ef_free(page);
  sample_free(&s);
}

/* ---- fusion, numbers that are none -------------------------------------------------------------- */

Test(report, what_is_no_number_is_null) {
  sample s;
  sample_make(&s, NULL);
  json_t *report = write_sample(&s);
  expect_null(report, "nmi");
  expect_null(report, "bases.1.loss");
  expect_real(report, "purity", 1.0);
  expect_null(report, "plan_error.memory.planned_bytes"); /* no plan in the log */
  expect_null(report, "plan_error.time.relative");
  expect_text(report, "clusters.0.family", "llama");
  expect_text(report, "clusters.0.domain", "fin");
  expect_whole(report, "clusters.1.members.0", 1);
  cr_expect(json_is_true(test_json_at(report, "clusters.1.fell_back")) &&
            json_is_false(test_json_at(report, "bases.1.taught")));
  expect_real(report, "bases.0.start_loss", 3.5);
  expect_whole(report, "bases.1.kept", 1);
  json_decref(report);
  sample_free(&s);
}

Test(report, missing_controls_are_null) {
  sample s;
  sample_make(&s, NULL);
  s.outcome.public_only.steps = 0;
  memset(s.outcome.devices.validation, 0, 6 * sizeof *s.outcome.devices.validation);
  json_t *report = write_sample(&s);
  expect_null(report, "baselines.public_only");
  expect_null(report, "baselines.best_device");
  expect_null(report, "verdict.minus_public_only");
  json_decref(report);
  sample_free(&s);
}

/* ---- phases ------------------------------------------------------------------------------------- */

Test(report, phases_are_summed_over_starts) {
  sample s;
  sample_make(&s, NULL);
  write_log(
      &s,
      "{\"event\": \"plan\", \"ranks\": 1, \"peak_bytes\": 1000}\n"
      "{\"event\": \"phase\", \"name\": \"local training\", \"seconds\": 2, \"tokens\": 100, \"flops\": 3e9, "
      "\"steps\": 4, \"compute_seconds\": 1.5, \"slowest_seconds\": 2.0, \"exchange_seconds\": 0.25, "
      "\"wait_seconds\": 0.125, \"exchange_bytes\": 1000}\n"
      "{\"event\": \"phase\", \"name\": \"merge\", \"seconds\": 0, \"tokens\": 0, \"flops\": 0, \"steps\": "
      "0}\n"
      "{\"event\": \"phase\", \"name\": \"local tr\n" /* killed while it wrote */
      "{\"event\": \"plan\", \"ranks\": 1, \"peak_bytes\": 123456}\n"
      "{\"event\": \"phase\", \"name\": \"local training\", \"seconds\": 3, \"tokens\": 150, \"flops\": 2e9, "
      "\"steps\": 4, \"compute_seconds\": 2.5, \"slowest_seconds\": 3.0, \"exchange_seconds\": 0.25, "
      "\"wait_seconds\": 0.25, \"exchange_bytes\": 24}\n");
  json_t *report = write_sample(&s);
  cr_expect_eq(json_array_size(test_json_at(report, "phases")), 2);
  expect_text(report, "phases.0.name", "local training");
  expect_real(report, "phases.0.seconds", 5.0);
  expect_whole(report, "phases.0.tokens", 250);
  expect_real(report, "phases.0.tokens_per_s", 50.0);
  expect_real(report, "phases.0.gflops", 1.0);
  expect_real(report, "phases.0.share_of_peak",
              1.0 / json_number_value(test_json_at(report, "sgemm_peak_gflops")));
  expect_real(report, "phases.0.compute_seconds", 4.0);
  expect_real(report, "phases.0.exchange_seconds", 0.5);
  expect_real(report, "phases.0.wait_seconds", 0.375);
  expect_whole(report, "phases.0.exchange_bytes", 1024);
  expect_real(report, "phases.0.imbalance", 1.25);
  expect_null(report, "phases.1.tokens_per_s");
  expect_whole(report, "plan_error.memory.planned_bytes", 123456);
  json_decref(report);
  sample_free(&s);
}

/* Half of the planned work was done, in two starts: half of 8 seconds were to be expected of the training,
 * all 2 of what has no work; what did not run is not compared. The plan of a second start has no phases. */
Test(report, plan_of_time_is_that_of_the_work_done) {
  sample s;
  sample_make(&s, NULL);
  write_log(&s,
            "{\"event\": \"plan\", \"peak_bytes\": 1000, \"phases\": ["
            "{\"name\": \"rounds\", \"events\": \"round *\", \"flops\": 4e9, \"seconds\": 8}, "
            "{\"name\": \"logits\", \"events\": \"server's|devices' logits\", \"flops\": 0, \"seconds\": 2}, "
            "{\"name\": \"tuning\", \"events\": \"tuning\", \"flops\": 1e9, \"seconds\": 100}]}\n"
            "{\"event\": \"phase\", \"name\": \"round 1\", \"seconds\": 2, \"flops\": 1.5e9}\n"
            "{\"event\": \"plan\", \"peak_bytes\": 1000, \"phases\": []}\n"
            "{\"event\": \"phase\", \"name\": \"round 2\", \"seconds\": 1, \"flops\": 0.5e9}\n"
            "{\"event\": \"phase\", \"name\": \"devices' logits\", \"seconds\": 1, \"flops\": 1}\n"
            "{\"event\": \"phase\", \"name\": \"devices\", \"seconds\": 50, \"flops\": 1}\n");
  json_t *report = write_sample(&s);
  expect_real(report, "plan_error.time.planned_seconds", 6.0);
  expect_real(report, "plan_error.time.measured_seconds", 4.0);
  expect_real(report, "plan_error.time.relative", 0.5);
  cr_expect_eq(json_array_size(test_json_at(report, "plan_error.time.phases")), 2);
  expect_text(report, "plan_error.time.phases.0.name", "rounds");
  expect_real(report, "plan_error.time.phases.0.planned_seconds", 4.0);
  expect_real(report, "plan_error.time.phases.0.measured_seconds", 3.0);
  char *page = read_page(&s);
  cr_expect(strstr(page, "planned for the work that was done 6.0 s (off by +50.0 %)"), "%s", page);
  ef_free(page);
  json_decref(report);
  sample_free(&s);
}

/* 50 000 000 planned, 40 000 000 measured on rank 2: a quarter too much. */
Test(report, plan_error_is_that_of_the_largest_rank) {
  sample s;
  sample_make(&s, NULL);
  write_log(&s, "{\"event\": \"plan\", \"ranks\": 3, \"peak_bytes\": 50000000}\n");
  s.outcome.peak_bytes = 40000000.0;
  s.outcome.peak_rank = 2;
  json_t *report = write_sample(&s);
  expect_whole(report, "plan_error.memory.planned_bytes", 50000000);
  expect_whole(report, "plan_error.memory.measured_bytes", 40000000);
  expect_whole(report, "plan_error.memory.rank", 2);
  expect_real(report, "plan_error.memory.relative", 0.25);
  json_decref(report);
  sample_free(&s);
}

/* Events of both places over two starts, and one of an earlier version that does not tell. */
Test(report, effort_is_that_of_server_and_devices) {
  static const char known[] =
      "{\"event\": \"phase\", \"name\": \"family starts\", \"place\": \"server\", \"seconds\": 2, "
      "\"tokens\": "
      "100, \"flops\": 3e9, \"steps\": 4}\n"
      "{\"event\": \"phase\", \"name\": \"local training\", \"place\": \"devices\", \"seconds\": 3, "
      "\"tokens\": "
      "50, \"flops\": 5e9, \"steps\": 7}\n"
      "{\"event\": \"phase\", \"name\": \"local training\", \"place\": \"devices\", \"seconds\": 0.5, "
      "\"tokens\": 1950, \"flops\": 25e7, \"steps\": 2}\n"
      "{\"event\": \"phase\", \"name\": \"tuning\", \"place\": \"server\", \"seconds\": 8, \"tokens\": 1000, "
      "\"flops\": 4e9, \"steps\": 16}\n";
  static const char old[] =
      "{\"event\": \"phase\", \"name\": \"merge\", \"seconds\": 1, \"tokens\": 0, \"flops\": "
      "0, \"steps\": 0}\n";
  sample s;
  sample_make(&s, NULL);
  write_log(&s, known);
  json_t *report = write_sample(&s);
  expect_real(report, "server_flops", 7e9);
  expect_real(report, "server_seconds", 10.0);
  expect_real(report, "device_flops", 5.25e9);
  expect_real(report, "device_seconds", 3.5);
  expect_text(report, "phases.1.place", "devices");
  json_decref(report);
  char *page = read_page(&s);
  cr_expect(strstr(page, "| the server  | 7.000 |    10.0 |              20 |  1,100 |"), "%s",
            strstr(page, "## Effort"));
  cr_expect(strstr(page, "| the devices | 5.250 |     3.5 |               9 |  2,000 |"));
  ef_free(page);
  char both[sizeof known + sizeof old];
  snprintf(both, sizeof both, "%s%s", known, old);
  write_log(&s, both);
  report = write_sample(&s);
  expect_null(report, "server_flops");
  expect_null(report, "device_seconds");
  expect_null(report, "phases.3.place");
  json_decref(report);
  sample_free(&s);
}

/* Device 0 is a llama of 1000 bytes, device 1 a gpt2 of 2000; device 2, a llama, did not train. */
Test(report, memory_is_the_largest_of_each_family) {
  sample s;
  sample_make(&s, NULL);
  json_t *report = write_sample(&s);
  cr_expect_eq(json_object_size(test_json_at(report, "device_memory_by_family")), 2);
  expect_whole(report, "device_memory_by_family.llama", 1000);
  expect_whole(report, "device_memory_by_family.gpt2", 2000);
  json_decref(report);
  s.outcome.devices.records[2].peak_bytes = 1500;
  report = write_sample(&s);
  expect_whole(report, "device_memory_by_family.llama", 1500);
  json_decref(report);
  sample_free(&s);
}

/* ---- verdict ------------------------------------------------------------------------------------ */

Test(verdict, better) {
  ef_verdict v = ef_report_verdict("deepfusion", 3.0, 3.25, 3.5, 7);
  cr_expect_float_eq(v.public_only, -0.25, 1e-12);
  cr_expect_float_eq(v.best_device, -0.5, 1e-12);
  cr_expect_str_eq(v.sentence,
                   "The devices' knowledge was worth 0.2500 nat per token: deepfusion ends at 3.0000 nat "
                   "per token, 0.2500 better than public text alone (3.2500); the best single device (7) is "
                   "0.5000 worse than deepfusion (3.5000).");
}

Test(verdict, worse) {
  ef_verdict v = ef_report_verdict("deepfusion", 3.5, 3.25, 3.0, 1);
  cr_expect_float_eq(v.public_only, 0.25, 1e-12);
  cr_expect_str_eq(v.sentence,
                   "The devices' knowledge was worth nothing: deepfusion ends at 3.5000 nat per token, "
                   "0.2500 worse than public text alone (3.2500); the best single device (1) is 0.5000 "
                   "better than deepfusion (3.0000).");
}

Test(verdict, equal) {
  ef_verdict v = ef_report_verdict("deepfusion", 3.0, 3.002, 3.0, 1);
  cr_expect(strstr(v.sentence, "worth nothing that can be told from chance"), "%s", v.sentence);
  cr_expect(strstr(v.sentence, "is as good"), "%s", v.sentence);
}

Test(verdict, unknown) {
  ef_verdict v = ef_report_verdict("deepfusion", 3.0, NAN, NAN, 0);
  cr_expect(isnan(v.public_only) && isnan(v.best_device));
  cr_expect(strstr(v.sentence, "is not known") && strstr(v.sentence, "were not measured"), "%s", v.sentence);
}

/* ---- the page and the series -------------------------------------------------------------------- */

Test(report, the_page_begins_with_the_verdict_and_names_no_folder) {
  sample s;
  sample_make(&s, NULL);
  json_decref(write_sample(&s));
  char *page = read_page(&s);
  const char *verdict = strstr(page, "0.3125 better than public text alone");
  cr_expect(verdict && verdict < strstr(page, "##"));
  cr_expect(strstr(page, "left out: failed to upload") && strstr(page, "by the closed formula: equal"));
  cr_expect(strstr(page, "longest base + tuning") &&
            strstr(page, "edgefuse train deck.yaml --method deepfusion"));
  cr_expect_not(strstr(page, s.folder));
  const char *none = strstr(page, "nan");
  cr_expect_not(none, "%.40s", none);
  ef_free(page);
  sample_free(&s);
}

/* A part as a trained device leaves it: four steps, looked at twice, no teacher. */
static void write_part(const sample *s) {
  const float history[4][EF_HISTORY_COLUMNS] = {{5.0f, NAN, 1.5f, NAN, NAN},
                                                {4.0f, NAN, 1.0f, 4.5f, NAN},
                                                {3.5f, NAN, 1.0f, NAN, NAN},
                                                {3.25f, NAN, 0.5f, 4.0f, NAN}};
  char path[4096];
  snprintf(path, sizeof path, "%s/parts", s->folder);
  cr_assert_eq(ef_folder_make(path), EF_OK);
  snprintf(path, sizeof path, "%s/parts/device_00000.h5", s->folder);
  ef_h5 *file;
  ef_h5_header header = {.kind = "part", .deck = "", .seed = 1, .ranks = 1};
  cr_assert_eq(ef_h5_create(path, MPI_COMM_NULL, &header, &file), EF_OK);
  ef_h5_array array = {.path = "/series/history",
                       .type = EF_H5_F32,
                       .rank = 2,
                       .shape = {4, EF_HISTORY_COLUMNS},
                       .description = "losses",
                       .units = "nat/token",
                       .dims = "step,loss"};
  cr_assert_eq(ef_h5_write(file, &array, history), EF_OK);
  cr_assert_eq(ef_h5_commit(file), EF_OK);
}

static void expect_attribute(ef_h5 *file, const char *object, const char *name, const char *wanted) {
  char *text = NULL;
  cr_assert_eq(ef_h5_get_text(file, object, name, &text), EF_OK, "%s", ef_message());
  cr_expect_str_eq(text, wanted, "%s of %s", name, object);
  ef_free(text);
}

static void read_column(ef_h5 *file, const char *path, ef_h5_type type, void *two) {
  ef_h5_array array = {.path = path, .type = type, .rank = 1, .shape = {2}};
  cr_assert_eq(ef_h5_read(file, &array, two), EF_OK, "%s", ef_message());
}

static ef_h5 *open_series(const sample *s) {
  char path[4096];
  ef_h5 *file = NULL;
  snprintf(path, sizeof path, "%s/run.h5", s->folder);
  cr_assert_eq(ef_h5_open(path, "series", &file), EF_OK, "%s", ef_message());
  return file;
}

/* The sample's documents 6 and 7 are all of the validation text of their domains. */
Test(report, documents_are_nxdata_or_absent) {
  sample s;
  sample_make(&s, NULL);
  json_decref(write_sample(&s));
  ef_h5 *file = open_series(&s);
  double nll[2];
  int64_t tokens[2], hits[2], document[2], domain[2];
  read_column(file, "/validation/nll", EF_H5_F64, nll);
  read_column(file, "/validation/tokens", EF_H5_I64, tokens);
  read_column(file, "/validation/hits", EF_H5_I64, hits);
  read_column(file, "/validation/document", EF_H5_I64, document);
  read_column(file, "/validation/domain", EF_H5_I64, domain);
  cr_expect(nll[0] == 200.0 && nll[1] == 900.0 && tokens[0] == 100 && tokens[1] == 300);
  cr_expect(hits[0] == 50 && hits[1] == 60 && document[0] == 6 && document[1] == 7);
  cr_expect(domain[0] == 0 && domain[1] == 1);
  expect_attribute(file, "/validation", "NX_class", "NXdata");
  expect_attribute(file, "/validation", "signal", "nll");
  expect_attribute(file, "/validation", "axes", "document");
  expect_attribute(file, "/validation", "domains", "med\nfin");
  ef_h5_close(file);
  s.outcome.tuned.documents = (ef_documents){0};
  json_decref(write_sample(&s));
  file = open_series(&s);
  cr_expect_not(ef_h5_has(file, "/validation"));
  ef_h5_close(file);
  sample_free(&s);
}

Test(report, series_are_nxdata) {
  sample s;
  sample_make(&s, NULL);
  write_part(&s);
  json_decref(write_sample(&s));
  char path[4096];
  ef_h5 *file = NULL;
  snprintf(path, sizeof path, "%s/run.h5", s.folder);
  cr_assert_eq(ef_h5_open(path, "series", &file), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_verify(file), EF_OK, "%s", ef_message());
  expect_attribute(file, "/", "default", "entry");
  expect_attribute(file, "/entry", "default", "/clients");
  expect_attribute(file, "/clients", "signal", "up_bytes");
  expect_attribute(file, "/units/device_00000", "NX_class", "NXdata");
  expect_attribute(file, "/units/device_00000", "axes", "step");
  expect_attribute(file, "/units/device_00000", "auxiliary_signals", "fm");
  cr_expect_not(ef_h5_has(file, "/units/device_00000/kl"));
  float ce[4], looks[4];
  int64_t traffic[3], tokens[2];
  ef_h5_array array = {.path = "/units/device_00000/ce", .type = EF_H5_F32, .rank = 1, .shape = {4}};
  cr_assert_eq(ef_h5_read(file, &array, ce), EF_OK, "%s", ef_message());
  array.path = "/units/device_00000/holdout";
  cr_assert_eq(ef_h5_read(file, &array, looks), EF_OK, "%s", ef_message());
  cr_expect(ce[3] == 3.25f && isnan(looks[2]) && looks[3] == 4.0f);
  array = (ef_h5_array){.path = "/clients/up_bytes", .type = EF_H5_I64, .rank = 1, .shape = {3}};
  cr_assert_eq(ef_h5_read(file, &array, traffic), EF_OK, "%s", ef_message());
  cr_expect(traffic[0] == LLAMA_PARAMS * 4 + 32 && traffic[2] == 0);
  array = (ef_h5_array){.path = "/expert_load/tokens", .type = EF_H5_I64, .rank = 2, .shape = {1, 2}};
  cr_assert_eq(ef_h5_read(file, &array, tokens), EF_OK, "%s", ef_message());
  cr_expect(tokens[0] == 7 && tokens[1] == 9);
  int64_t ledger[3][5];
  array = (ef_h5_array){.path = "/ledger/up_bytes", .type = EF_H5_I64, .rank = 2, .shape = {3, 5}};
  cr_assert_eq(ef_h5_read(file, &array, ledger), EF_OK, "%s", ef_message());
  cr_expect(ledger[0][0] == LLAMA_PARAMS * 4 && ledger[0][1] == 32 && ledger[0][2] == 0 && ledger[2][0] == 0);
  expect_attribute(file, "/ledger", "classes", "weights,embedding,logits,text,loss");
  expect_attribute(file, "/", "method", "deepfusion");
  double cka[2], mass;
  array = (ef_h5_array){.path = "/cka/base_00000/before", .type = EF_H5_F64, .rank = 2, .shape = {1, 1}};
  cr_assert_eq(ef_h5_read(file, &array, &cka[0]), EF_OK, "%s", ef_message());
  array.path = "/cka/base_00000/after";
  cr_assert_eq(ef_h5_read(file, &array, &cka[1]), EF_OK, "%s", ef_message());
  array.path = "/attention_mass/base_00000/after";
  cr_assert_eq(ef_h5_read(file, &array, &mass), EF_OK, "%s", ef_message());
  cr_expect(cka[0] == 0.25 && cka[1] == 0.5 && mass == 1.0);
  expect_attribute(file, "/cka/base_00000", "NX_class", "NXdata");
  cr_expect_not(ef_h5_has(file, "/cka/base_00001"), "no teacher, no views");
  ef_h5_close(file);
  sample_free(&s);
}
