#include "fusion/cka.h"

#include "base/arena.h"
#include <math.h>

/* The centred copies and norms of one side. */
typedef struct centred {
  float *stages; /* (count,rows,width) */
  double *norm;  /* (count): |X^T X|_F */
} centred;

typedef struct workspace {
  centred x, y;
  float *product; /* (largest width, largest width) */
} workspace;

static void carve(size_t rows, const ef_cka_side *x, const ef_cka_side *y, ef_arena *arena, workspace *w) {
  size_t widest = x->width > y->width ? x->width : y->width;
  w->x.stages = ef_arena_floats(arena, x->count * rows * x->width);
  w->y.stages = ef_arena_floats(arena, y->count * rows * y->width);
  w->x.norm = ef_arena_take(arena, x->count, sizeof *w->x.norm);
  w->y.norm = ef_arena_take(arena, y->count, sizeof *w->y.norm);
  w->product = ef_arena_floats(arena, widest * widest);
}

size_t ef_cka_bytes(size_t rows, const ef_cka_side *x, const ef_cka_side *y) {
  ef_arena arena = {0};
  workspace w;
  carve(rows, x, y, &arena, &w);
  return arena.used;
}

/* Each column less its mean, which is summed in double. */
static void centre(size_t rows, size_t width, const float *from, float *to) {
  for (size_t c = 0; c < width; c++) {
    double mean = 0.0;
    for (size_t r = 0; r < rows; r++) mean += (double)from[r * width + c];
    mean /= (double)rows;
    for (size_t r = 0; r < rows; r++) to[r * width + c] = (float)((double)from[r * width + c] - mean);
  }
}

/* |B^T A|_F^2 of A (rows,a) and B (rows,b). */
static double square(const ef_kernels *k, size_t rows, const float *A, size_t a, const float *B, size_t b,
                     float *product) {
  k->matmul(1, 0, b, a, rows, B, b, A, a, 0.0f, product, a);
  return k->sum_squares(b * a, product);
}

static void prepare(const ef_kernels *k, size_t rows, const ef_cka_side *side, centred *c, float *product) {
  for (size_t i = 0; i < side->count; i++) {
    float *stage = c->stages + i * rows * side->width;
    centre(rows, side->width, side->stages[i], stage);
    c->norm[i] = sqrt(square(k, rows, stage, side->width, stage, side->width, product));
  }
}

ef_status ef_cka(const ef_kernels *k, size_t rows, const ef_cka_side *x, const ef_cka_side *y, double *cka) {
  ef_arena arena = {0};
  workspace w;
  carve(rows, x, y, &arena, &w);
  EF_TRY(ef_arena_place(&arena));
  carve(rows, x, y, &arena, &w);
  prepare(k, rows, x, &w.x, w.product);
  prepare(k, rows, y, &w.y, w.product);
  for (size_t n = 0; n < x->count * y->count; n++) {
    size_t i = n / y->count, j = n % y->count;
    double norms = w.x.norm[i] * w.y.norm[j];
    cka[n] = norms > 0.0 ? square(k, rows, w.x.stages + i * rows * x->width, x->width,
                                  w.y.stages + j * rows * y->width, y->width, w.product) /
                               norms
                         : 0.0;
  }
  ef_arena_free(&arena);
  return EF_OK;
}
