/* Shares and hits under thresholds, against probabilities computed here in double from the logits of each
 * head; a model without exits; the hash of a model. */
#include "base/memory.h"
#include "model/exits.h"
#include "support/support.h"
#include "support/tiny_run.h"
#include "train/confidence.h"

#include <criterion/criterion.h>
#include <math.h>

enum { COUNT = 151, T = 6, B = 4, LAYERS = 3, HEADS = 3 };

static const double thresholds[] = {0.0, 0.06, 0.08, 0.12, 1.0};
enum { THRESHOLDS = sizeof thresholds / sizeof *thresholds };

static ef_model model_of(bool exits) {
  ef_shape shape = {.V = TINY_V, .D = 12, .L = LAYERS, .H = 2, .max_positions = 32};
  ef_dims dims;
  ef_model model;
  cr_assert_eq(ef_dims_make(EF_LLAMA, &shape, &dims), EF_OK, "%s", ef_message());
  if (exits) dims.exits[0] = 3; /* behind layers 0 and 1 */
  cr_assert_eq(ef_model_create(&dims, &model), EF_OK, "%s", ef_message());
  test_fill(model.params, model.table.floats, 0.7f, 5);
  return model;
}

static ef_confidence measure(const ef_model *model, const ef_stream *stream, size_t most) {
  ef_par alone = ef_par_alone();
  ef_confidence_text text = {stream, 1, B, T, most};
  ef_confidence c;
  cr_assert_eq(
      ef_confidence_measure(&alone, ef_kernels_find("ref"), model, &text, thresholds, THRESHOLDS, &c), EF_OK,
      "%s", ef_message());
  return c;
}

/* Largest probability of a row of logits and where it is. */
static double surest(const float *logits, int32_t *best) {
  double sum = 0.0;
  *best = 0;
  for (int32_t v = 1; v < TINY_V; v++) *best = logits[v] > logits[*best] ? v : *best;
  for (size_t v = 0; v < TINY_V; v++) sum += exp((double)logits[v] - (double)logits[*best]);
  return 1.0 / sum;
}

typedef struct expected {
  int64_t left[THRESHOLDS][HEADS], hits[THRESHOLDS][HEADS], alone[HEADS];
  size_t tokens;
} expected;

/* One window at a time, one row at a time. */
static expected by_hand(const ef_model *model, const ef_stream *stream) {
  expected x = {0};
  ef_pass *pass;
  cr_assert_eq(ef_pass_create(&model->dims, ef_kernels_find("ref"), EF_PASS_EVAL, 1, T, true, NULL, &pass),
               EF_OK);
  for (size_t w = 0; w < ef_stream_windows(stream, T); w++) {
    int32_t ids[T], targets[T];
    ef_stream_window(stream, T, w, ids, targets);
    cr_assert_eq(ef_forward(pass, model, ids, 1, T), EF_OK);
    for (size_t t = 0; t < T; t++) {
      double sure[HEADS];
      int32_t best[HEADS];
      float logits[TINY_V];
      if (targets[t] == EF_IGNORE) continue;
      x.tokens++;
      for (size_t e = 0; e < HEADS; e++) {
        if (e + 1 < HEADS) ef_exit_hidden(pass, model, e);
        if (e + 1 < HEADS) ef_exit_logits(pass, model, t, 1, logits);
        if (e + 1 == HEADS) ef_logits(pass, model, t, 1, logits);
        sure[e] = surest(logits, &best[e]);
        x.alone[e] += best[e] == targets[t];
      }
      for (size_t i = 0; i < THRESHOLDS; i++) {
        size_t e = sure[0] >= thresholds[i] ? 0 : sure[1] >= thresholds[i] ? 1 : 2;
        x.left[i][e]++;
        x.hits[i][e] += best[e] == targets[t];
      }
    }
  }
  ef_pass_free(pass);
  return x;
}

Test(confidence, counts_are_those_of_the_definition) {
  ef_model model = model_of(true);
  ef_stream stream = tiny_stream(COUNT, 3);
  ef_confidence c = measure(&model, &stream, 0);
  expected x = by_hand(&model, &stream);
  cr_assert_eq(c.heads, (size_t)HEADS);
  cr_assert_eq(c.tokens, x.tokens);
  bool spread = false;
  for (size_t e = 0; e < HEADS; e++) {
    cr_assert_eq(c.alone[e], x.alone[e]);
    for (size_t i = 0; i < THRESHOLDS; i++) {
      cr_assert_eq(c.left[i * HEADS + e], x.left[i][e], "threshold %g, head %zu", thresholds[i], e);
      cr_assert_eq(c.hits[i * HEADS + e], x.hits[i][e], "threshold %g, head %zu", thresholds[i], e);
      spread = spread || (e == 1 && x.left[i][e] > 0);
    }
  }
  cr_assert(spread, "the sample decides nothing: no token leaves at the middle head");
  cr_assert_eq(c.left[0], (int64_t)c.tokens, "threshold 0: all leave at once");
  cr_assert_eq(c.left[(THRESHOLDS - 1) * HEADS + 2], (int64_t)c.tokens, "nothing is certain");
  ef_confidence_free(&c);
  ef_stream_free(&stream);
  ef_model_free(&model);
}

Test(confidence, a_model_without_exits_has_one_head) {
  size_t blocks = ef_memory_blocks();
  ef_model model = model_of(false);
  ef_stream stream = tiny_stream(COUNT, 3);
  ef_confidence c = measure(&model, &stream, 2);
  cr_assert_eq(c.heads, 1u);
  cr_assert(c.tokens > 0 && c.tokens <= 2 * T);
  for (size_t i = 0; i < THRESHOLDS; i++) cr_assert_eq(c.left[i], (int64_t)c.tokens);
  ef_confidence_free(&c);
  ef_stream_free(&stream);
  ef_model_free(&model);
  cr_assert_eq(ef_memory_blocks(), blocks);
}
