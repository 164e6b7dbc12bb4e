/* tune.average: what a training keeps is the running average of its parameters, step by step that of the
 * definition. */
#include "test_cli.h"

#include "train/model_file.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[PATH / 2];
static void set_up(void) { test_make_folder(folder, sizeof folder); }
static void tear_down(void) { test_remove_folder(folder); }
TestSuite(train_average, .init = set_up, .fini = tear_down);

/* The sample as documents of a line each. */
static void write_text(const char *path) {
  enum { DOCUMENT = 1000 };
  FILE *file = fopen(path, "w");
  cr_assert_not_null(file);
  const char *text = sample_text();
  for (size_t at = 0; at + DOCUMENT <= strlen(text); at += DOCUMENT) {
    fprintf(file, "{\"text\": \"%.*s\"}\n", (int)DOCUMENT, text + at);
  }
  fclose(file);
}

/* A deck whose rate does not depend on the number of steps, and without a holdout: the last step is kept. */
static void write_deck(const char *path) {
  FILE *file = fopen(path, "w");
  cr_assert_not_null(file);
  fputs("text: {files: [text.jsonl], vocabulary: 300, public_share: 0.5, public_holdout: 0}\n"
        "federation: {devices: 1, context: 16}\n"
        "fusion: {clusters: 1}\n"
        "global: {width: 16, layers: 2, heads: 2, experts: 2, top_k: 1, expert_width: 8, shared_width: 8,\n"
        "         context: 16, pretrain_steps: 1}\n"
        "tune: {batch: 2, micro_batch: 1, lr: 1.0e-2, min_lr: 1, warmup: 0}\n"
        "eval: {batch: 2, windows: 1}\n"
        "market: {clear: false}\n",
        file);
  fclose(file);
}

/* The global model behind `steps` steps on the public text. */
static void train(const char *steps, const char *average, ef_model *model) {
  char out[PATH], file[2 * PATH], set_steps[64], set_average[64];
  snprintf(out, sizeof out, "%s/%s_%s", folder, steps, average);
  snprintf(set_steps, sizeof set_steps, "control.public_steps=%s", steps);
  snprintf(set_average, sizeof set_average, "tune.average=%s", average);
  cr_assert_eq(RUN_QUIET("train", in(folder, "deck.yaml"), "--out", out, "-q", "--method", "public_only",
                         "--set", set_steps, "--set", set_average),
               EF_OK, "%s", ef_message());
  snprintf(file, sizeof file, "%s/checkpoint/step_%08d.h5", out, 1 + atoi(steps)); /* one of the start */
  ef_h5 *h5 = NULL;
  ef_par alone = ef_par_alone();
  cr_assert_eq(ef_h5_open(file, NULL, &h5), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_model_file_shard(h5, &alone, model), EF_OK, "%s", ef_message());
  ef_h5_close(h5);
}

/* average(s) = 0.75 average(s-1) + 0.25 parameters(s), from other trainings' files. */
static void check_step(const ef_model *before, const ef_model *parameters, const ef_model *average) {
  size_t apart = 0;
  for (size_t i = 0; i < average->table.floats; i++) {
    double wanted = 0.75 * before->params[i] + 0.25 * parameters->params[i];
    cr_assert(fabs(average->params[i] - wanted) <= 1e-6 * (fabs(wanted) + 1e-3), "%zu: %.9g, not %.9g", i,
              average->params[i], wanted);
    apart += average->params[i] != parameters->params[i];
  }
  cr_assert(apart > average->table.floats / 2, "training moves the parameters");
}

Test(train_average, follows_its_definition) {
  ef_model plain[4] = {0}, average[4] = {0};
  write_text(in(folder, "text.jsonl"));
  write_deck(in(folder, "deck.yaml"));
  for (int steps = 1; steps <= 3; steps++) {
    char number[16];
    snprintf(number, sizeof number, "%d", steps);
    train(number, "0", &plain[steps]);
    train(number, "0.75", &average[steps]);
  }
  check_step(&average[1], &plain[2], &average[2]);
  check_step(&average[2], &plain[3], &average[3]);
  for (int i = 1; i <= 3; i++) {
    ef_model_free(&plain[i]);
    ef_model_free(&average[i]);
  }
}
