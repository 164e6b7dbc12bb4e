#include "fusion/ofa.h"

#include "base/arena.h"
#include "base/memory.h"
#include "base/rng.h"
#include "model/head.h"
#include <math.h>
#include <string.h>

static const float NORM_EPS = 1e-5f;

struct ef_ofa {
  ef_ofa_shape shape;
  const ef_kernels *k;
  size_t rows;
  ef_arena arena;
  float *block;
  /* Of the branch under way. */
  float *mean, *rstd; /* (rows) */
  float *normed;      /* (rows,D) */
  float *inner;       /* (rows,D) before the activation */
  float *hidden;      /* (rows,D) after it; then the gradient of `inner` */
  float *dhidden;     /* (rows,D); then the gradient of `normed` */
};

/* One branch in a block of parameters or of gradients. */
typedef struct branch {
  float *norm_w, *norm_b, *w, *b;
} branch;

static size_t branch_floats(size_t D) { return D * D + 3 * D; }

static branch branch_of(float *block, size_t D, size_t j) {
  float *at = block + j * branch_floats(D);
  return (branch){at, at + D, at + 2 * D, at + 2 * D + D * D};
}

size_t ef_ofa_params(const ef_ofa_shape *a) { return a->J * branch_floats(a->width); }
float *ef_ofa_block(ef_ofa *o) { return o->block; }

/* ---- create and free ----------------------------------------------------------------------------------- */

static void carve(ef_ofa *o) {
  size_t all = o->rows * o->shape.width;
  o->block = ef_arena_floats(&o->arena, ef_ofa_params(&o->shape));
  o->mean = ef_arena_floats(&o->arena, o->rows);
  o->rstd = ef_arena_floats(&o->arena, o->rows);
  o->normed = ef_arena_floats(&o->arena, all);
  o->inner = ef_arena_floats(&o->arena, all);
  o->hidden = ef_arena_floats(&o->arena, all);
  o->dhidden = ef_arena_floats(&o->arena, all);
}

ef_status ef_ofa_create(const ef_ofa_shape *a, const ef_kernels *kernels, size_t rows, ef_ofa **ofa) {
  ef_ofa *made;
  *ofa = NULL;
  EF_TRY(EF_CHECK(a->width && a->J && rows, EF_DECK,
                  "OFA-KD: width %zu, %zu stages, %zu tokens: none may be 0", a->width, a->J, rows));
  EF_TRY(EF_NEW(made, 1));
  *made = (ef_ofa){.shape = *a, .k = kernels, .rows = rows};
  carve(made);
  ef_status status = ef_arena_place(&made->arena);
  if (status != EF_OK) {
    ef_ofa_free(made);
    return status;
  }
  carve(made);
  *ofa = made;
  return EF_OK;
}

void ef_ofa_free(ef_ofa *o) {
  if (!o) return;
  ef_arena_free(&o->arena);
  ef_free(o);
}

size_t ef_ofa_bytes(const ef_ofa_shape *shape, size_t rows) {
  ef_ofa measured = {.shape = *shape, .rows = rows};
  carve(&measured);
  ef_arena_take(&measured.arena, 1, sizeof measured);
  return measured.arena.used;
}

void ef_ofa_init(ef_ofa *o, uint64_t seed, uint64_t unit) {
  size_t D = o->shape.width;
  double deviation = 1.0 / sqrt((double)D);
  memset(o->block, 0, ef_ofa_params(&o->shape) * sizeof *o->block);
  for (size_t j = 0; j < o->shape.J; j++) {
    branch p = branch_of(o->block, D, j);
    ef_rng rng = ef_rng_stream(seed, EF_RNG_INIT, unit, (uint32_t)j);
    for (size_t i = 0; i < D; i++) p.norm_w[i] = 1.0f;
    for (size_t i = 0; i < D * D; i++) p.w[i] = (float)(deviation * ef_rng_normal(&rng));
  }
}

/* ---- a branch ------------------------------------------------------------------------------------------ */

static void forward(const ef_ofa *o, size_t j, const float *stage) {
  size_t D = o->shape.width, rows = o->rows;
  branch p = branch_of(o->block, D, j);
  o->k->layernorm(rows, D, NORM_EPS, stage, p.norm_w, p.norm_b, o->normed, o->mean, o->rstd);
  o->k->matmul(0, 1, rows, D, D, o->normed, D, p.w, D, 0.0f, o->inner, D);
  o->k->bias_add(rows, D, p.b, o->inner, D);
  o->k->gelu(rows * D, o->inner, o->hidden);
}

/* From dhidden to the gradients of the branch and of its stage. */
static void backward(const ef_ofa *o, size_t j, const float *stage, float *grads, float *dtap) {
  size_t D = o->shape.width, rows = o->rows;
  branch p = branch_of(o->block, D, j), g = branch_of(grads, D, j);
  float *dinner = o->hidden, *dnormed = o->dhidden;
  memset(dinner, 0, rows * D * sizeof *dinner);
  o->k->gelu_backward(rows * D, o->dhidden, o->inner, dinner);
  o->k->bias_backward(rows, D, dinner, D, g.b);
  o->k->matmul(1, 0, D, D, rows, dinner, D, o->normed, D, 1.0f, g.w, D);
  o->k->matmul(0, 0, rows, D, D, dinner, D, p.w, D, 0.0f, dnormed, D);
  memset(dtap, 0, rows * D * sizeof *dtap);
  o->k->layernorm_backward(rows, D, dnormed, stage, p.norm_w, o->mean, o->rstd, dtap, g.norm_w, g.norm_b);
}

double ef_ofa_loss(ef_ofa *o, const ef_comparison *c) {
  const ef_lesson *lesson = c->lesson;
  bool wanted = lesson->extra_grads != NULL;
  const ef_loss_spec spec = {.targets = lesson->targets,
                             .kl_scale = c->scale * lesson->mean,
                             .tau = o->shape.tau,
                             .teacher = c->logits,
                             .ofa = true,
                             .epsilon = o->shape.epsilon};
  ef_loss_sums sums = {0};
  for (size_t j = 0; j < o->shape.J; j++) {
    forward(o, j, c->student[j]);
    ef_head_loss(lesson->pass, lesson->model, &spec, o->hidden, wanted ? lesson->grads : NULL, o->dhidden,
                 NULL, &sums);
    if (wanted) backward(o, j, c->student[j], lesson->extra_grads, c->dtaps[j]);
  }
  return sums.kl * (double)lesson->mean / (double)o->shape.J;
}
