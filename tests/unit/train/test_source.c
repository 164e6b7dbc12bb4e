#include "support/tiny_run.h"
#include "train/source.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { T = TINY_T, B = 7, DRAWS = 10000 };

static int32_t general_ids[50], own_ids[50];
static const ef_stream general = {.ids = general_ids, .count = 50}, own = {.ids = own_ids, .count = 50};

/* General text is of ids 100 .. 149, the own text of 200 .. 249: every window tells its stream and its place.
 */
static ef_source source_of(double share) {
  for (int32_t i = 0; i < 50; i++) {
    general_ids[i] = 100 + i;
    own_ids[i] = 200 + i;
  }
  return (ef_source){.general = &general, .own = &own, .own_share = share, .seed = 9, .unit = 3};
}

static size_t drawn_from_own(const ef_source *source) {
  size_t hits = 0;
  int32_t ids[B * T], targets[B * T];
  for (size_t n = 0; n < DRAWS; n += B) {
    cr_assert_eq(ef_source_sample(source, n / B, 0, B, T, ids, targets), EF_OK);
    for (size_t b = 0; b < B && n + b < DRAWS; b++) hits += ids[b * T] >= 200;
  }
  return hits;
}

Test(source, own_share_is_kept) {
  const double shares[] = {0.1, 0.5, 0.9};
  for (size_t i = 0; i < 3; i++) {
    ef_source source = source_of(shares[i]);
    double sigma = sqrt(DRAWS * shares[i] * (1.0 - shares[i]));
    cr_assert_float_eq((double)drawn_from_own(&source), DRAWS * shares[i], 4.0 * sigma);
  }
  ef_source none = source_of(0.0), all = source_of(1.0);
  cr_assert_eq(drawn_from_own(&none), 0);
  cr_assert_eq(drawn_from_own(&all), DRAWS);
}

Test(source, windows_are_whole_and_of_one_stream) {
  ef_source source = source_of(0.5);
  int32_t ids[B * T], targets[B * T];
  for (size_t step = 0; step < 100; step++) {
    cr_assert_eq(ef_source_sample(&source, step, 0, B, T, ids, targets), EF_OK);
    for (size_t b = 0; b < B; b++) {
      int32_t first = ids[b * T], base = first < 200 ? 100 : 200;
      for (int32_t t = 0; t < T; t++) {
        cr_assert_eq(ids[b * T + (size_t)t], base + (first - base + t) % 50);
        cr_assert_eq(targets[b * T + (size_t)t], base + (first - base + t + 1) % 50);
      }
    }
  }
}

Test(source, a_window_does_not_depend_on_its_batch) {
  ef_source source = source_of(0.4);
  int32_t ids[B * T], targets[B * T], one[T], next[T];
  for (size_t step = 0; step < 20; step++) {
    cr_assert_eq(ef_source_sample(&source, step, 0, B, T, ids, targets), EF_OK);
    for (size_t b = 0; b < B; b++) {
      cr_assert_eq(ef_source_sample(&source, step, b, 1, T, one, next), EF_OK);
      cr_assert_eq(memcmp(one, ids + b * T, sizeof one), 0, "step %zu, window %zu", step, b);
      cr_assert_eq(memcmp(next, targets + b * T, sizeof next), 0);
    }
  }
}

Test(source, steps_units_and_seeds_differ) {
  ef_source a = source_of(0.5), unit = a, seed = a;
  unit.unit = 4;
  seed.seed = 10;
  int32_t of_a[B * T], next[B * T], other[B * T];
  cr_assert_eq(ef_source_sample(&a, 0, 0, B, T, of_a, next), EF_OK);
  cr_assert_eq(ef_source_sample(&a, 1, 0, B, T, other, next), EF_OK);
  cr_assert_neq(memcmp(of_a, other, sizeof other), 0);
  cr_assert_eq(ef_source_sample(&unit, 0, 0, B, T, other, next), EF_OK);
  cr_assert_neq(memcmp(of_a, other, sizeof other), 0);
  cr_assert_eq(ef_source_sample(&seed, 0, 0, B, T, other, next), EF_OK);
  cr_assert_neq(memcmp(of_a, other, sizeof other), 0);
}

Test(source, an_empty_own_stream_is_passed_over_and_an_empty_general_one_refused) {
  static const ef_stream empty = {.count = 1, .ids = general_ids};
  int32_t ids[T], targets[T];
  ef_source source = source_of(1.0);
  source.own = &empty;
  cr_assert_eq(ef_source_sample(&source, 0, 0, 1, T, ids, targets), EF_OK);
  cr_assert_lt(ids[0], 200);
  source.own = NULL;
  cr_assert_eq(ef_source_sample(&source, 0, 0, 1, T, ids, targets), EF_OK);
  source.general = &empty;
  cr_assert_eq(ef_source_sample(&source, 0, 0, 1, T, ids, targets), EF_INPUT);
}

