#include "base/memory.h"
#include "fusion/answers_internal.h"
#include "teachers_sample.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { T = TEACH_T, V = TINY_V, MOST_TOKENS = 9000 };

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

/* ---- pieces -------------------------------------------------------------------------------------------- */

/* Every token is answered for once, by a window that holds it with at least `before` tokens in front of it,
 * where the text has them. Returns the number of pieces. */
static size_t check_cover(const ef_reading *readings, size_t before) {
  static unsigned char answered[EF_ANSWERED_TEXTS][MOST_TOKENS];
  size_t pieces = ef_answers_pieces(readings);
  memset(answered, 0, sizeof answered);
  for (size_t unit = 0; unit < pieces; unit++) {
    ef_piece p = ef_answers_piece(readings, unit);
    size_t text = (size_t)(p.reading - readings), at = p.from;
    cr_assert(p.end > p.first && p.end - p.first <= EF_ANSWERS_PIECE);
    for (size_t w = p.first; w < p.end; w++) {
      size_t start = w * p.reading->stride;
      cr_assert_eq(ef_answers_from(p.reading, w), at);
      for (; at < ef_answers_from(p.reading, w + 1); at++) {
        cr_assert(at >= start && at < start + p.reading->T);
        cr_assert(at < p.reading->T || text == EF_READ_GENERATED || at - start >= before);
        answered[text][at]++;
      }
    }
    cr_assert_eq(at - p.from, p.count);
  }
  for (size_t text = 0; text < EF_ANSWERED_TEXTS; text++) {
    size_t count = readings[text].stream ? readings[text].stream->count : 0;
    for (size_t i = 0; i < MOST_TOKENS; i++) cr_assert_eq(answered[text][i], i < count);
  }
  return pieces;
}

Test(answers, each_token_is_answered_once_and_behind_half_a_window) {
  const size_t counts[] = {2, 5, 7, 8, 9, 11, 12, 13, 263, 264, 265, 5000};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    for (size_t t = 7; t <= 8; t++) {
      ef_stream public = {.count = counts[i]}, generated = {.count = counts[i] + 3};
      ef_reading alone[] = {{&public, t, (t + 1) / 2}, {NULL, t, t}},
                 both[] = {{&public, t, (t + 1) / 2}, {&generated, t, t}};
      size_t some = check_cover(alone, t / 2);
      cr_assert(check_cover(both, t / 2) > some);
    }
  }
}

/* ---- what is kept -------------------------------------------------------------------------------------- */

typedef struct sample {
  teachers_sample s;
  ef_stream generated;
  ef_answers answers;
  ef_feed feed;
  int32_t ids[TEACH_R], targets[TEACH_R];
} sample;

static void load(sample *s, const ef_stream *generated) {
  cr_ok(ef_answers_make(&s->s.t.run, &s->s.population, &s->s.clusters, generated));
  cr_ok(ef_answers_load(&s->s.t.run, generated, 77, &s->answers));
  s->feed = ef_answers_feed(&s->s.t.run, &s->answers);
}

static void open_sample(sample *s, const char *override) {
  memset(s, 0, sizeof *s);
  teachers_sample_uploads(&s->s, 0.4f, 5.0, override);
}

static void close_sample(sample *s) {
  ef_answers_free(&s->answers);
  ef_stream_free(&s->generated);
  teachers_sample_close(&s->s);
}

/* The window of the public text that answers for token `at`, asked again: its logarithms (V). */
static void ask_again(sample *s, size_t at, float *row) {
  const ef_stream *text = &s->s.t.run.public_text;
  int32_t ids[T], targets[T];
  size_t start = 0;
  ef_mentors mentors;
  while (at >= start + T) start += T / 2;
  for (size_t t = 0; t < T; t++) {
    int32_t next = text->ids[(start + t + 1) % text->count];
    ids[t] = text->ids[(start + t) % text->count];
    targets[t] = next == EF_TOKEN_BOS ? EF_TOKEN_IGNORE : next;
  }
  cr_ok(ef_mentors_create(&s->s.t.run, &s->s.population, &s->s.clusters, 1, T, &mentors));
  cr_ok(ef_mentors_begin(&mentors, ids, targets));
  ef_mentors_mixture(&mentors, at - start, 1, row);
  ef_mentors_free(&mentors);
}

/* Draws the batch of a step and checks that its rows come from the text at the places that were drawn. */
static void next_batch(sample *s, size_t step) {
  cr_ok(s->feed.batch(s->feed.ctx, step, 1, s->ids, s->targets));
  for (size_t r = 0; r < s->answers.B * T; r++) {
    const ef_window *w = &s->answers.drawn[r / T];
    const ef_stream *text = s->answers.texts[w->text];
    int32_t next = text->ids[(w->start + r % T + 1) % text->count];
    cr_assert_eq(s->ids[r], text->ids[(w->start + r % T) % text->count]);
    cr_assert_eq(s->targets[r], next == EF_TOKEN_BOS ? EF_TOKEN_IGNORE : next);
  }
}

static size_t token_of(const sample *s, size_t row) {
  return (s->answers.drawn[row / T].start + row % T) % s->s.t.run.public_text.count;
}

/* Half a step of 1/16 nat, and what float arithmetic adds. */
static const double STEP = 1.0 / 32 + 1e-5;

Test(answers, keep_the_whole_distribution_in_steps) {
  static sample s;
  float student[V] = {0}, row[V], wanted[V];
  open_sample(&s, NULL);
  load(&s, NULL);
  for (size_t step = 0; step < 4; step++) {
    next_batch(&s, step);
    for (size_t r = step; r < s.answers.B * T; r += 13) {
      s.feed.teacher->logits(s.feed.teacher->ctx, r, 1, student, row);
      ask_again(&s, token_of(&s, r), wanted);
      for (size_t v = 0; v < V; v++) {
        double bounded = fmax((double)wanted[v], -255.0 / 16);
        cr_assert_float_eq((double)row[v], bounded, STEP, "row %zu, token %zu", r, v);
      }
    }
  }
  close_sample(&s);
}

