#include "base/memory.h"
#include "federation/device.h"
#include "fusion/mentors.h"
#include "support/support.h"
#include "support/tiny_run.h"
#include "train/block_file.h"
#include "train/part.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Windows of 40 tokens straddle the blocks of 32 rows. */
enum { B = 3, T = 40, R = B * T, V = TINY_V, MOST = 3 };

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

typedef struct sample {
  tiny_run t;
  ef_population population;
  ef_clusters clusters;
  ef_cluster list[MOST];
  ef_mentors mentors;
  int32_t ids[R], targets[R];
  size_t count; /* teachers */
  size_t devices[MOST];
  float logits[MOST][R * V]; /* of each teacher, row by row */
} sample;

static ef_status write_model(void *ctx, ef_h5 *file) {
  const ef_model *model = ctx;
  return ef_block_write(file, "/model", &model->table, model->params, EF_BLOCK_ALL, true, "parameter");
}

/* Writes the part of teacher i and keeps its logits on the batch. */
static void make_teacher(sample *s, size_t i, const ef_part_key *key, int32_t entry, float scale) {
  const ef_dims *dims = &s->population.dims[entry];
  ef_model model;
  ef_pass *pass;
  cr_ok(ef_model_create(dims, &model));
  for (size_t n = 0; n < model.table.count; n++) {
    const ef_tensor *tensor = &model.table.tensors[n];
    test_fill(model.params + tensor->offset, tensor->count, scale, (unsigned)(50 * i + n));
  }
  cr_ok(ef_part_write(&s->t.run, key, false, &(ef_part_content){&model, write_model}));
  cr_ok(ef_pass_create(dims, s->t.run.kernels, EF_PASS_EVAL, B, T, false, NULL, &pass));
  cr_ok(ef_forward(pass, &model, s->ids, B, T));
  for (size_t r = 0; r < R; r++) ef_logits(pass, &model, r, 1, s->logits[i] + r * V);
  ef_pass_free(pass);
  ef_model_free(&model);
}

static void open_run(sample *s, size_t count, double sharpness, const char *teachers) {
  char sharp[64], who[64];
  snprintf(sharp, sizeof sharp, "tune.sharpness=%g", sharpness);
  snprintf(who, sizeof who, "tune.teachers=%s", teachers);
  const char *overrides[] = {"federation.context=40", "global.context=40", sharp, who, NULL};
  memset(s, 0, sizeof *s);
  tiny_run_open(&s->t, NULL, overrides);
  cr_ok(ef_population_make(&s->t.run, &s->population));
  ef_source source = {.general = &s->t.run.public_text, .seed = 4, .unit = 1};
  cr_ok(ef_source_sample(&source, 0, 0, B, T, s->ids, s->targets));
  s->count = count;
}

static void begin(sample *s) {
  cr_ok(ef_mentors_create(&s->t.run, &s->population, &s->clusters, B, T, &s->mentors));
  cr_ok(ef_mentors_begin(&s->mentors, s->ids, s->targets));
}

static void open_sample(sample *s, size_t count, float scale, double sharpness) {
  open_run(s, count, sharpness, "proxies");
  s->clusters = (ef_clusters){.count = count, .clusters = s->list};
  for (size_t i = 0; i < count; i++) {
    ef_part_key key = {.kind = EF_UNIT_PROXY, .index = i, .sections = "text,federation,eval,fusion"};
    s->list[i] = (ef_cluster){.entry = i, .members = 1}; /* another family each */
    make_teacher(s, i, &key, (int32_t)i, scale);
  }
  begin(s);
}

/* Devices 0 | 1, 2 in two clusters, after a second round. */
static void open_uploads(sample *s, float scale, double sharpness) {
  open_run(s, MOST, sharpness, "uploads");
  s->clusters = (ef_clusters){.count = 2, .clusters = s->list, .round = 1};
  int32_t *entry = s->population.entry;
  entry[2] = entry[1];
  s->list[0] = (ef_cluster){.entry = (size_t)entry[0], .members = 1, .devices = s->devices};
  s->list[1] = (ef_cluster){.entry = (size_t)entry[1], .members = 2, .devices = s->devices + 1};
  for (size_t n = 0; n < MOST; n++) {
    ef_part_key key = {
        .kind = EF_UNIT_DEVICE, .index = s->population.devices + n, .sections = EF_DEVICE_SECTIONS};
    s->devices[n] = n;
    make_teacher(s, n, &key, entry[n], scale);
  }
  begin(s);
}

static void close_sample(sample *s) {
  ef_mentors_free(&s->mentors);
  ef_population_free(&s->population);
  tiny_run_close(&s->t);
}

static double log_sum(const float *z) {
  double sum = 0.0;
  for (size_t v = 0; v < V; v++) sum += exp((double)z[v]);
  return log(sum);
}

/* softmax(-sharpness * loss) over the proxies; the loss of a window is its summed CE over T, as the code
 * counts it. */
static void weights_by_hand(const sample *s, double sharpness, double w[B][MOST]) {
  for (size_t b = 0; b < B; b++) {
    double sum = 0.0;
    for (size_t i = 0; i < s->count; i++) {
      double loss = 0.0;
      for (size_t r = b * T; r < (b + 1) * T; r++) {
        const float *z = s->logits[i] + r * V;
        if (s->targets[r] != EF_TOKEN_IGNORE) loss += log_sum(z) - (double)z[s->targets[r]];
      }
      sum += w[b][i] = exp(-sharpness * loss / T);
    }
    for (size_t i = 0; i < s->count; i++) w[b][i] /= sum;
  }
}

/* The rows in one go, and cut anywhere. */
static void read_rows(sample *s, size_t cut, float *out) {
  const ef_teacher *teacher = &s->mentors.teacher;
  if (cut > 0) teacher->logits(teacher->ctx, 0, cut, out);
  if (cut < R) teacher->logits(teacher->ctx, cut, R - cut, out + cut * V);
}

static void check_open_mixture(sample *s, double sharpness) {
  static float out[R * V], again[R * V];
  double w[B][MOST];
  size_t count = s->count;
  weights_by_hand(s, sharpness, w);
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
        const float *z = s->logits[i] + r * V;
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
  check_open_mixture(&s, sharpness);
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
  check_open_mixture(&s, 5.0);
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
Test(mentors, their_feed_says_what_they_cost) {
  static sample s;
  double wanted = 0.0;
  open_sample(&s, 3, 0.5f, 1.0);
  ef_text_feed text = ef_text_feed_of(&s.t.run, &s.t.run.public_text, 1);
  for (size_t i = 0; i < 3; i++) wanted += ef_dims_flops_per_token(&s.population.dims[i], T) / 3.0;
  cr_expect_float_eq(ef_mentors_feed(&s.t.run, &text, &s.mentors).teacher_flops, wanted, 1e-9 * wanted);
  cr_expect_eq(ef_text_feed_plain(&text).teacher_flops, 0.0);
  close_sample(&s);
}

Test(mentors, a_proxy_that_is_missing_is_an_error_and_leaks_nothing) {
  static sample s;
  open_sample(&s, 2, 0.5f, 1.0);
  ef_mentors more;
  s.clusters.count = 3;
  size_t blocks = ef_memory_blocks();
  cr_assert_neq(ef_mentors_create(&s.t.run, &s.population, &s.clusters, B, T, &more), EF_OK);
  cr_assert_eq(ef_memory_blocks(), blocks);
  close_sample(&s);
}
