#include "fusion/features.h"

#include "base/rng.h"
#include "fusion/hints.h"
#include <string.h>

bool ef_features_ofa(const ef_deck *deck) { return strcmp(deck->fusion.features, "ofa") == 0; }

ef_features_spec ef_features_of(const ef_deck *deck, size_t student, size_t teacher) {
  const char *name = deck->fusion.features;
  size_t width = (size_t)deck->fusion.vaa_width;
  if (width == 0) width = student < 512 ? student : 512;
  ef_features_spec spec = {.kind = EF_FEATURES_VAA};
  spec.shape = (ef_vaa_shape){.student = student,
                              .teacher = teacher,
                              .J = (size_t)deck->fusion.stages,
                              .s = (size_t)deck->fusion.patch,
                              .d = width,
                              .heads = (size_t)deck->fusion.vaa_heads,
                              .causal = strcmp(deck->fusion.vaa_mask, "causal") == 0,
                              .normed = strcmp(deck->fusion.vaa_target, "normed") == 0,
                              .own_stage = strcmp(name, "own_stage") == 0,
                              .mlp = strcmp(name, "mlp") == 0};
  if (strcmp(name, "hints") == 0) spec.kind = EF_FEATURES_HINTS;
  if (ef_features_ofa(deck)) {
    spec.kind = EF_FEATURES_OFA;
    spec.ofa = (ef_ofa_shape){.width = student,
                              .J = (size_t)deck->fusion.stages,
                              .epsilon = (float)deck->fusion.ofa_epsilon,
                              .tau = (float)deck->fusion.tau};
  }
  if (strcmp(name, "none") == 0 || deck->fusion.alpha == 0.0) spec.kind = EF_FEATURES_NONE;
  return spec;
}

bool ef_features_attend(const ef_features_spec *spec) {
  return spec->kind == EF_FEATURES_VAA && !spec->shape.mlp;
}

/* ---- view-aligned attention and its variants ----------------------------------------------------------- */

static double vaa_loss(void *state, const ef_comparison *c) {
  return ef_vaa_loss(state, c->student, c->teacher, c->scale, c->lesson->extra_grads, c->dtaps);
}

static void vaa_mass(void *state, const float *const *student, double *mass) {
  ef_vaa_mass(state, student, mass);
}

static void vaa_init(void *state, uint64_t seed, uint64_t unit) { ef_vaa_init(state, seed, unit); }
static void vaa_release(void *state) { ef_vaa_free(state); }

static ef_status create_vaa(const ef_features_spec *spec, const ef_kernels *kernels, size_t B, size_t T,
                            ef_features *f) {
  ef_vaa *vaa;
  EF_TRY(ef_vaa_create(&spec->shape, kernels, B, T, &vaa));
  *f = (ef_features){.state = vaa,
                     .params = ef_vaa_block(vaa),
                     .count = ef_vaa_params(vaa),
                     .loss = vaa_loss,
                     .mass = ef_features_attend(spec) ? vaa_mass : NULL,
                     .init = vaa_init,
                     .release = vaa_release};
  return EF_OK;
}

/* ---- hints --------------------------------------------------------------------------------------------- */

static double hints_loss(void *state, const ef_comparison *c) {
  return ef_hints_loss(state, c->student, c->teacher, c->scale, c->lesson->extra_grads, c->dtaps);
}

static void hints_init(void *state, uint64_t seed, uint64_t unit) { ef_hints_init(state, seed, unit); }
static void hints_release(void *state) { ef_hints_free(state); }

static ef_hints_shape hints_of(const ef_vaa_shape *a) {
  return (ef_hints_shape){.student = a->student, .teacher = a->teacher, .J = a->J, .normed = a->normed};
}

static ef_status create_hints(const ef_vaa_shape *of, const ef_kernels *kernels, size_t B, size_t T,
                              ef_features *f) {
  ef_hints *hints;
  ef_hints_shape shape = hints_of(of);
  EF_TRY(ef_hints_create(&shape, kernels, B * T, &hints));
  *f = (ef_features){.state = hints,
                     .params = ef_hints_block(hints),
                     .count = ef_hints_params(&shape),
                     .loss = hints_loss,
                     .init = hints_init,
                     .release = hints_release};
  return EF_OK;
}

/* ---- OFA-KD -------------------------------------------------------------------------------------------- */

static double ofa_loss(void *state, const ef_comparison *c) { return ef_ofa_loss(state, c); }
static void ofa_init(void *state, uint64_t seed, uint64_t unit) { ef_ofa_init(state, seed, unit); }
static void ofa_release(void *state) { ef_ofa_free(state); }

static ef_status create_ofa(const ef_ofa_shape *shape, const ef_kernels *kernels, size_t rows,
                            ef_features *f) {
  ef_ofa *ofa;
  EF_TRY(ef_ofa_create(shape, kernels, rows, &ofa));
  *f = (ef_features){.state = ofa,
                     .params = ef_ofa_block(ofa),
                     .count = ef_ofa_params(shape),
                     .loss = ofa_loss,
                     .init = ofa_init,
                     .release = ofa_release};
  return EF_OK;
}

/* ---- all of them --------------------------------------------------------------------------------------- */

ef_status ef_features_create(const ef_features_spec *spec, const ef_kernels *kernels, size_t B, size_t T,
                             uint64_t seed, uint64_t unit, ef_features *f) {
  *f = (ef_features){0};
  switch (spec->kind) {
  case EF_FEATURES_NONE:
    return EF_OK;
  case EF_FEATURES_VAA:
    EF_TRY(create_vaa(spec, kernels, B, T, f));
    break;
  case EF_FEATURES_HINTS:
    EF_TRY(create_hints(&spec->shape, kernels, B, T, f));
    break;
  case EF_FEATURES_OFA:
    EF_TRY(create_ofa(&spec->ofa, kernels, B * T, f));
  }
  f->init(f->state, seed, unit);
  return EF_OK;
}

void ef_features_free(ef_features *f) {
  if (f->state) f->release(f->state);
  *f = (ef_features){0};
}

void ef_features_size(const ef_features_spec *spec, size_t B, size_t T, size_t *bytes, size_t *params) {
  ef_hints_shape hints = hints_of(&spec->shape);
  *bytes = *params = 0;
  if (spec->kind == EF_FEATURES_HINTS) {
    *bytes = ef_hints_bytes(&hints, B * T);
    *params = ef_hints_params(&hints);
  } else if (spec->kind == EF_FEATURES_OFA) {
    *bytes = ef_ofa_bytes(&spec->ofa, B * T);
    *params = ef_ofa_params(&spec->ofa);
  } else if (spec->kind == EF_FEATURES_VAA) {
    *bytes = ef_vaa_bytes(&spec->shape, B, T, params);
  }
}

void ef_features_order(const char *rule, uint64_t seed, size_t J, size_t *order) {
  bool reversed = strcmp(rule, "reversed") == 0;
  for (size_t j = 0; j < J; j++) order[j] = reversed ? J - 1 - j : j;
  if (strcmp(rule, "shuffled") != 0) return;
  ef_rng rng = ef_rng_stream(seed, EF_RNG_STAGES, 0, 0);
  for (size_t j = J; j-- > 1;) {
    size_t other = (size_t)ef_rng_below(&rng, j), kept = order[j];
    order[j] = order[other];
    order[other] = kept;
  }
}