static double softmax_at(const float *logits, size_t v) {
  double sum = 0.0;
  for (size_t i = 0; i < V; i++) sum += exp((double)logits[i] - (double)logits[v]);
  return 1.0 / sum;
}

/* Tokens that are more likely than v. */
static size_t better(const float *logits, size_t v) {
  size_t n = 0;
  for (size_t i = 0; i < V; i++) n += logits[i] > logits[v];
  return n;
}

static void check_named_row(const float *student, const float *row, const float *wanted, size_t k) {
  double rest = 0.0, wanted_rest = 0.0, student_rest = 0.0;
  for (size_t v = 0; v < V; v++) {
    double p = exp((double)wanted[v]);
    if (better(wanted, v) < k) {
      cr_assert_float_eq((double)row[v], (double)wanted[v], STEP);
    } else {
      wanted_rest += p;
      rest += exp((double)row[v]);
      student_rest += softmax_at(student, v);
    }
  }
  cr_assert_float_eq(rest, wanted_rest, 1e-5);
  for (size_t v = 0; v < V; v++) {
    if (better(wanted, v) < k) continue;
    double share = softmax_at(student, v) / student_rest;
    cr_assert_float_eq(exp((double)row[v]) / rest, share, 1e-5 * share);
  }
}

Test(answers, name_some_tokens_and_leave_the_shape_of_the_rest_to_the_learner) {
  static sample s;
  float student[2 * V], rows[2 * V], wanted[V];
  open_sample(&s, "ensemble.top_k=6");
  load(&s, NULL);
  for (size_t i = 0; i < 2 * V; i++) student[i] = 3.0f * sinf((float)i * 1.7f);
  next_batch(&s, 3);
  for (size_t r = 0; r + 1 < s.answers.B * T; r += 11) {
    s.feed.teacher->logits(s.feed.teacher->ctx, r, 2, student, rows);
    for (size_t i = 0; i < 2; i++) {
      ask_again(&s, token_of(&s, r + i), wanted);
      check_named_row(student + i * V, rows + i * V, wanted, 6);
    }
  }
  close_sample(&s);
}

/* ---- both texts ---------------------------------------------------------------------------------------- */

Test(answers, windows_come_from_both_texts_and_generated_ones_have_no_labels) {
  static sample s;
  size_t generated = 0, windows = 0;
  open_sample(&s, "fusion.transfer=generated");
  s.s.t.deck.fusion.generated_ce = false;
  s.s.t.deck.fusion.generated_share = 0.25;
  s.generated = tiny_stream(300, 8);
  load(&s, &s.generated);
  for (size_t step = 0; step < 400; step++) {
    next_batch(&s, step);
    for (size_t r = 0; r < s.answers.B * T; r++) {
      bool own = s.answers.drawn[r / T].text == EF_READ_GENERATED;
      cr_assert_eq(s.feed.labels[r], own ? EF_TOKEN_IGNORE : s.targets[r]);
      generated += own && r % T == 0;
      windows += r % T == 0;
    }
  }
  /* Five standard deviations of a binomial variable. */
  double share = (double)generated / (double)windows, spread = sqrt(0.25 * 0.75 / (double)windows);
  cr_assert_float_eq(share, 0.25, 5.0 * spread);
  close_sample(&s);
}

/* Stops in the middle of the windows, and goes on. */
static void make_in_two(sample *s) {
  ef_run *run = &s->s.t.run;
  ef_part_key key = ef_answers_part(0);
  ef_stop_wish wish = {.passed = ""};
  run->stop.wish = &wish;
  cr_assert_eq(ef_answers_make(run, &s->s.population, &s->s.clusters, NULL), EF_STOPPED);
  cr_assert_str_eq(wish.name, "answers");
  cr_assert_eq(wish.steps, 14); /* 300 tokens: a window of 40 and 13 of 20 more */
  cr_assert(!ef_part_exists(run, &key) && ef_part_usable(run, &key, true));
  run->stop = (ef_stop){0};
  run->stopping = false;
}

Test(answers, a_piece_that_is_stopped_goes_on_where_it_was) {
  static sample straight, stopped;
  open_sample(&straight, "ensemble.top_k=6");
  open_sample(&stopped, "ensemble.top_k=6");
  load(&straight, NULL);
  make_in_two(&stopped);
  load(&stopped, NULL);
  const ef_answer_table *a = &straight.answers.table, *b = &stopped.answers.table;
  cr_assert_eq(a->count, 300);
  cr_assert_eq(memcmp(a->code, b->code, a->count * a->width), 0);
  cr_assert_eq(memcmp(a->token, b->token, a->count * a->width * sizeof *a->token), 0);
  cr_assert_eq(memcmp(a->rest, b->rest, a->count * sizeof *a->rest), 0);
  close_sample(&straight);
  close_sample(&stopped);
}

Test(answers, a_piece_that_is_missing_is_an_error_and_leaks_nothing) {
  static sample s;
  open_sample(&s, NULL);
  load(&s, NULL);
  ef_part_key key = ef_answers_part(0);
  ef_part_remove(&s.s.t.run, &key);
  ef_answers again;
  size_t blocks = ef_memory_blocks();
  cr_assert_eq(ef_answers_load(&s.s.t.run, NULL, 77, &again), EF_CHECKPOINT);
  cr_assert_eq(ef_memory_blocks(), blocks);
  close_sample(&s);
}
