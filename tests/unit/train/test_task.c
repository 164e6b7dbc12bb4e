/* Scores of tasks: against log-probabilities of single sequences recomputed here in double, and results whose
 * values are known. */
#include "train/task.h"

#include "base/file.h"
#include "base/memory.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { POSITIONS = 96, V_MAX = 320, ITEMS = 11 };

static ef_tokenizer *tokenizer_of(void) {
  static char text[8192];
  size_t n = 0;
  for (unsigned i = 0; n + 64 < sizeof text; i++) {
    n += (size_t)snprintf(text + n, sizeof text - n, "bees %u make honey; Answer: wax, and a hive. ", i % 89);
  }
  const char *texts[] = {text};
  ef_tokenizer *t;
  cr_assert_eq(ef_tokenizer_train(texts, &n, 1, 300, &t), EF_OK, "%s", ef_message());
  return t;
}

static ef_task read_text(ef_task_kind kind, const char *data, size_t bytes) {
  char folder[256], path[512];
  ef_task task = {.kind = kind};
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/t.jsonl", folder);
  cr_assert_eq(ef_file_write(path, data, bytes), EF_OK);
  cr_assert_eq(ef_task_read(&task, path), EF_OK, "%s", ef_message());
  test_remove_folder(folder);
  return task;
}

/* Items of two domains with choices of different number and length. */
static ef_task choices(void) {
  char data[4096];
  size_t n = 0;
  for (int i = 0; i < ITEMS; i++) {
    n += (size_t)snprintf(
        data + n, sizeof data - n,
        "{\"question\":\"What do %d bees make?\",\"choices\":[\"wax\",\"honey and wax %d\"%s],"
        "\"answer\":%d,\"domain\":\"%s\"%s}\n",
        i * i, i, i % 2 ? ",\"a hive\"" : "", i % 2 ? i % 3 : i / 2 % 2, i % 3 ? "hive" : "bee",
        i % 4 ? "" : ",\"context\":\"A hive of bees.\"");
  }
  return read_text(EF_TASK_MCQ, data, n);
}

static ef_model model_of(ef_family family, size_t V, float scale) {
  ef_shape shape = {.V = V, .D = 16, .L = 2, .H = 2, .F = 20, .max_positions = POSITIONS};
  if (family == EF_QWEN2_MOE) shape.E = 4, shape.K = 2, shape.Fe = 6, shape.Fs = 8;
  ef_dims dims;
  ef_model model;
  cr_assert_eq(ef_dims_make(family, &shape, &dims), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_model_create(&dims, &model), EF_OK, "%s", ef_message());
  test_fill(model.params, scale > 0.0f ? model.table.floats : 0, scale, (unsigned)family);
  return model;
}

static ef_task_scores scores_of(const ef_model *model, const ef_tokenizer *t, const ef_task *task, size_t B,
                                size_t T) {
  ef_par alone = ef_par_alone();
  ef_task_scores scores;
  cr_assert_eq(ef_task_score(&alone, ef_kernels_find("ref"), model, t, task, B, T, &scores), EF_OK, "%s",
               ef_message());
  return scores;
}

/* The first token that token i of a window sees: 0, or that of the part that scores it. */
static size_t seen_from(size_t count, size_t i, size_t T) {
  size_t end = T + 1;
  while (end <= i) end += T > 1 ? T / 2 : 1;
  if (end > count) end = count;
  return end > T + 1 ? end - T - 1 : 0;
}

/* Nats and hits of one window, each token predicted from its own sequence. */
static ef_quality by_hand(const ef_model *model, const ef_task_window *w, size_t T) {
  ef_quality q = {.bytes = (int64_t)w->bytes};
  ef_pass *pass;
  float logits[V_MAX];
  size_t V = model->dims.V;
  cr_assert_eq(ef_pass_create(&model->dims, ef_kernels_find("ref"), EF_PASS_EVAL, 1, T, false, NULL, &pass),
               EF_OK, "%s", ef_message());
  for (size_t i = 1; i < w->count; i++) {
    if (!w->scored[i]) continue;
    double sum = 0.0;
    size_t best = 0, from = seen_from(w->count, i, T);
    cr_assert_eq(ef_forward(pass, model, w->ids + from, 1, i - from), EF_OK);
    ef_logits(pass, model, i - from - 1, 1, logits);
    for (size_t v = 0; v < V; v++) {
      sum += exp((double)logits[v]);
      if (logits[v] > logits[best]) best = v;
    }
    q.nll += log(sum) - (double)logits[w->ids[i]];
    q.hits += best == (size_t)w->ids[i];
    q.tokens++;
  }
  ef_pass_free(pass);
  return q;
}