/* Ids count up, so that a window tells its place: windows start at multiples of T. */
Test(source, consecutive_windows_are_drawn_and_named) {
  size_t drawn[B], one_drawn[1], windows = ef_stream_windows(&general, T), count[16] = {0};
  ef_source source = source_of(0.0);
  source.drawn = drawn;
  int32_t ids[B * T], targets[B * T], one[T], next[T];
  cr_assert(windows == 7 && windows <= sizeof count / sizeof *count);
  for (size_t step = 0; step < DRAWS / B; step++) {
    cr_assert_eq(ef_source_sample(&source, step, 0, B, T, ids, targets), EF_OK);
    for (size_t b = 0; b < B; b++) {
      count[drawn[b]]++;
      cr_assert_eq(ids[b * T], 100 + (int32_t)(drawn[b] * T), "window %zu", drawn[b]);
      for (size_t t = 0; drawn[b] + 1 < windows && t < T; t++)
        cr_assert_eq(targets[b * T + t], ids[b * T] + (int32_t)t + 1);
      ef_source alone = source;
      alone.drawn = one_drawn;
      cr_assert_eq(ef_source_sample(&alone, step, b, 1, T, one, next), EF_OK);
      cr_assert(one_drawn[0] == drawn[b] && memcmp(one, ids + b * T, sizeof one) == 0);
    }
  }
  double mean = (double)(DRAWS / B * B) / (double)windows;
  for (size_t w = 0; w < windows; w++) cr_assert_float_eq((double)count[w], mean, 4.0 * sqrt(mean));
}

Test(source, a_text_without_windows_is_refused) {
  static const ef_stream empty = {.count = 1, .ids = general_ids};
  size_t drawn[1];
  int32_t ids[T], targets[T];
  ef_source source = {.general = &empty, .drawn = drawn};
  cr_assert_eq(ef_source_sample(&source, 0, 0, 1, T, ids, targets), EF_INPUT);
}

/* ---- generated text ------------------------------------------------------------------------------------ */

static int32_t written_ids[50];
static const ef_stream written = {.ids = written_ids, .count = 50};

/* As above, with generated text of ids 300 .. 349. */
static ef_source with_generated(double own_share, double generated_share) {
  ef_source source = source_of(own_share);
  for (int32_t i = 0; i < 50; i++) written_ids[i] = 300 + i;
  source.generated = &written;
  source.generated_share = generated_share;
  return source;
}

Test(source, generated_text_takes_its_share_and_leaves_the_rest_as_it_was) {
  ef_source source = with_generated(0.4, 0.3), without = source_of(0.4);
  size_t of_own = 0, of_written = 0;
  int32_t ids[B * T], targets[B * T], plain[B * T];
  for (size_t step = 0; step < DRAWS / B; step++) {
    cr_assert_eq(ef_source_sample(&source, step, 0, B, T, ids, targets), EF_OK);
    cr_assert_eq(ef_source_sample(&without, step, 0, B, T, plain, targets), EF_OK);
    for (size_t b = 0; b < B; b++) {
      int32_t first = ids[b * T];
      of_written += first >= 300;
      of_own += first >= 200 && first < 300;
      if (first < 300) cr_assert_eq(memcmp(ids + b * T, plain + b * T, T * sizeof *ids), 0);
    }
  }
  double n = (double)(DRAWS / B * B);
  cr_assert_float_eq((double)of_written, 0.3 * n, 4.0 * sqrt(n * 0.3 * 0.7));
  cr_assert_float_eq((double)of_own, 0.7 * 0.4 * n, 4.0 * sqrt(n * 0.28 * 0.72));
}

Test(source, without_a_share_generated_text_is_not_there) {
  ef_source source = with_generated(0.4, 0.0), without = source_of(0.4);
  int32_t ids[B * T], targets[B * T], plain[B * T];
  for (size_t step = 0; step < 200; step++) {
    cr_assert_eq(ef_source_sample(&source, step, 0, B, T, ids, targets), EF_OK);
    cr_assert_eq(ef_source_sample(&without, step, 0, B, T, plain, targets), EF_OK);
    cr_assert_eq(memcmp(ids, plain, sizeof ids), 0);
  }
}

Test(source, labels_leave_out_the_generated_windows_alone) {
  ef_source source = with_generated(0.5, 0.5);
  int32_t ids[B * T], targets[B * T], labels[B * T];
  for (size_t step = 0; step < 100; step++) {
    cr_assert_eq(ef_source_sample(&source, step, 2, B, T, ids, targets), EF_OK);
    ef_source_labels(&source, step, 2, B, T, targets, labels);
    for (size_t i = 0; i < B * T; i++)
      cr_assert_eq(labels[i], ids[i] >= 300 ? EF_TOKEN_IGNORE : targets[i], "step %zu, token %zu", step, i);
  }
}
