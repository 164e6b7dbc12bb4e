#include "train/trainer.h"

#include "base/memory.h"
#include "step/optimiser.h"
#include <math.h>
#include <string.h>

/* Places the arrays; called once to measure and once to place (base/arena.h). */
static void carve(ef_arena *arena, ef_trainer *t) {
  size_t n = t->model->table.floats, rows = t->recipe.batch * t->recipe.context;
  t->grads = ef_arena_floats(arena, n);
  t->m = ef_arena_floats(arena, n);
  t->v = ef_arena_floats(arena, n);
  t->best = t->recipe.holdout ? ef_arena_floats(arena, n) : NULL;
  t->extra_grads = ef_arena_floats(arena, t->objective.extra_count);
  t->extra_m = ef_arena_floats(arena, t->objective.extra_count);
  t->extra_v = ef_arena_floats(arena, t->objective.extra_count);
  t->dfinal = ef_arena_floats(arena, rows * t->model->dims.D);
  t->ids = ef_arena_take(arena, rows, sizeof(int32_t));
  t->targets = ef_arena_take(arena, rows, sizeof(int32_t));
  t->labels = t->recipe.soft ? ef_arena_take(arena, rows, sizeof(int32_t)) : NULL;
}

ef_status ef_trainer_create(ef_model *model, const ef_kernels *kernels, const ef_recipe *recipe,
                            const ef_source *source, const ef_objective *objective, ef_trainer *t) {
  *t = (ef_trainer){
      .model = model, .kernels = kernels, .recipe = *recipe, .source = *source, .best_loss = INFINITY};
  if (objective) t->objective = *objective;
  if (t->recipe.holdout && t->recipe.holdout->count < 2) t->recipe.holdout = NULL;
  t->ended = recipe->steps == 0;
  ef_status status = EF_OK;
  carve(&t->arena, t);
  EF_GO(ef_arena_place(&t->arena));
  carve(&t->arena, t);
  EF_GO(ef_history_create(recipe->steps, &t->history));
  EF_GO(ef_pass_create(&model->dims, kernels, EF_PASS_TRAIN, recipe->batch, recipe->context, true, NULL,
                       &t->pass));
  if (t->recipe.holdout) {
    EF_GO(ef_evaluator_create(&model->dims, kernels, recipe->batch, recipe->context, NULL, &t->evaluator));
  }
done:
  if (status != EF_OK) ef_trainer_free(t);
  return status;
}

void ef_trainer_free(ef_trainer *t) {
  ef_arena_free(&t->arena);
  ef_pass_free(t->pass);
  ef_evaluator_free(&t->evaluator);
  ef_history_free(&t->history);
  *t = (ef_trainer){0};
}

size_t ef_trainer_tokens(const ef_trainer *t) { return t->step * t->recipe.batch * t->recipe.context; }

/* Forward, losses, backward: gradients of the mean loss of the batch stand in grads and extra_grads. */
static ef_status gradients(ef_trainer *t, float *row) {
  size_t B = t->recipe.batch, T = t->recipe.context, counted = 0;
  EF_TRY(ef_source_sample(&t->source, t->step, 0, B, T, t->ids, t->targets));
  for (size_t i = 0; i < B * T; i++) counted += t->targets[i] != EF_IGNORE;
  float mean = counted ? 1.0f / (float)counted : 0.0f;
  ef_loss_spec spec = {.targets = t->targets, .labels = t->labels, .ce_scale = mean, .tau = 1.0f};
  if (t->labels) ef_source_labels(&t->source, t->step, 0, B, T, t->targets, t->labels);
  if (t->objective.begin) EF_TRY(t->objective.begin(t->objective.ctx, t->ids, B, T, &spec));
  spec.kl_scale *= mean;
  memset(t->grads, 0, t->model->table.floats * sizeof(float));
  EF_TRY(ef_forward(t->pass, t->model, t->ids, B, T));
  ef_loss_sums sums = {0};
  ef_loss(t->pass, t->model, &spec, t->grads, t->dfinal, NULL, &sums);
  row[EF_HISTORY_CE] = (float)(sums.ce * (double)mean);
  row[EF_HISTORY_KL] = spec.teacher ? (float)(sums.kl * (double)mean) : NAN;
  row[EF_HISTORY_FM] = NAN;
  ef_taps taps = {0};
  if (t->objective.features) {
    memset(t->extra_grads, 0, t->objective.extra_count * sizeof(float));
    const ef_lesson lesson = {t->pass, t->model, t->targets, mean, t->grads, t->extra_grads};
    double fm = t->objective.features(t->objective.ctx, &lesson, &taps);
    if (taps.at) row[EF_HISTORY_FM] = (float)fm;
  }
  return ef_backward(t->pass, t->model, t->dfinal, taps.at ? &taps : NULL, 1.0f, t->grads);
}

