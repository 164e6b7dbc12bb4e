#include "market/trace.h"

#include "base/file.h"
#include "base/memory.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())
#define cr_says(part) cr_assert(strstr(ef_message(), (part)), "message: %s", ef_message())

/* ---- CSV ------------------------------------------------------------------------------------------------
 */

typedef struct csv_case {
  const char *text, *column;
  size_t count; /* 0: refused */
  double value[4];
  const char *says[2];
} csv_case;

static const csv_case csv_cases[] = {
    {"hour,price\n0,1.5\n1,2.5\n", "price", 2, {1.5, 2.5}, {0}},
    {"hour,price\n0,1.5\n1,2.5\n", "hour", 2, {0, 1}, {0}},
    {"hour,price\n0,1.5\n1,2.5\n", "", 2, {1.5, 2.5}, {0}},
    {"hour,price\n0,1.5\n1,2.5\n", NULL, 2, {1.5, 2.5}, {0}},
    {"3\n4\n5", "", 3, {3, 4, 5}, {0}},
    {"7,3\n8,4\n", "", 2, {3, 4}, {0}},
    {"a, b \r\n1,\t2 \r\n\r\n# note, with commas\r\n3, -4e-1\r\n", "b", 2, {2, -0.4}, {0}},
    {"# first\n\n  # second\na\n\n1\n  \n2\n# end", "a", 2, {1, 2}, {0}},
    {"\"the \"\"hour\"\", local\",\"price\"\n\"x, y\",\"1.5\"\n\"two\nlines\",2\n",
     "price",
     2,
     {1.5, 2},
     {0}},
    {"\"the \"\"hour\"\", local\",price\n1,2\n", "the \"hour\", local", 1, {1}, {0}},
    {"\xEF\xBB\xBFprice\n1\n", "price", 1, {1}, {0}},
    {"price\n+1.\n.5\n1E2\n", "price", 3, {1, 0.5, 100}, {0}},
    {"a,b\n1,2\n", "price", 0, {0}, {"t.csv:1: ", "no column \"price\"; there are: a, b"}},
    {"a,b\n1,2\n\n3\n", "b", 0, {0}, {"t.csv:4: ", "1 fields where the first line has 2"}},
    {"a,b\n1,2,3\n", "b", 0, {0}, {"t.csv:2: ", "3 fields where the first line has 2"}},
    {"a,b\n1,\n", "b", 0, {0}, {"t.csv:2: ", "column b: empty"}},
    {"a,b\n1,two\n", "b", 0, {0}, {"t.csv:2: ", "column b: \"two\" is no number"}},
    {"a,b\n1,\"2,5\"\n", "b", 0, {0}, {"t.csv:2: ", "\"2,5\" is no number"}},
    {"b\n1\nnan\n", "b", 0, {0}, {"t.csv:3: ", "\"nan\" is no number"}},
    {"b\n1\ninf\n", "b", 0, {0}, {"t.csv:3: ", "\"inf\" is no number"}},
    {"b\n0x10\n", "b", 0, {0}, {"t.csv:2: ", "\"0x10\" is no number"}},
    {"b\n1e\n", "b", 0, {0}, {"t.csv:2: ", "\"1e\" is no number"}},
    {"b\n1 2\n", "b", 0, {0}, {"t.csv:2: ", "\"1 2\" is no number"}},
    {"b\n1e999\n", "b", 0, {0}, {"t.csv:2: ", "is not within -10 to 1000"}},
    {"b\n-11\n", "b", 0, {0}, {"t.csv:2: ", "column b: -11 is not within -10 to 1000"}},
    {"b\n1001\n", "b", 0, {0}, {"t.csv:2: ", "is not within"}},
    {"a,b\n1,\"2\n3,4\n", "b", 0, {0}, {"t.csv:2: ", "a quote is not closed"}},
    {"a,b\n1,\"2\"3\n", "b", 0, {0}, {"t.csv:2: ", "text after a closing quote"}},
    {"\"a\nb\",c\n\n1,x\n", "c", 0, {0}, {"t.csv:4: ", "\"x\" is no number"}},
    {"a,b\n", "b", 0, {0}, {"t.csv: ", "no values"}},
    {"", "", 0, {0}, {"t.csv: ", "no values"}},
    {"\n# only this\n", "b", 0, {0}, {"t.csv: ", "no values"}},
};

