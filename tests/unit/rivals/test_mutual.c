/* Which logits are chosen, what distribution they stand for, and the loss that is learnt from them: against
 * the definition, in doubles. */
#include "base/memory.h"
#include "logits_sample.h"
#include "rivals/mutual.h"
#include "step/step.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { B = 2, M = 2, T = TINY_T, ROWS = B * M * T, V = TINY_V, UNIT = 77 };

static ef_stream text;
static ef_samples samples;
static const ef_kernels *kernels;

static void open_samples(void) {
  kernels = ef_kernels_find("ref");
  sample_open(&text, &samples);
}

static void close_samples(void) { sample_close(&text, &samples); }

/* ---- the choice ---------------------------------------------------------------------------------------- */

Test(mutual, the_lowest_loss_wins_and_ties_go_to_the_first) {
  enum { SETS = 4 }; /* the server and three devices */
  open_samples();
  ef_logit_set set[SETS], best = sample_set(&samples, 20);
  int32_t winner[SAMPLE_WINDOWS];
  for (unsigned s = 0; s < SETS; s++) set[s] = sample_set(&samples, 20 + s);
  set[1].loss[3] = set[0].loss[3] = 0.0f;  /* the server before a device */
  set[2].loss[4] = set[3].loss[4] = -0.5f; /* the lower device */
  set[1].loss[5] = NAN;                    /* no number, no win */
  best.loss[3] = 0.0f;
  for (size_t w = 0; w < SAMPLE_WINDOWS; w++) winner[w] = EF_WON_BY_SERVER;
  for (int32_t s = 1; s < SETS; s++) ef_logits_choose(&samples, &set[s], s - 1, &best, winner);
  for (size_t w = 0; w < SAMPLE_WINDOWS; w++) {
    size_t right = 0, at = samples.first[w] * SAMPLE_K, n = samples.first[w + 1] * SAMPLE_K - at;
    for (size_t s = 1; s < SETS; s++) right = set[s].loss[w] < set[right].loss[w] ? s : right;
    cr_assert_eq(winner[w], (int32_t)right - 1, "window %zu", w);
    cr_assert_eq(best.loss[w], set[right].loss[w]);
    cr_assert_eq(memcmp(best.logit + at, set[right].logit + at, n * sizeof(float)), 0);
    cr_assert_eq(memcmp(best.index + at, set[right].index + at, n * sizeof(int32_t)), 0);
  }
  cr_assert(winner[3] == EF_WON_BY_SERVER && winner[4] == 1);
  for (unsigned s = 0; s < SETS; s++) ef_logit_set_free(&set[s]);
  ef_logit_set_free(&best);
  close_samples();
}

/* ---- the loss ------------------------------------------------------------------------------------------ */

/* One step's batch, and the target distribution of each row by the definition. */
typedef struct batch {
  int32_t ids[ROWS], targets[ROWS];
  double q[ROWS][V];
  size_t counted;
} batch;

/* Windows where the set's loss is not below `own` (if there is one) have their label as the target. */
static void make_batch(const ef_logit_set *set, const float *own, batch *b) {
  size_t drawn[B * M];
  ef_source source = {.general = &text, .seed = 1, .unit = UNIT, .drawn = drawn};
  cr_assert_eq(ef_source_sample(&source, 0, 0, B * M, T, b->ids, b->targets), EF_OK);
  b->counted = 0;
  for (size_t r = 0; r < ROWS; r++) {
    if (b->targets[r] == EF_IGNORE) continue;
    size_t w = drawn[r / T], token = samples.first[w];
    for (size_t t = r / T * T; t < r; t++) token += b->targets[t] != EF_IGNORE;
    memset(b->q[r], 0, sizeof b->q[r]);
    b->q[r][b->targets[r]] = 1.0;
    if (!own || set->loss[w] < own[w]) sample_target(set, token, b->q[r]);
    b->counted++;
  }
}

/* sum over the rows of (1-lambda) CE(label) + lambda CE(q), and the head's gradient sum (p - (1-lambda) y -
 * lambda q) h^T (V,D), both times scale. */
