#include "base/memory.h"
#include "support/support.h"
#include "support/tiny_run.h"
#include "train/measure.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { COUNT = 203 };

static ef_model model_of(ef_family family, bool zero) {
  ef_shape shape = {.V = TINY_V, .D = 12, .L = 2, .H = 2, .max_positions = 32};
  ef_dims dims;
  ef_model model;
  cr_assert_eq(ef_dims_make(family, &shape, &dims), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_model_create(&dims, &model), EF_OK, "%s", ef_message());
  if (!zero) test_fill(model.params, model.table.floats, 0.7f, (unsigned)family);
  return model;
}

static ef_quality quality_of(const ef_model *model, const char *backend, const ef_stream *stream, size_t B,
                             size_t T, size_t most) {
  ef_evaluator e;
  ef_quality q;
  cr_assert_eq(ef_evaluator_create(&model->dims, ef_kernels_find(backend), B, T, NULL, &e), EF_OK, "%s",
               ef_message());
  cr_assert_eq(ef_evaluate(&e, model, stream, most, &q), EF_OK, "%s", ef_message());
  ef_evaluator_free(&e);
  return q;
}

/* Tokens behind the first that do not start a document. */
static size_t scored(const ef_stream *s) {
  size_t n = 0;
  for (size_t i = 1; i < s->count; i++) n += s->ids[i] != EF_TOKEN_BOS;
  return n;
}

Test(evaluate, a_model_of_zeros_knows_nothing) {
  for (int f = 0; f < EF_QWEN2_MOE; f++) {
    ef_model model = model_of((ef_family)f, true);
    ef_stream stream = tiny_stream(COUNT, 1);
    ef_quality q = quality_of(&model, "ref", &stream, 3, 8, 0);
    cr_assert_eq(q.tokens, scored(&stream));
    double each = (double)logf((float)TINY_V); /* losses of rows are floats */
    cr_assert_float_eq(ef_log_perplexity(&q), log((double)TINY_V), 1e-6 * each);
    ef_stream_free(&stream);
    ef_model_free(&model);
  }
}

Test(evaluate, every_token_is_scored_once) {
  ef_model model = model_of(EF_LLAMA, false);
  for (size_t count = 2; count < 40; count++) {
    ef_stream stream = tiny_stream(count, 2);
    for (size_t T = 1; T <= 9; T += 4) {
      ef_quality q = quality_of(&model, "ref", &stream, 2, T, 0);
      cr_assert_eq(q.tokens, scored(&stream), "%zu tokens in windows of %zu", count, T);
    }
    ef_stream_free(&stream);
  }
  for (size_t count = 0; count < 2; count++) {
    ef_stream stream = tiny_stream(count, 2);
    ef_quality q = quality_of(&model, "ref", &stream, 2, 4, 0);
    cr_assert(q.tokens == 0 && isnan(ef_log_perplexity(&q)) && isnan(ef_token_accuracy(&q)));
    ef_stream_free(&stream);
  }
  ef_model_free(&model);
}

/* NLL and hits in double from the logits of single windows. */
static ef_quality by_hand(const ef_model *model, const ef_stream *s, size_t T) {
  ef_quality q = {0};
  ef_pass *pass;
  float logits[TINY_V];
  cr_assert_eq(ef_pass_create(&model->dims, ef_kernels_find("ref"), EF_PASS_EVAL, 1, T, false, NULL, &pass),
               EF_OK);
  for (size_t at = 0; at + 1 < s->count; at += T) {
    size_t n = s->count - 1 - at < T ? s->count - 1 - at : T;
    cr_assert_eq(ef_forward(pass, model, s->ids + at, 1, n), EF_OK);
    for (size_t t = 0; t < n; t++) {
      int32_t target = s->ids[at + t + 1];
      if (target == EF_TOKEN_BOS) continue;
      ef_logits(pass, model, t, 1, logits);
      double sum = 0.0;
      size_t best = 0;
      for (size_t v = 0; v < TINY_V; v++) {
        sum += exp((double)logits[v]);
        if (logits[v] > logits[best]) best = v;
      }
      q.nll += log(sum) - (double)logits[target];
      q.hits += best == (size_t)target;
      q.tokens++;
    }
  }
  ef_pass_free(pass);
  return q;
}

Test(evaluate, is_the_sum_over_consecutive_windows) {
  ef_model model = model_of(EF_OLMO, false);
  ef_stream stream = tiny_stream(COUNT, 4);
  ef_quality q = quality_of(&model, "ref", &stream, 5, 11, 0), plain = by_hand(&model, &stream, 11);
  cr_assert_float_eq(q.nll, plain.nll, 1e-6 * plain.nll, "%.12g %.12g", q.nll, plain.nll);
  cr_assert_eq(q.tokens, plain.tokens);
  cr_assert_eq(q.hits, plain.hits);
  cr_assert_float_eq(ef_bits_per_byte(&q), plain.nll / log(2.0) / (3.0 * COUNT), 1e-6);
  cr_assert_float_eq(ef_token_accuracy(&q), (double)plain.hits / (double)plain.tokens, 1e-15);
  ef_stream_free(&stream);
  ef_model_free(&model);
}

