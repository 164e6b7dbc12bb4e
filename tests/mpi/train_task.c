/* Scores of a task have the bits of one rank on any number of ranks, with and without experts. */
#include "base/file.h"
#include "base/memory.h"
#include "step/shard.h"
#include "support/mpi_test.h"
#include "support/support.h"
#include "train/task.h"
#include <stdio.h>
#include <string.h>

enum { POSITIONS = 48, B = 3 };

static ef_par par;

static ef_tokenizer *tokenizer_of(void) {
  static char text[8192];
  size_t n = 0;
  for (unsigned i = 0; n + 64 < sizeof text; i++) {
    n += (size_t)snprintf(text + n, sizeof text - n, "boats %u sail far; Answer: wind, and a sea. ", i % 83);
  }
  const char *texts[] = {text};
  ef_tokenizer *t;
  cr_assert(mpi_all(ef_tokenizer_train(texts, &n, 1, 300, &t) == EF_OK), "%s", ef_message());
  return t;
}

static ef_task task_of(int items) {
  char folder[256], path[512], data[4096];
  size_t n = 0;
  for (int i = 0; i < items; i++) {
    n += (size_t)snprintf(data + n, sizeof data - n,
                          "{\"question\":\"Where do %d boats sail?\",\"choices\":[\"far\",\"to sea %d\"%s],"
                          "\"answer\":1}\n",
                          i * i, i, i % 3 ? ",\"with the wind\"" : "");
  }
  ef_task task = {.kind = EF_TASK_MCQ};
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/t.jsonl", folder);
  bool ok = ef_file_write(path, data, n) == EF_OK && ef_task_read(&task, path) == EF_OK;
  test_remove_folder(folder);
  cr_assert(mpi_all(ok), "%s", ef_message());
  return task;
}

static ef_task_scores scores_over(ef_par *ranks, const ef_dims *dims, const ef_tokenizer *t,
                                  const ef_task *task, size_t T) {
  ef_model shard;
  ef_task_scores scores;
  cr_assert(mpi_all(ef_shard_create(ranks, dims, &shard) == EF_OK), "%s", ef_message());
  ef_model_init(&shard, 3, 0);
  ef_status status = ef_task_score(ranks, ef_kernels_find("blas"), &shard, t, task, B, T, &scores);
  cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
  ef_model_free(&shard);
  return scores;
}

/* T inputs: with few of them prompts are cut and candidates scored in parts. */
static void check(ef_family family, size_t experts, int items, size_t T) {
  ef_tokenizer *t = tokenizer_of();
  ef_task task = task_of(items);
  ef_shape shape = {.V = ef_tokenizer_size(t), .D = 16, .L = 2, .H = 2, .F = 20, .max_positions = POSITIONS};
  if (experts) shape.E = experts, shape.K = 2, shape.Fe = 6, shape.Fs = 8;
  ef_dims dims;
  ef_par alone = ef_par_alone();
  cr_assert(mpi_all(ef_dims_make(family, &shape, &dims) == EF_OK), "%s", ef_message());
  ef_task_scores here = scores_over(&par, &dims, t, &task, T), one = scores_over(&alone, &dims, t, &task, T);

  cr_assert(mpi_all(here.count == one.count && here.count >= 2 * (size_t)items));
  cr_assert(mpi_all(memcmp(here.quality, one.quality, here.count * sizeof *here.quality) == 0));
  cr_assert(mpi_all(memcmp(here.cut, one.cut, (size_t)items) == 0));
  ef_task_scores_free(&here);
  ef_task_scores_free(&one);
  ef_task_free(&task);
  ef_tokenizer_free(t);
}

static void start(void) { cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK)); }

MPI_TEST(train_task, experts) {
  start();
  size_t blocks = ef_memory_blocks();
  check(EF_QWEN2_MOE, 5, 13, POSITIONS);
  check(EF_QWEN2_MOE, 5, 7, 5);
  check(EF_QWEN2_MOE, 5, 1, POSITIONS); /* one batch: the other ranks only serve */
  cr_assert(mpi_all(ef_memory_blocks() == blocks));
  ef_par_finish(&par);
}

MPI_TEST(train_task, dense) {
  start();
  check(EF_LLAMA, 0, 13, POSITIONS);
  ef_par_finish(&par);
}