static double plain_loss(const ef_model *model, const batch *b, double lambda, double scale, double *dhead) {
  size_t D = model->dims.D;
  float logits[ROWS * V];
  ef_pass *pass;
  double loss = 0.0;
  cr_assert_eq(ef_pass_create(&model->dims, kernels, EF_PASS_EVAL, B * M, T, false, NULL, &pass), EF_OK);
  cr_assert_eq(ef_forward(pass, model, b->ids, B * M, T), EF_OK);
  ef_logits(pass, model, 0, ROWS, logits);
  for (size_t r = 0; r < ROWS; r++) {
    double sum = 0.0;
    if (b->targets[r] == EF_IGNORE) continue;
    for (size_t v = 0; v < V; v++) sum += exp((double)logits[r * V + v]);
    for (size_t v = 0; v < V; v++) {
      double log_p = (double)logits[r * V + v] - log(sum);
      double wanted = (1.0 - lambda) * (v == (size_t)b->targets[r]) + lambda * b->q[r][v];
      loss -= scale * wanted * log_p;
      for (size_t d = 0; dhead && d < D; d++)
        dhead[v * D + d] += scale * (exp(log_p) - wanted) * (double)ef_pass_final(pass)[r * D + d];
    }
  }
  ef_pass_free(pass);
  return loss;
}

/* The gradient points where the loss rises: the slope along it is its norm. */
static void check_gradient(const ef_model *model, const batch *b, double lambda, double scale,
                           const float *gradient) {
  size_t n = model->table.floats, D = model->dims.D, head = 0;
  double norm = 0.0, eps = 3e-4, side[2], *dhead = NULL;
  float *kept = NULL;
  cr_assert_eq(EF_NEW(dhead, V * D), EF_OK);
  cr_assert_eq(EF_NEW(kept, n), EF_OK);
  plain_loss(model, b, lambda, scale, dhead);
  while (model->table.tensors[head].role != EF_T_HEAD_W) head++;
  const float *got = gradient + model->table.tensors[head].offset;
  for (size_t i = 0; i < V * D; i++)
    cr_assert_float_eq(got[i], dhead[i], 1e-6, "%g %g", (double)got[i], dhead[i]);
  for (size_t i = 0; i < n; i++) norm += (double)gradient[i] * (double)gradient[i];
  norm = sqrt(norm);
  memcpy(kept, model->params, n * sizeof *kept);
  for (int s = 0; s < 2; s++) {
    for (size_t i = 0; i < n; i++)
      model->params[i] = kept[i] + (float)((s ? -eps : eps) * (double)gradient[i] / norm);
    side[s] = plain_loss(model, b, lambda, scale, NULL);
  }
  memcpy(model->params, kept, n * sizeof *kept);
  cr_assert_float_eq((side[0] - side[1]) / (2.0 * eps), norm, 2e-4 * norm, "%g %g",
                     (side[0] - side[1]) / (2.0 * eps), norm);
  ef_free(dhead);
  ef_free(kept);
}

/* One step of the server on a feed, as fusion/tune.c takes it; the first moment after one step is (1 - beta1)
 * times the gradient. */
static ef_step_result server_step(ef_model *model, const ef_feed *feed, float *gradient);

static const ef_feed *stepped_feed;
static size_t stepped;
static ef_status next_batch(void *ctx, size_t micro, int32_t *ids, int32_t *targets) {
  (void)ctx;
  return stepped_feed->batch(stepped_feed->ctx, stepped, micro, ids, targets);
}

static ef_step_result server_step(ef_model *model, const ef_feed *feed, float *gradient) {
  ef_par alone = ef_par_alone();
  ef_step *step;
  ef_step_shape shape = {.B = B, .T = T, .M = M, .train_experts = true};
  ef_batches batches = {.batch = next_batch};
  float mean = 1.0f / (float)ROWS, *m, *v;
  size_t floats;
  ef_step_spec spec = {.ce_scale = feed->ce * mean,
                       .kl_scale = feed->kl * mean,
                       .tau = feed->tau,
                       .teacher = feed->teacher,
                       .adamw = {.lr = 1e-2f, .beta1 = 0.5f, .beta2 = 0.95f, .eps = 1e-8f, .step = 1}};
  ef_step_result result;
  stepped_feed = feed;
  stepped = 0;
  cr_assert_eq(ef_step_create(&alone, kernels, model, &shape, &step), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_step_run(step, &batches, &spec, &result), EF_OK, "%s", ef_message());
  ef_step_moments(step, &m, &v, &floats);
  cr_assert_eq(floats, model->table.floats);
  for (size_t i = 0; gradient && i < floats; i++) gradient[i] = 2.0f * m[i];
  ef_step_free(step);
  return result;
}