static void run_case(const csv_case *c) {
  char folder[256], path[512];
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/t.csv", folder);
  cr_ok(ef_file_write(path, c->text, strlen(c->text)));
  ef_trace trace = {0};
  ef_status status = ef_trace_read(path, c->column, -10, 1000, &trace);
  if (c->count > 0) {
    cr_ok(status);
    cr_assert_eq(trace.count, c->count, "%s", c->text);
    for (size_t i = 0; i < c->count; i++) cr_assert_eq(trace.value[i], c->value[i], "%s: %zu", c->text, i);
    cr_assert_not(trace.synthetic);
  } else {
    cr_assert_eq(status, EF_INPUT, "not refused: %s", c->text);
    cr_says(c->says[0]);
    cr_says(c->says[1]);
    cr_assert_eq(trace.value, NULL);
  }
  ef_trace_free(&trace);
  cr_assert_eq(ef_memory_blocks(), 0);
  test_remove_folder(folder);
}

Test(trace, csv_columns_are_read_or_refused_with_file_and_line) {
  for (size_t i = 0; i < sizeof csv_cases / sizeof *csv_cases; i++) run_case(&csv_cases[i]);
}

Test(trace, a_long_column_and_many_fields_are_read) {
  enum { ROWS = 5000, FIELDS = 40 };
  char folder[256], path[512];
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/t.csv", folder);
  FILE *file = fopen(path, "w");
  cr_assert(file);
  for (int f = 0; f < FIELDS; f++) fprintf(file, "f%d%c", f, f + 1 < FIELDS ? ',' : '\n');
  for (int r = 0; r < ROWS; r++) {
    for (int f = 0; f < FIELDS; f++) fprintf(file, "%d%c", r * FIELDS + f, f + 1 < FIELDS ? ',' : '\n');
  }
  fclose(file);
  ef_trace trace;
  cr_ok(ef_trace_read(path, "f17", 0, 1e9, &trace));
  cr_assert_eq(trace.count, (size_t)ROWS);
  for (size_t r = 0; r < ROWS; r++) cr_assert_eq(trace.value[r], (double)(r * FIELDS + 17));
  ef_trace_free(&trace);
  test_remove_folder(folder);
}

Test(trace, files_that_are_no_text_or_absent_are_refused) {
  char folder[256], path[512];
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/t.csv", folder);
  cr_ok(ef_file_write(path, "a\n1\n\0002\n", 8));
  ef_trace trace;
  cr_assert_eq(ef_trace_read(path, "a", 0, 9, &trace), EF_INPUT);
  cr_says("t.csv: not text: a NUL byte");
  cr_assert_eq(ef_trace_read("/nowhere/t.csv", "a", 0, 9, &trace), EF_INPUT);
  cr_says("/nowhere/t.csv: ");
  test_remove_folder(folder);
}

/* ---- generators -----------------------------------------------------------------------------------------
 */

static double mean_of(const double *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i];
  return sum / (double)n;
}

static bool same_bits(const ef_trace *a, const ef_trace *b) {
  return a->count == b->count && memcmp(a->value, b->value, a->count * sizeof *a->value) == 0;
}

