#include "fusion/hints.h"

#include "base/arena.h"
#include "base/memory.h"
#include "base/rng.h"
#include "fusion/target.h"
#include <math.h>
#include <string.h>

struct ef_hints {
  ef_hints_shape shape;
  const ef_kernels *k;
  size_t rows;
  ef_arena arena;
  float *block;
  float *error; /* (rows,D_T): F' - N(F), then the gradient of the loss by F' */
  ef_target target;
};

static size_t stage_floats(const ef_hints_shape *a) { return a->teacher * a->student + a->teacher; }

size_t ef_hints_params(const ef_hints_shape *a) { return a->J * stage_floats(a); }
float *ef_hints_block(ef_hints *h) { return h->block; }

static void carve(ef_hints *h) {
  const ef_hints_shape *a = &h->shape;
  size_t normed = a->normed ? h->rows : 0;
  h->block = ef_arena_floats(&h->arena, ef_hints_params(a));
  h->error = ef_arena_floats(&h->arena, h->rows * a->teacher);
  h->target = (ef_target){.normed = a->normed,
                          .values = ef_arena_floats(&h->arena, normed * a->teacher),
                          .mean = ef_arena_floats(&h->arena, normed),
                          .rstd = ef_arena_floats(&h->arena, normed)};
}

ef_status ef_hints_create(const ef_hints_shape *a, const ef_kernels *kernels, size_t rows, ef_hints **hints) {
  ef_hints *made;
  *hints = NULL;
  EF_TRY(EF_CHECK(a->student && a->teacher && a->J && rows, EF_DECK,
                  "hints: widths %zu and %zu, %zu stages, %zu tokens: none may be 0", a->student, a->teacher,
                  a->J, rows));
  EF_TRY(EF_NEW(made, 1));
  *made = (ef_hints){.shape = *a, .k = kernels, .rows = rows};
  carve(made);
  ef_status status = ef_arena_place(&made->arena);
  if (status != EF_OK) {
    ef_hints_free(made);
    return status;
  }
  carve(made);
  *hints = made;
  return EF_OK;
}

void ef_hints_free(ef_hints *h) {
  if (!h) return;
  ef_arena_free(&h->arena);
  ef_free(h);
}

size_t ef_hints_bytes(const ef_hints_shape *shape, size_t rows) {
  ef_hints measured = {.shape = *shape, .rows = rows};
  carve(&measured);
  ef_arena_take(&measured.arena, 1, sizeof measured);
  return measured.arena.used;
}

void ef_hints_init(ef_hints *h, uint64_t seed, uint64_t unit) {
  const ef_hints_shape *a = &h->shape;
  double deviation = 1.0 / sqrt((double)a->student);
  memset(h->block, 0, ef_hints_params(a) * sizeof *h->block);
  for (size_t j = 0; j < a->J; j++) {
    float *matrix = h->block + j * stage_floats(a);
    ef_rng rng = ef_rng_stream(seed, EF_RNG_INIT, unit, (uint32_t)j);
    for (size_t i = 0; i < a->teacher * a->student; i++) matrix[i] = (float)(deviation * ef_rng_normal(&rng));
  }
}

/* Leaves F'_j - N(F_j^T) in `error` and returns its mean square. */
static double stage_loss(const ef_hints *h, size_t j, const float *student, const float *teacher) {
  size_t in = h->shape.student, out = h->shape.teacher;
  const float *matrix = h->block + j * stage_floats(&h->shape);
  h->k->matmul(0, 1, h->rows, out, in, student, in, matrix, in, 0.0f, h->error, out);
  h->k->bias_add(h->rows, out, matrix + out * in, h->error, out);
  h->k->axpy(h->rows * out, -1.0f, ef_target_of(&h->target, h->k, h->rows, out, teacher), h->error);
  return h->k->sum_squares(h->rows * out, h->error) / (double)(h->rows * out);
}

static void stage_backward(const ef_hints *h, size_t j, const float *student, float scale, float *grads,
                           float *dtap) {
  size_t in = h->shape.student, out = h->shape.teacher, at = j * stage_floats(&h->shape);
  h->k->scale(h->rows * out, (float)(2.0 * (double)scale / (double)(h->rows * out)), h->error);
  h->k->bias_backward(h->rows, out, h->error, out, grads + at + out * in);
  h->k->matmul(1, 0, out, in, h->rows, h->error, out, student, in, 1.0f, grads + at, in);
  h->k->matmul(0, 0, h->rows, in, out, h->error, out, h->block + at, in, 0.0f, dtap, in);
}

double ef_hints_loss(ef_hints *h, const float *const *student, const float *const *teacher, float scale,
                     float *grads, float *const *dtaps) {
  double loss = 0.0;
  for (size_t j = 0; j < h->shape.J; j++) {
    loss += stage_loss(h, j, student[j], teacher[j]);
    if (grads) stage_backward(h, j, student[j], scale, grads, dtaps[j]);
  }
  return loss;
}