/* AdamW on the model and on the extra block, each clipped by its own norm. */
static ef_status update(ef_trainer *t, float loss) {
  const ef_kernels *k = t->kernels;
  size_t n = t->model->table.floats, extra = t->objective.extra_count;
  double norm2 = k->sum_squares(n, t->grads), extra2 = k->sum_squares(extra, t->extra_grads);
  EF_TRY(EF_CHECK(isfinite(loss) && isfinite(norm2) && isfinite(extra2), EF_NUMBERS,
                  "step %zu: the loss or a gradient is not finite; lower the learning rate", t->step + 1));
  ef_schedule schedule = {t->recipe.lr, t->recipe.min_lr, t->recipe.warmup, t->recipe.steps};
  ef_adamw adamw = ef_adamw_of(ef_schedule_lr(&schedule, t->step), t->recipe.decay, t->step + 1);
  adamw.grad_scale = ef_clip_factor(norm2, t->recipe.clip);
  k->adamw(&adamw, n, t->model->params, t->grads, t->m, t->v);
  if (extra == 0) return EF_OK;
  adamw.lr *= t->objective.extra_lr;
  adamw.grad_scale = ef_clip_factor(extra2, t->recipe.clip);
  k->adamw(&adamw, extra, t->objective.extra, t->extra_grads, t->extra_m, t->extra_v);
  return EF_OK;
}

/* Measures the holdout, keeps the best parameters, and ends the unit when patience is over. */
static ef_status look(ef_trainer *t, float *row) {
  ef_quality quality;
  EF_TRY(ef_evaluate(&t->evaluator, t->model, t->recipe.holdout, t->recipe.look_windows, &quality));
  double loss = ef_log_perplexity(&quality);
  row[EF_HISTORY_HOLDOUT] = (float)loss;
  if (loss < t->best_loss) {
    t->best_loss = loss;
    t->best_step = t->step;
    t->stale = 0;
    memcpy(t->best, t->model->params, t->model->table.floats * sizeof(float));
  } else if (++t->stale == t->recipe.patience) {
    t->ended = true;
  }
  return EF_OK;
}

ef_status ef_trainer_step(ef_trainer *t) {
  float *row = t->history.rows[t->step];
  EF_TRY(gradients(t, row));
  EF_TRY(update(t, row[EF_HISTORY_CE]));
  t->history.count = ++t->step;
  t->ended = t->step == t->recipe.steps;
  row[EF_HISTORY_HOLDOUT] = NAN;
  if (t->recipe.holdout && (t->step % t->recipe.look_every == 0 || t->ended)) EF_TRY(look(t, row));
  if (t->ended && t->best_step > 0) {
    memcpy(t->model->params, t->best, t->model->table.floats * sizeof(float));
  }
  return EF_OK;
}

size_t ef_trainer_bytes(const ef_model *model, const ef_recipe *recipe, size_t extra) {
  ef_model shape = *model;
  ef_trainer t = {.model = &shape, .recipe = *recipe, .objective.extra_count = extra};
  ef_arena arena = {0};
  carve(&arena, &t);
  size_t bytes = arena.used + recipe->steps * sizeof(*t.history.rows);
  bytes += ef_pass_bytes(&model->dims, EF_PASS_TRAIN, recipe->batch, recipe->context, true);
  if (!recipe->holdout) return bytes;
  size_t rows = recipe->batch * recipe->context;
  bytes += rows * (2 * sizeof(int32_t) + sizeof(float));
  return bytes + ef_pass_bytes(&model->dims, EF_PASS_EVAL, recipe->batch, recipe->context, false);
}