Test(trace, arrivals_are_integers_within_bounds_around_a_daily_curve) {
  enum { DAYS = 400, SLOTS = 24 * DAYS };
  ef_trace a;
  cr_ok(ef_trace_arrivals(SLOTS, 3600, 39, 112, 7, &a));
  cr_assert(a.synthetic);
  double least = 1e9, most = 0, night = 0, day = 0, night_squares = 0;
  for (size_t t = 0; t < SLOTS; t++) {
    cr_assert_eq(a.value[t], floor(a.value[t]));
    least = fmin(least, a.value[t]);
    most = fmax(most, a.value[t]);
    if (t % 24 == 4) night += a.value[t], night_squares += a.value[t] * a.value[t];
    if (t % 24 == 16) day += a.value[t];
  }
  night /= DAYS, day /= DAYS;
  cr_assert(least >= 39 && most <= 112 && least < 45 && most > 105);
  /* Means .15 and .85 of the way; the clamp moves them by about one. */
  cr_assert_float_eq(day, 39 + 0.85 * 73, 2.0);
  cr_assert_float_eq(night, 39 + 0.15 * 73, 2.0);
  cr_assert_float_eq(mean_of(a.value, SLOTS), 75.5, 1.0);
  double variance = night_squares / DAYS - night * night;
  cr_assert(variance > 0.5 * night && variance < 1.2 * night, "%g of %g", variance, night);
  ef_trace_free(&a);
}

Test(trace, arrivals_at_noon_have_the_variance_of_a_poisson_variable) {
  enum { SLOTS = 20000 };
  ef_trace a;
  cr_ok(ef_trace_arrivals(SLOTS, 86400, 0, 2000, 3, &a)); /* always midnight: mean 2000 (.5 - .35 cos 60) */
  double mean = mean_of(a.value, SLOTS), squares = 0;
  for (size_t t = 0; t < SLOTS; t++) squares += (a.value[t] - mean) * (a.value[t] - mean);
  cr_assert_float_eq(mean, 2000 * (0.5 - 0.35 * 0.5), 1.0);
  cr_assert_float_eq(squares / SLOTS / mean, 1.0, 0.05);
  ef_trace_free(&a);
}

Test(trace, prices_have_mean_one_a_daily_curve_correlation_and_spikes) {
  enum { SLOTS = 24 * 800 };
  ef_trace p;
  cr_ok(ef_trace_prices(SLOTS, 3600, 0.25, 5, &p));
  cr_assert_float_eq(mean_of(p.value, SLOTS), 1.0, 1e-12);
  double hour[24] = {0}, covariance = 0, variance = 0, mean = 0, spikes = 0;
  for (size_t t = 0; t < SLOTS; t++) cr_assert(isfinite(p.value[t]) && p.value[t] > 0);
  for (size_t t = 0; t < SLOTS; t++) hour[t % 24] += log(p.value[t]) / (SLOTS / 24);
  cr_assert_float_eq(hour[16] - hour[4], log(1.2 / 0.8), 0.08);
  for (size_t t = 0; t < SLOTS; t++) {
    double x = log(p.value[t]) - hour[t % 24];
    if (x > 1.0) spikes++;
    mean += x / SLOTS;
  }
  cr_assert_float_eq(mean, 0, 1e-9);
  for (size_t t = 0; t + 1 < SLOTS; t++) {
    double x = log(p.value[t]) - hour[t % 24], y = log(p.value[t + 1]) - hour[(t + 1) % 24];
    if (fabs(x) > 0.8 || fabs(y) > 0.8) continue; /* spikes apart */
    covariance += x * y;
    variance += x * x;
  }
  cr_assert(covariance / variance > 0.65 && covariance / variance < 0.9, "%g", covariance / variance);
  cr_assert(spikes / SLOTS > 0.005 && spikes / SLOTS < 0.02, "%g", spikes / SLOTS);
  ef_trace_free(&p);
}

Test(trace, prices_without_volatility_are_the_daily_curve) {
  ef_trace p;
  cr_ok(ef_trace_prices(48, 3600, 0, 5, &p));
  for (size_t t = 0; t < 48; t++) {
    double want = 1 - 0.2 * cos(2 * 3.14159265358979323846 * ((double)(t % 24) - 4) / 24);
    cr_assert_float_eq(p.value[t], want, 1e-12);
  }
  ef_trace_free(&p);
}

