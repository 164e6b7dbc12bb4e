#include "base/memory.h"
#include "base/rng.h"
#include "fusion/vaa_internal.h"

#include <math.h>

static const float HIDDEN = -1e30f; /* added to a score: the weight becomes 0 */

size_t ef_vaa_tap(size_t L, size_t J, size_t j) { return (j * L + J - 1) / J; }

size_t ef_vaa_count(const ef_vaa *vaa, ef_vaa_role role) {
  const ef_vaa_shape *a = &vaa->shape;
  switch (role) {
  case EF_VAA_PATCH_W:
    return a->d * a->s * a->student;
  case EF_VAA_OUT_W:
    return a->s * a->teacher * a->d;
  case EF_VAA_OUT_B:
    return a->s * a->teacher;
  case EF_VAA_POSITION:
    return vaa->P * a->d;
  case EF_VAA_STAGE:
    return a->J * a->d;
  case EF_VAA_MIX_W:
    return (a->mlp ? ef_vaa_mlp_width(a->d) : 3 * a->d) * a->d;
  case EF_VAA_MIX_OUT_W:
    return a->mlp ? ef_vaa_mlp_width(a->d) * a->d : 0;
  default:
    return a->d; /* b_j, and the norm */
  }
}

static void set_offsets(ef_vaa *vaa) {
  size_t at = 0;
  for (int role = 0; role < EF_VAA_ROLE_COUNT; role++) {
    if (role == EF_VAA_STAGE_ROLES) {
      vaa->stage_floats = at;
      at *= vaa->shape.J;
    }
    vaa->offset[role] = at;
    at += ef_vaa_count(vaa, (ef_vaa_role)role);
  }
  vaa->params = at;
}

static void carve(ef_vaa *vaa) {
  const ef_vaa_shape *a = &vaa->shape;
  ef_arena *arena = &vaa->arena;
  size_t rows = vaa->B * vaa->Q, Q = a->mlp ? 0 : vaa->Q, d = a->d;
  vaa->block = ef_arena_floats(arena, vaa->params);
  vaa->mask = ef_arena_floats(arena, Q * Q);
  vaa->padded = vaa->T % a->s == 0 ? NULL : ef_arena_floats(arena, vaa->N * a->s * a->student);
  vaa->stages = ef_arena_floats(arena, rows * d);
  vaa->x = ef_arena_floats(arena, rows * d);
  vaa->z = ef_arena_floats(arena, rows * d);
  vaa->y = ef_arena_floats(arena, rows * d);
  vaa->mean = ef_arena_floats(arena, rows);
  vaa->rstd = ef_arena_floats(arena, rows);
  vaa->qkv = ef_arena_floats(arena, rows * 3 * d);
  vaa->dqkv = ef_arena_floats(arena, rows * 3 * d);
  vaa->score = ef_arena_floats(arena, Q * Q);
  vaa->dscore = ef_arena_floats(arena, Q * Q);
  vaa->choice = ef_arena_take(arena, Q, sizeof *vaa->choice);
  vaa->weight = ef_arena_floats(arena, Q);
  vaa->error = ef_arena_floats(arena, vaa->N * a->s * a->teacher);
  size_t tokens = a->normed ? vaa->B * vaa->T : 0;
  vaa->target = (ef_target){.normed = a->normed,
                            .values = ef_arena_floats(arena, tokens * a->teacher),
                            .mean = ef_arena_floats(arena, tokens),
                            .rstd = ef_arena_floats(arena, tokens)};
}

void ef_vaa_layout(const ef_vaa_shape *shape, size_t B, size_t T, ef_vaa *vaa) {
  *vaa = (ef_vaa){.shape = *shape, .B = B, .T = T, .P = (T + shape->s - 1) / shape->s};
  vaa->Q = shape->J * vaa->P;
  vaa->N = B * vaa->P;
  set_offsets(vaa);
  carve(vaa);
}

static bool sees(const ef_vaa *vaa, size_t row, size_t column) {
  size_t P = vaa->P;
  if (vaa->shape.causal && column % P > row % P) return false;
  return !vaa->shape.own_stage || column / P == row / P;
}