static void expect_scores(const ef_model *model, const ef_tokenizer *t, const ef_task *task, size_t T,
                          const ef_task_scores *scores) {
  const ef_quality *q = scores->quality;
  for (size_t i = 0; i < task->count; i++) {
    ef_task_window w[4];
    size_t n = task->items[i].candidate_count, cut;
    cr_assert_eq(ef_task_windows(t, &task->items[i], T + 1, w, &cut), EF_OK, "%s", ef_message());
    bool too_long = cut > 0;
    for (size_t c = 0; c < n; c++) too_long |= w[c].count > T + 1;
    cr_assert_eq(scores->cut[i], too_long);
    for (size_t c = 0; c < n; c++, q++) {
      ef_quality wanted = by_hand(model, &w[c], T);
      cr_assert_float_eq(q->nll, wanted.nll, 1e-5 * wanted.nll, "item %zu choice %zu: %.9g %.9g", i, c,
                         q->nll, wanted.nll);
      cr_assert(q->tokens == wanted.tokens && q->hits == wanted.hits && q->bytes == wanted.bytes);
    }
    ef_task_windows_free(w, n);
  }
  cr_assert_eq((size_t)(q - scores->quality), scores->count);
}

Test(task, scores_are_those_of_single_sequences) {
  static const ef_family families[] = {EF_GPT2, EF_LLAMA, EF_QWEN2_MOE};
  ef_tokenizer *t = tokenizer_of();
  ef_task task = choices();
  for (size_t f = 0; f < 3; f++) {
    ef_model model = model_of(families[f], ef_tokenizer_size(t), 0.5f);
    for (size_t B = 1; B <= 7; B += 3) {
      size_t T = B == 4 ? 40 : POSITIONS - 1; /* 40: prompts are cut */
      ef_task_scores scores = scores_of(&model, t, &task, B, T);
      expect_scores(&model, t, &task, T, &scores);
      cr_assert_eq(scores.cut[0], B == 4); /* the one with the longest prompt */
      ef_task_scores_free(&scores);
    }
    ef_model_free(&model);
  }
  ef_task_free(&task);
  ef_tokenizer_free(t);
  cr_assert_eq(ef_memory_blocks(), 0u);
}

Test(task, long_candidates_are_scored_in_parts) {
  static const char items[] =
      "{\"question\":\"What?\",\"choices\":[\"zebras quickly jump over xylophones\",\"wax\","
      "\"unknown words, spelled out letter by letter\"],\"answer\":0}\n";
  ef_tokenizer *t = tokenizer_of();
  ef_task task = read_text(EF_TASK_MCQ, items, sizeof items - 1);
  ef_model model = model_of(EF_GPT2, ef_tokenizer_size(t), 0.5f);
  for (size_t T = 1; T < 24; T += T < 4 ? 1 : 3) {
    ef_task_scores scores = scores_of(&model, t, &task, 3, T);
    cr_assert(scores.cut[0]);
    expect_scores(&model, t, &task, T, &scores);
    ef_task_scores_free(&scores);
  }
  ef_task_free(&task);
  ef_model_free(&model);
  ef_tokenizer_free(t);
}

/* Every token costs log V, so plain likelihood takes the choice with the fewest tokens. */
Test(task, a_model_of_zeros_counts_tokens) {
  static const char items[] =
      "{\"question\":\"q\",\"choices\":[\"bees make honey\",\"wax\"],\"answer\":1}\n"
      "{\"question\":\"q\",\"choices\":[\"wax\",\"bees make honey\"],\"answer\":1}\n"
      "{\"question\":\"q\",\"choices\":[\"wax\",\"wax\",\"wax\",\"wax\"],\"answer\":0}\n";
  ef_tokenizer *t = tokenizer_of();
  ef_task task = read_text(EF_TASK_MCQ, items, sizeof items - 1);
  ef_model model = model_of(EF_LLAMA, ef_tokenizer_size(t), 0.0f);
  ef_task_scores scores = scores_of(&model, t, &task, 2, POSITIONS - 1);
  ef_task_result r;
  ef_task_sum(&task, &scores, &r);
  for (size_t c = 0; c < scores.count; c++) {
    double wanted = (double)scores.quality[c].tokens * log((double)model.dims.V);
    cr_assert_float_eq(scores.quality[c].nll, wanted, 1e-5 * wanted);
  }
  cr_assert(scores.quality[0].tokens > scores.quality[1].tokens);
  cr_assert(r.items == 3 && r.cut == 0 && r.plain == 2);
  cr_assert_float_eq(r.chance, 0.5 + 0.5 + 0.25, 1e-12);
  ef_task_scores_free(&scores);
  ef_task_free(&task);
  ef_model_free(&model);
  ef_tokenizer_free(t);
}