Test(trace, log_uniform_numbers_have_a_uniform_logarithm) {
  enum { COUNT = 20000 };
  ef_trace u;
  cr_ok(ef_trace_log_uniform(COUNT, 7e6, 60e6, 11, EF_TRACE_UPLINK, &u));
  double sum = 0, squares = 0, range = log(60.0 / 7.0);
  for (size_t i = 0; i < COUNT; i++) {
    cr_assert(u.value[i] >= 7e6 && u.value[i] <= 60e6);
    double x = log(u.value[i] / 7e6) / range;
    sum += x;
    squares += x * x;
  }
  double mean = sum / COUNT;
  cr_assert_float_eq(mean, 0.5, 0.01);
  cr_assert_float_eq(squares / COUNT - mean * mean, 1.0 / 12.0, 0.002);
  ef_trace_free(&u);
}

static void make_trace(int kind, size_t count, uint64_t seed, ef_trace *t) {
  if (kind == EF_TRACE_ARRIVALS) cr_ok(ef_trace_arrivals(count, 3600, 39, 112, seed, t));
  if (kind == EF_TRACE_PRICE) cr_ok(ef_trace_prices(count, 3600, 0.25, seed, t));
  if (kind >= EF_TRACE_UPLINK) cr_ok(ef_trace_log_uniform(count, 1, 100, seed, (uint64_t)kind, t));
}

Test(trace, a_seed_fixes_every_bit_and_another_seed_or_kind_changes_them) {
  ef_trace last = {0};
  for (int kind = EF_TRACE_ARRIVALS; kind <= EF_TRACE_DEVICE; kind++) {
    ef_trace a, b, other, longer;
    make_trace(kind, 50, 9, &a);
    make_trace(kind, 50, 9, &b);
    make_trace(kind, 50, 10, &other);
    make_trace(kind, 70, 9, &longer);
    cr_assert(same_bits(&a, &b));
    cr_assert_not(same_bits(&a, &other));
    if (kind != EF_TRACE_PRICE) cr_assert_arr_eq(a.value, longer.value, 50 * sizeof(double));
    cr_assert(last.count == 0 || !same_bits(&last, &a));
    ef_trace_free(&last);
    last = a;
    ef_trace_free(&b);
    ef_trace_free(&other);
    ef_trace_free(&longer);
  }
  ef_trace_free(&last);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(trace, generators_refuse_what_makes_no_sense) {
  ef_trace t;
  cr_assert_eq(ef_trace_arrivals(0, 3600, 1, 2, 1, &t), EF_INPUT);
  cr_assert_eq(ef_trace_arrivals(5, 0, 1, 2, 1, &t), EF_INPUT);
  cr_assert_eq(ef_trace_arrivals(5, 3600, 3, 2, 1, &t), EF_INPUT);
  cr_says("3 to 2 users");
  cr_assert_eq(ef_trace_arrivals(5, 3600, -1, 2, 1, &t), EF_INPUT);
  cr_assert_eq(ef_trace_prices(5, 3600, -0.1, 1, &t), EF_INPUT);
  cr_assert_eq(ef_trace_prices(5, NAN, 0.1, 1, &t), EF_INPUT);
  cr_assert_eq(ef_trace_log_uniform(5, 0, 2, 1, 0, &t), EF_INPUT);
  cr_assert_eq(ef_trace_log_uniform(5, 3, 2, 1, 0, &t), EF_INPUT);
  cr_assert_eq(ef_trace_log_uniform(5, 1, INFINITY, 1, 0, &t), EF_INPUT);
}

Test(trace, equal_bounds_give_constants) {
  ef_trace t;
  cr_ok(ef_trace_log_uniform(5, 3, 3, 1, 0, &t));
  for (size_t i = 0; i < 5; i++) cr_assert_eq(t.value[i], 3.0);
  ef_trace_free(&t);
  cr_ok(ef_trace_arrivals(5, 3600, 4, 4, 1, &t));
  for (size_t i = 0; i < 5; i++) cr_assert_eq(t.value[i], 4.0);
  ef_trace_free(&t);
}