static void set_mask(ef_vaa *vaa) {
  for (size_t i = 0; i < vaa->Q; i++) {
    for (size_t j = 0; j < vaa->Q; j++) vaa->mask[i * vaa->Q + j] = sees(vaa, i, j) ? 0.0f : HIDDEN;
  }
}

static ef_status check(const ef_vaa_shape *a, size_t B, size_t T) {
  if (!(a->student && a->teacher && a->J && a->s && a->d && a->heads && B && T)) {
    return ef_fail(
        EF_DECK, __FILE__, __LINE__,
        "view-aligned attention: widths %zu and %zu, %zu stages, %zu tokens of a patch, width %zu, "
        "%zu heads, batch %zu x %zu: none may be 0",
        a->student, a->teacher, a->J, a->s, a->d, a->heads, B, T);
  }
  return EF_CHECK(a->d % a->heads == 0, EF_DECK,
                  "view-aligned attention: width %zu is not divisible by %zu heads (fusion.vaa_width, "
                  "fusion.vaa_heads)",
                  a->d, a->heads);
}

ef_status ef_vaa_create(const ef_vaa_shape *shape, const ef_kernels *kernels, size_t B, size_t T,
                        ef_vaa **vaa) {
  *vaa = NULL;
  EF_TRY(check(shape, B, T));
  ef_vaa *made;
  EF_TRY(EF_NEW(made, 1));
  ef_vaa_layout(shape, B, T, made);
  made->k = kernels;
  ef_status status = ef_arena_place(&made->arena);
  if (status != EF_OK) {
    ef_vaa_free(made);
    return status;
  }
  carve(made);
  if (!shape->mlp) set_mask(made);
  *vaa = made;
  return EF_OK;
}

void ef_vaa_free(ef_vaa *vaa) {
  if (!vaa) return;
  ef_arena_free(&vaa->arena);
  ef_free(vaa);
}

size_t ef_vaa_bytes(const ef_vaa_shape *shape, size_t B, size_t T, size_t *params) {
  ef_vaa measured;
  ef_vaa_layout(shape, B, T, &measured);
  ef_arena_take(&measured.arena, 1, sizeof measured);
  *params = measured.params;
  return measured.arena.used;
}

size_t ef_vaa_params(const ef_vaa *vaa) { return vaa->params; }
float *ef_vaa_block(ef_vaa *vaa) { return vaa->block; }

/* Standard deviation of the first values; 0: none are drawn. */
static double deviation(const ef_vaa_shape *a, ef_vaa_role role) {
  switch (role) {
  case EF_VAA_PATCH_W:
    return 1.0 / sqrt((double)(a->s * a->student));
  case EF_VAA_OUT_W:
  case EF_VAA_MIX_W:
    return 1.0 / sqrt((double)a->d);
  case EF_VAA_MIX_OUT_W:
    return 1.0 / sqrt((double)ef_vaa_mlp_width(a->d));
  case EF_VAA_POSITION:
  case EF_VAA_STAGE:
    return 0.02;
  default:
    return 0.0;
  }
}

void ef_vaa_init(ef_vaa *vaa, uint64_t seed, uint64_t unit) {
  uint32_t tensor = 0;
  for (int role = 0; role < EF_VAA_ROLE_COUNT; role++) {
    size_t copies = role < EF_VAA_STAGE_ROLES ? vaa->shape.J : 1;
    double scale = deviation(&vaa->shape, (ef_vaa_role)role);
    float constant = role == EF_VAA_NORM_W ? 1.0f : 0.0f;
    for (size_t j = 0; j < copies; j++) {
      float *p = vaa->block + ef_vaa_at(vaa, (ef_vaa_role)role, j);
      ef_rng rng = ef_rng_stream(seed, EF_RNG_INIT, unit, tensor++);
      for (size_t i = 0; i < ef_vaa_count(vaa, (ef_vaa_role)role); i++)
        p[i] = scale > 0.0 ? (float)(scale * ef_rng_normal(&rng)) : constant;
    }
  }
}