Test(evaluate, batches_do_not_matter) {
  ef_model model = model_of(EF_LLAMA, false);
  ef_stream stream = tiny_stream(COUNT, 5);
  ef_quality one = quality_of(&model, "ref", &stream, 1, 8, 0);
  for (size_t B = 2; B < 30; B += 9) {
    ef_quality q = quality_of(&model, "ref", &stream, B, 8, 0);
    cr_assert_float_eq(q.nll, one.nll, 1e-9 * one.nll, "B %zu: %.17g %.17g", B, q.nll, one.nll);
    cr_assert(q.tokens == one.tokens && q.hits == one.hits && q.bytes == one.bytes);
    ef_quality fast = quality_of(&model, "blas", &stream, B, 8, 0);
    cr_assert_float_eq(fast.nll, one.nll, 1e-5 * one.nll, "B %zu: %.17g %.17g", B, fast.nll, one.nll);
  }
  ef_stream_free(&stream);
  ef_model_free(&model);
}

Test(evaluate, a_sample_of_windows_has_no_bytes_and_is_evenly_spread) {
  ef_model model = model_of(EF_LLAMA, false);
  ef_stream stream = tiny_stream(81, 6); /* ten windows of eight */
  ef_quality half = quality_of(&model, "ref", &stream, 3, 8, 5), sum = {0};
  for (size_t w = 0; w < 10; w += 2) {
    ef_stream window = {.ids = stream.ids + 8 * w, .count = 9};
    ef_quality q = quality_of(&model, "ref", &window, 1, 8, 0);
    ef_quality_add(&sum, &q);
  }
  cr_assert_eq(half.tokens, sum.tokens);
  cr_assert_float_eq(half.nll, sum.nll, 1e-9 * sum.nll);
  cr_assert_eq(half.bytes, 0);
  cr_assert(isnan(ef_bits_per_byte(&half)));
  cr_assert_eq(quality_of(&model, "ref", &stream, 3, 8, 99).bytes, stream.bytes);
  ef_stream_free(&stream);
  ef_model_free(&model);
}

Test(evaluate, packs_without_loss) {
  ef_quality q[2] = {{1.0 / 3.0, 5, 2, 77}, {1e9 / 7.0, (size_t)1 << 50, 3, (int64_t)1 << 52}}, back[2];
  double row[2 * EF_QUALITY_FIELDS];
  cr_assert_eq(ef_quality_pack(q, 2, row), row + 2 * EF_QUALITY_FIELDS);
  cr_assert_eq(ef_quality_unpack(row, 2, back), row + 2 * EF_QUALITY_FIELDS);
  for (size_t i = 0; i < 2; i++) {
    cr_assert(back[i].nll == q[i].nll && back[i].tokens == q[i].tokens && back[i].hits == q[i].hits &&
              back[i].bytes == q[i].bytes);
  }
  ef_quality sum = ef_quality_total(q, 2);
  cr_assert(sum.nll == q[0].nll + q[1].nll && sum.bytes == q[0].bytes + q[1].bytes && sum.hits == 5);
}

Test(measure, looks_at_the_holdout_or_at_some_public_text) {
  tiny_run t;
  tiny_run_open(&t, NULL, NULL);
  ef_model model = model_of(EF_GPT2, false);
  ef_quality validation[TINY_DOMAINS], q;
  double loss;
  cr_assert_eq(ef_run_measure(&t.run, &model, &loss, validation), EF_OK, "%s", ef_message());
  q = quality_of(&model, "ref", &t.run.holdout, 3, TINY_T, 0);
  cr_assert_eq(loss, ef_log_perplexity(&q));
  for (size_t d = 0; d < TINY_DOMAINS; d++) {
    q = quality_of(&model, "ref", &t.run.validation[d], 3, TINY_T, 0);
    cr_assert(validation[d].nll == q.nll && validation[d].bytes == q.bytes);
  }
  cr_assert_eq(ef_run_domain_loss(&t.run, &model, 1, &loss), EF_OK);
  q = quality_of(&model, "ref", &t.run.holdout_by_domain[1], 3, TINY_T, 0);
  cr_assert_eq(loss, ef_log_perplexity(&q));
  t.run.holdout_by_domain[1].count = 0;
  cr_assert_eq(ef_run_domain_loss(&t.run, &model, 1, &loss), EF_OK);
  q = quality_of(&model, "ref", &t.run.holdout, 3, TINY_T, 0);
  cr_assert_eq(loss, ef_log_perplexity(&q));
  t.run.holdout.count = 0;
  cr_assert_eq(ef_run_measure(&t.run, &model, &loss, NULL), EF_OK);
  q = quality_of(&model, "ref", &t.run.public_text, 3, TINY_T, 64);
  cr_assert_eq(loss, ef_log_perplexity(&q));
  ef_model_free(&model);
  tiny_run_close(&t);
}