/* Three ways to be the best: nats 4 over 1 token of 2 bytes, 6 over 3 of 4, 7 over 2 of 8. */
Test(task, each_norm_has_its_own_winner) {
  static const char items[] =
      "{\"question\":\"q\",\"choices\":[\"a\",\"b\",\"c\"],\"answer\":0,\"domain\":\"x\"}\n"
      "{\"question\":\"q\",\"choices\":[\"a\",\"b\",\"c\"],\"answer\":1,\"domain\":\"y\"}\n"
      "{\"question\":\"q\",\"choices\":[\"a\",\"b\",\"c\"],\"answer\":2,\"domain\":\"x\"}\n";
  ef_task task = read_text(EF_TASK_MCQ, items, sizeof items - 1);
  ef_quality q[9];
  for (size_t i = 0; i < 9; i += 3) {
    q[i] = (ef_quality){4.0, 1, 0, 2};
    q[i + 1] = (ef_quality){6.0, 3, 1, 4};
    q[i + 2] = (ef_quality){7.0, 2, 2, 8};
  }
  bool cut[3] = {false, true, true};
  ef_task_scores scores = {9, q, cut};
  ef_task_result r[2], sum = {0};
  ef_task_sum(&task, &scores, r);
  cr_assert(r[0].items == 2 && r[0].cut == 1 && r[0].plain == 1 && r[0].per_token == 0 && r[0].per_byte == 1);
  cr_assert(r[1].items == 1 && r[1].cut == 1 && r[1].plain == 0 && r[1].per_token == 1 && r[1].per_byte == 0);
  cr_assert(r[0].right.nll == 11.0 && r[0].right.tokens == 3 && r[0].right.hits == 2 &&
            r[0].right.bytes == 10);
  ef_task_result_add(&sum, &r[0]);
  ef_task_result_add(&sum, &r[1]);
  cr_assert(sum.items == 3 && sum.cut == 2 && sum.plain == 1 && sum.right.nll == 17.0);
  cr_assert_float_eq(sum.chance, 1.0, 1e-12);
  ef_task_free(&task);
}

Test(task, an_open_answer_is_always_the_best) {
  static const char items[] =
      "{\"question\":\"What do bees make?\",\"answer\":\"honey\"}\n"
      "{\"question\":\"And?\",\"answer\":\"wax, and a hive\",\"context\":\"Bees.\"}\n";
  ef_tokenizer *t = tokenizer_of();
  ef_task task = read_text(EF_TASK_QA, items, sizeof items - 1);
  ef_model model = model_of(EF_LLAMA, ef_tokenizer_size(t), 0.5f);
  ef_task_scores scores = scores_of(&model, t, &task, 8, POSITIONS);
  ef_task_result r;
  expect_scores(&model, t, &task, POSITIONS, &scores);
  ef_task_sum(&task, &scores, &r);
  cr_assert(r.items == 2 && r.plain == 2 && r.right.bytes == (int64_t)strlen(" honey wax, and a hive"));
  cr_assert_eq(r.right.tokens, scores.quality[0].tokens + scores.quality[1].tokens);
  ef_task_scores_free(&scores);
  ef_task_free(&task);
  ef_model_free(&model);
  ef_tokenizer_free(t);
}

Test(task, more_than_the_positions_is_refused) {
  ef_tokenizer *t = tokenizer_of();
  ef_task task = choices();
  ef_model model = model_of(EF_LLAMA, ef_tokenizer_size(t), 0.5f);
  ef_par alone = ef_par_alone();
  ef_task_scores scores;
  size_t blocks = ef_memory_blocks();
  const ef_kernels *k = ef_kernels_find("ref");
  cr_assert_eq(ef_task_score(&alone, k, &model, t, &task, 2, POSITIONS + 1, &scores), EF_INPUT);
  cr_assert_not_null(strstr(ef_message(), "has 96 positions"), "%s", ef_message());
  cr_assert_eq(ef_memory_blocks(), blocks);
  ef_task_free(&task);
  ef_model_free(&model);
  ef_tokenizer_free(t);
}
