#include "fusion/teacher.h"

#include "base/memory.h"

static void teacher_logits(void *ctx, size_t row, size_t rows, const float *student, float *out) {
  (void)student;
  ef_distiller *d = ctx;
  ef_logits(d->pass, d->proxy, row, rows, out);
}

static ef_status create_features(const ef_run *run, const ef_features_spec *spec, const ef_dims *student,
                                 uint64_t unit, ef_distiller *d) {
  const ef_deck *deck = run->deck;
  size_t J = spec->shape.J, B = (size_t)deck->fusion.batch, T = (size_t)deck->global.context;
  EF_TRY(EF_CHECK(J <= student->L && J <= d->proxy->dims.L, EF_DECK,
                  "fusion.stages = %zu, but the base has %zu layers and a proxy %zu", J, student->L,
                  d->proxy->dims.L));
  EF_TRY(ef_features_create(spec, run->kernels, B, T, (uint64_t)deck->run.seed, unit, &d->features));
  EF_TRY(EF_NEW(d->dtaps, J * B * T * student->D));
  EF_TRY(EF_NEW(d->at, student->L + 1));
  EF_TRY(EF_NEW(d->dtap, J));
  for (size_t j = 0; j < J; j++) {
    d->dtap[j] = d->dtaps + j * B * T * student->D;
    d->at[ef_vaa_tap(student->L, J, j + 1)] = d->dtap[j];
  }
  return EF_OK;
}

ef_status ef_distiller_create(const ef_run *run, ef_model *proxy, const ef_dims *student, uint64_t unit,
                              ef_distiller *d) {
  const ef_deck *deck = run->deck;
  *d = (ef_distiller){.deck = deck, .layers = student->L, .proxy = proxy};
  d->teacher = (ef_teacher){.ctx = d, .logits = teacher_logits};
  ef_features_order(deck->fusion.teacher_stages, (uint64_t)deck->run.seed, (size_t)deck->fusion.stages,
                    d->order);
  ef_features_spec spec = ef_features_of(deck, student->D, proxy->dims.D);
  ef_status status = EF_OK;
  EF_GO(ef_pass_create(&proxy->dims, run->kernels, EF_PASS_EVAL, (size_t)deck->fusion.batch,
                       (size_t)deck->global.context, true, NULL, &d->pass));
  if (spec.kind != EF_FEATURES_NONE) EF_GO(create_features(run, &spec, student, unit, d));
done:
  if (status != EF_OK) ef_distiller_free(d);
  return status;
}

void ef_distiller_free(ef_distiller *d) {
  ef_pass_free(d->pass);
  ef_features_free(&d->features);
  ef_free(d->dtaps);
  ef_free(d->at);
  ef_free(d->dtap);
  *d = (ef_distiller){0};
}

static ef_status begin(void *ctx, const int32_t *ids, size_t B, size_t T, ef_loss_spec *spec) {
  ef_distiller *d = ctx;
  EF_TRY(ef_forward(d->pass, d->proxy, ids, B, T));
  if (d->deck->fusion.beta == 0.0) return EF_OK;
  spec->teacher = &d->teacher;
  spec->kl_scale = (float)d->deck->fusion.beta;
  spec->tau = (float)d->deck->fusion.tau;
  spec->top_k = (size_t)d->deck->fusion.kl_top_k;
  spec->ofa = ef_features_ofa(d->deck);
  spec->epsilon = (float)d->deck->fusion.ofa_epsilon;
  return EF_OK;
}

static double features(void *ctx, const ef_lesson *lesson, ef_taps *taps) {
  ef_distiller *d = ctx;
  const float *of_student[EF_MOST_STAGES], *of_teacher[EF_MOST_STAGES];
  size_t J = (size_t)d->deck->fusion.stages;
  for (size_t j = 0; j < J; j++) {
    of_student[j] = ef_pass_residual(lesson->pass, ef_vaa_tap(d->layers, J, j + 1));
    of_teacher[j] = ef_pass_residual(d->pass, ef_vaa_tap(d->proxy->dims.L, J, d->order[j] + 1));
  }
  taps->at = d->at;
  const ef_comparison comparison = {.student = of_student,
                                    .teacher = of_teacher,
                                    .logits = &d->teacher,
                                    .lesson = lesson,
                                    .scale = (float)d->deck->fusion.alpha,
                                    .dtaps = d->dtap};
  return d->features.loss(d->features.state, &comparison);
}

ef_objective ef_distiller_objective(ef_distiller *d) {
  ef_objective objective = {.ctx = d, .begin = begin};
  if (!d->features.state) return objective;
  objective.features = features;
  objective.extra = d->features.params;
  objective.extra_count = d->features.count;
  objective.extra_lr = (float)d->deck->fusion.vaa_lr;
  return objective;
}
