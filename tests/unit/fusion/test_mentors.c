#include "base/memory.h"
#include "fusion/mentors.h"
#include "teachers_sample.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { B = TEACH_B, T = TEACH_T, R = TEACH_R, V = TINY_V, MOST = TEACH_MOST };

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

typedef struct sample {
  teachers_sample s;
  ef_mentors mentors;
} sample;

static void begin(sample *s) {
  cr_ok(ef_mentors_create(&s->s.t.run, &s->s.population, &s->s.clusters, B, T, &s->mentors));
  cr_ok(ef_mentors_begin(&s->mentors, s->s.ids, s->s.targets));
}

/* ensemble.holdout_sharpness of the tests that want one, as a number and for the deck. */
static const double HOLDOUT_SHARPNESS = 1.5;
static const char holdout_override[] = "ensemble.holdout_sharpness=1.5";

static void open_sample(sample *s, size_t count, float scale, double sharpness) {
  teachers_sample_proxies(&s->s, count, scale, sharpness, NULL);
  begin(s);
}

static void open_uploads(sample *s, float scale, double sharpness) {
  teachers_sample_uploads(&s->s, scale, sharpness, NULL);
  begin(s);
}

static void close_sample(sample *s) {
  ef_mentors_free(&s->mentors);
  teachers_sample_close(&s->s);
}

static double log_sum(const float *z) {
  double sum = 0.0;
  for (size_t v = 0; v < V; v++) sum += exp((double)z[v]);
  return log(sum);
}

/* softmax(-sharpness * loss - holdout_sharpness * holdout loss) over the teachers; the loss of a window is
 * its summed CE over T, as the code counts it. */
static void weights_by_hand(const sample *s, double sharpness, double holdout_sharpness, double w[B][MOST]) {
  for (size_t b = 0; b < B; b++) {
    double sum = 0.0;
    for (size_t i = 0; i < s->s.count; i++) {
      double loss = 0.0;
      for (size_t r = b * T; r < (b + 1) * T; r++) {
        const float *z = s->s.logits[i] + r * V;
        if (s->s.targets[r] != EF_TOKEN_IGNORE) loss += log_sum(z) - (double)z[s->s.targets[r]];
      }
      sum += w[b][i] = exp(-sharpness * loss / T - holdout_sharpness * s->s.holdout_losses[i]);
    }
    for (size_t i = 0; i < s->s.count; i++) w[b][i] /= sum;
  }
}

/* The rows in one go, and cut anywhere. */
static void read_rows(sample *s, size_t cut, float *out) {
  if (cut > 0) ef_mentors_mixture(&s->mentors, 0, cut, out);
  if (cut < R) ef_mentors_mixture(&s->mentors, cut, R - cut, out + cut * V);
}

static void check_open_mixture(sample *s, double sharpness, double holdout_sharpness) {
  static float out[R * V], again[R * V];
  double w[B][MOST];
  size_t count = s->s.count;
  weights_by_hand(s, sharpness, holdout_sharpness, w);
  for (size_t b = 0; b < B; b++) {
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
      sum += s->mentors.weights[b * count + i];
      cr_assert_float_eq(s->mentors.weights[b * count + i], w[b][i], 1e-5);
    }
    cr_assert_float_eq(sum, 1.0, 1e-12);
  }
  read_rows(s, 0, out);
  for (size_t r = 0; r < R; r++) {
    for (size_t v = 0; v < V; v++) {
      double p = 0.0;
      for (size_t i = 0; i < count; i++) {
        const float *z = s->s.logits[i] + r * V;
        p += w[r / T][i] * exp((double)z[v] - log_sum(z));
      }
      cr_assert_float_eq((double)out[r * V + v], log(p), 2e-5, "row %zu, token %zu: %g %g", r, v,
                         (double)out[r * V + v], log(p));
    }
  }
  const size_t cuts[] = {1, 31, 32, 33, 39, 40, 41, 79, 100};
  for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
    read_rows(s, cuts[c], again);
    cr_assert_eq(memcmp(out, again, sizeof out), 0, "cut at %zu", cuts[c]);
  }
}

static void check_mixture(size_t count, float scale, double sharpness) {
  static sample s;
  open_sample(&s, count, scale, sharpness);
  check_open_mixture(&s, sharpness, 0.0);
  close_sample(&s);
}

Test(mentors, give_the_logarithm_of_the_mixture) {
  check_mixture(2, 0.4f, 1.0);
  check_mixture(3, 0.4f, 20.0);
}

Test(mentors, uploads_of_the_last_round_teach_each_by_itself) {
  static sample s;
  open_uploads(&s, 0.4f, 5.0);
  cr_assert_eq(s.mentors.count, MOST);
  check_open_mixture(&s, 5.0, 0.0);
  close_sample(&s);
}

Test(mentors, weigh_by_the_holdout_too) {
  static sample s;
  teachers_sample_uploads(&s.s, 0.4f, 5.0, holdout_override);
  begin(&s);
  check_open_mixture(&s, 5.0, HOLDOUT_SHARPNESS);
  close_sample(&s);
  teachers_sample_proxies(&s.s, 3, 0.4f, 0.0, holdout_override);
  begin(&s);
  check_open_mixture(&s, 0.0, HOLDOUT_SHARPNESS);
  close_sample(&s);
}

/* Without a holdout nobody's loss on it is known. */
Test(mentors, unknown_losses_on_the_holdout_do_not_count) {
  static sample s;
  teachers_sample_uploads(&s.s, 0.4f, 5.0, holdout_override);
  for (size_t i = 0; i < MOST; i++) s.s.holdout_losses[i] = NAN;
  begin(&s);
  memset(s.s.holdout_losses, 0, sizeof s.s.holdout_losses);
  check_open_mixture(&s, 5.0, 0.0);
  close_sample(&s);
}

Test(mentors, without_sharpness_all_weigh_the_same) { check_mixture(3, 0.5f, 0.0); }

Test(mentors, one_proxy_gives_its_own_distribution) { check_mixture(1, 0.6f, 20.0); }

/* With this sharpness the losses of all but one proxy underflow. */
Test(mentors, great_sharpness_takes_the_best_proxy_of_each_window) {
  static sample s;
  open_sample(&s, 3, 0.8f, 1e6);
  for (size_t b = 0; b < B; b++) {
    size_t ones = 0;
    for (size_t i = 0; i < 3; i++) {
      double w = s.mentors.weights[b * 3 + i];
      cr_assert(w == 0.0 || w == 1.0);
      ones += w == 1.0;
    }
    cr_assert_eq(ones, 1);
  }
  close_sample(&s);
}

/* A forward pass of each proxy on each token: a third of what training it on that token would take. */
Test(mentors, say_what_a_token_costs) {
  static sample s;
  double wanted = 0.0;
  open_sample(&s, 3, 0.5f, 1.0);
  for (size_t i = 0; i < 3; i++) wanted += ef_dims_flops_per_token(&s.s.population.dims[i], T) / 3.0;
  cr_expect_float_eq(ef_mentors_flops(&s.mentors), wanted, 1e-9 * wanted);
  close_sample(&s);
}

Test(mentors, a_proxy_that_is_missing_is_an_error_and_leaks_nothing) {
  static sample s;
  open_sample(&s, 2, 0.5f, 1.0);
  ef_mentors more;
  s.s.clusters.count = 3;
  size_t blocks = ef_memory_blocks();
  cr_assert_neq(ef_mentors_create(&s.s.t.run, &s.s.population, &s.s.clusters, B, T, &more), EF_OK);
  cr_assert_eq(ef_memory_blocks(), blocks);
  close_sample(&s);
}