Test(mutual, a_step_of_the_server_is_that_of_the_two_cross_entropies) {
  const double lambda = 0.1;
  open_samples();
  ef_model model = sample_model(true, 9), before = sample_model(true, 9);
  ef_logit_set set = sample_set(&samples, 30);
  ef_soft_labels labels;
  batch b;
  float *gradient;
  model.dims.aux_coef = 0.0f;
  cr_assert_eq(EF_NEW(gradient, model.table.floats), EF_OK);
  cr_assert_eq(ef_soft_labels_create(&samples, &set, NULL, V, B, lambda, &labels), EF_OK);
  make_batch(&set, NULL, &b);
  ef_feed feed = ef_soft_labels_feed(&labels, 1, UNIT);
  ef_step_result result = server_step(&model, &feed, gradient);
  check_gradient(&before, &b, lambda, 1.0 / ROWS, gradient);

  /* The sums that are reported: CE, and the KL, which is CE(q) less the entropy of q. */
  double ce = plain_loss(&before, &b, 0.0, 1.0, NULL), kl = plain_loss(&before, &b, 1.0, 1.0, NULL);
  for (size_t r = 0; r < ROWS; r++) {
    for (size_t v = 0; v < V && b.targets[r] != EF_IGNORE; v++)
      kl += b.q[r][v] > 0.0 ? b.q[r][v] * log(b.q[r][v]) : 0.0;
  }
  cr_assert_float_eq(result.loss.ce, ce, 1e-4 * ce);
  cr_assert_float_eq(result.loss.kl, kl, 1e-4 * kl);
  ef_free(gradient);
  ef_soft_labels_free(&labels);
  ef_logit_set_free(&set);
  ef_model_free(&model);
  ef_model_free(&before);
  close_samples();
}

Test(mutual, without_the_second_loss_a_step_is_plain_training_on_these_windows) {
  open_samples();
  size_t drawn[B];
  ef_model model = sample_model(true, 9), plain = sample_model(true, 9);
  ef_logit_set set = sample_set(&samples, 30);
  ef_soft_labels labels;
  cr_assert_eq(ef_soft_labels_create(&samples, &set, NULL, V, B, 0.0, &labels), EF_OK);
  ef_text_feed windows = {
      .source = {.general = &text, .seed = 1, .unit = UNIT, .drawn = drawn}, .B = B, .T = T};
  ef_feed feed = ef_soft_labels_feed(&labels, 1, UNIT), wanted = ef_text_feed_plain(&windows);
  server_step(&model, &feed, NULL);
  server_step(&plain, &wanted, NULL);
  cr_assert_eq(memcmp(model.params, plain.params, plain.table.floats * sizeof(float)), 0);
  ef_soft_labels_free(&labels);
  ef_logit_set_free(&set);
  ef_model_free(&model);
  ef_model_free(&plain);
  close_samples();
}

/* ---- a device ------------------------------------------------------------------------------------------ */

/* Moments after one step of a trainer with batches of B * M samples; the trainer's scale is the mean over the
 * counted tokens. beta1 is 0.9. */
static void device_step(ef_model *model, ef_soft_labels *labels, float *gradient) {
  ef_recipe recipe = {.steps = 2, .batch = B * M, .context = T, .lr = 1e-3, .min_lr = 1.0};
  ef_objective objective = ef_soft_labels_objective(labels);
  ef_source source = ef_soft_labels_source(labels, 1, UNIT);
  ef_trainer trainer;
  cr_assert_eq(ef_trainer_create(model, kernels, &recipe, &source, &objective, &trainer), EF_OK);
  cr_assert_eq(ef_trainer_step(&trainer), EF_OK, "%s", ef_message());
  for (size_t i = 0; i < model->table.floats; i++) gradient[i] = trainer.m[i] / 0.1f;
  ef_trainer_free(&trainer);
}

static void check_device(double lambda, float better) {
  open_samples();
  ef_model model = sample_model(true, 10), before = sample_model(true, 10);
  ef_logit_set set = sample_set(&samples, 31), own = sample_set(&samples, 32);
  ef_soft_labels labels;
  batch b;
  float *gradient;
  for (size_t w = 0; w < SAMPLE_WINDOWS; w++) own.loss[w] -= better;
  model.dims.aux_coef = 0.0f;
  cr_assert_eq(EF_NEW(gradient, model.table.floats), EF_OK);
  cr_assert_eq(ef_soft_labels_create(&samples, &set, own.loss, V, B * M, lambda, &labels), EF_OK);
  make_batch(&set, own.loss, &b);
  device_step(&model, &labels, gradient);
  check_gradient(&before, &b, lambda, 1.0 / (double)b.counted, gradient);
  ef_free(gradient);
  ef_soft_labels_free(&labels);
  ef_logit_set_free(&set);
  ef_logit_set_free(&own);
  ef_model_free(&model);
  ef_model_free(&before);
  close_samples();
}

Test(mutual, a_device_learns_where_the_server_is_better) { check_device(0.3, 0.0f); }
Test(mutual, a_device_that_is_better_everywhere_learns_from_labels_alone) { check_device(0.9, 2.0f); }
