#include "vaa_plain.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* One sequence: rows q = j*P + p of width d. */
typedef struct rows {
  size_t P, Q, d;
  double *x, *qkv, *y;
} rows;

typedef struct block {
  size_t per_stage;
  const float *stage0, *position, *stage, *norm_w, *norm_b, *mix; /* W_q, W_k, W_v; or W_1, W_2 */
} block;

static block divide(const ef_vaa_shape *a, size_t P, const float *p) {
  block t = {.per_stage = a->s * a->student * a->d + a->d + a->s * a->teacher * (a->d + 1), .stage0 = p};
  t.position = p + a->J * t.per_stage;
  t.stage = t.position + P * a->d;
  t.norm_w = t.stage + a->J * a->d;
  t.norm_b = t.norm_w + a->d;
  t.mix = t.norm_b + a->d;
  return t;
}

/* X_j[p] = b_j + sum_u W_j[u] F_j[p s + u] + pos[p] + st[j], F = 0 behind T. */
static void embed(const ef_vaa_shape *a, const block *t, size_t b, size_t T, float *const *student, rows *r) {
  for (size_t j = 0; j < a->J; j++) {
    const float *w = t->stage0 + j * t->per_stage, *bias = w + a->d * a->s * a->student;
    for (size_t p = 0; p < r->P; p++) {
      for (size_t c = 0; c < a->d; c++) {
        double sum = (double)bias[c] + (double)t->position[p * a->d + c] + (double)t->stage[j * a->d + c];
        for (size_t u = 0; u < a->s && p * a->s + u < T; u++) {
          for (size_t i = 0; i < a->student; i++)
            sum += (double)w[(c * a->s + u) * a->student + i] *
                   (double)student[j][(b * T + p * a->s + u) * a->student + i];
        }
        r->x[(j * r->P + p) * a->d + c] = sum;
      }
    }
  }
}

/* (x - mean) / sqrt(variance + 1e-5) */
static void normalise(size_t n, double *x) {
  double mean = 0.0, variance = 0.0;
  for (size_t i = 0; i < n; i++) mean += x[i] / (double)n;
  for (size_t i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean) / (double)n;
  for (size_t i = 0; i < n; i++) x[i] = (x[i] - mean) / sqrt(variance + 1e-5);
}

static void norm_rows(const block *t, rows *r) {
  for (size_t q = 0; q < r->Q; q++) {
    double *z = r->x + q * r->d;
    normalise(r->d, z);
    for (size_t c = 0; c < r->d; c++) z[c] = z[c] * (double)t->norm_w[c] + (double)t->norm_b[c];
  }
}

static void project(const block *t, rows *r) {
  for (size_t q = 0; q < r->Q; q++) {
    const double *z = r->x + q * r->d;
    for (size_t o = 0; o < 3 * r->d; o++) {
      r->qkv[q * 3 * r->d + o] = 0.0;
      for (size_t c = 0; c < r->d; c++) r->qkv[q * 3 * r->d + o] += z[c] * (double)t->mix[o * r->d + c];
    }
  }
}

static void attend(const ef_vaa_shape *a, rows *r) {
  size_t d = r->d, width = d / a->heads;
  for (size_t q = 0; q < r->Q; q++) {
    for (size_t h = 0; h < a->heads; h++) {
      double total = 0.0, *y = r->y + q * d + h * width;
      memset(y, 0, width * sizeof *y);
      for (size_t k = 0; k < r->Q; k++) {
        if (a->causal && k % r->P > q % r->P) continue;
        if (a->own_stage && k / r->P != q / r->P) continue;
        double score = 0.0;
        for (size_t c = h * width; c < (h + 1) * width; c++)
          score += r->qkv[q * 3 * d + c] * r->qkv[k * 3 * d + d + c];
        double weight = exp(score / sqrt((double)width)); /* scores of these tests are small */
        total += weight;
        for (size_t c = 0; c < width; c++) y[c] += weight * r->qkv[k * 3 * d + 2 * d + h * width + c];
      }
      for (size_t c = 0; c < width; c++) y[c] /= total;
    }
  }
}

/* y = W_2 gelu(W_1 z), gelu(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))); m = floor(3 d / 2). */
static void run_mlp(const block *t, rows *r) {
  size_t d = r->d, m = d + d / 2;
  memset(r->y, 0, r->Q * d * sizeof *r->y);
  for (size_t q = 0; q < r->Q; q++) {
    for (size_t i = 0; i < m; i++) {
      double x = 0.0;
      for (size_t c = 0; c < d; c++) x += (double)t->mix[i * d + c] * r->x[q * d + c];
      x *= 0.5 * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
      for (size_t c = 0; c < d; c++) r->y[q * d + c] += (double)t->mix[m * d + c * m + i] * x;
    }
  }
}

/* Sum of squares of R_j y + c_j - N(F^T) over the real tokens of stage j of sequence b. */
static double stage_squares(const ef_vaa_shape *a, const block *t, const rows *r, size_t j, size_t b,
                            size_t T, const float *teacher) {
  const float *w = t->stage0 + j * t->per_stage + a->d * a->s * a->student + a->d,
              *bias = w + a->s * a->teacher * a->d;
  double *target = malloc(a->teacher * sizeof *target), squares = 0.0;
  for (size_t at = 0; at < T; at++) {
    size_t p = at / a->s, u = at % a->s;
    for (size_t i = 0; i < a->teacher; i++) target[i] = (double)teacher[(b * T + at) * a->teacher + i];
    if (a->normed) normalise(a->teacher, target);
    for (size_t i = 0; i < a->teacher; i++) {
      double f = (double)bias[u * a->teacher + i];
      for (size_t c = 0; c < a->d; c++)
        f += (double)w[(u * a->teacher + i) * a->d + c] * r->y[(j * r->P + p) * a->d + c];
      squares += (f - target[i]) * (f - target[i]);
    }
  }
  free(target);
  return squares;
}

double vaa_plain_loss(const ef_vaa_shape *a, size_t B, size_t T, const float *params, float *const *student,
                      float *const *teacher) {
  rows r = {.P = (T + a->s - 1) / a->s, .d = a->d};
  r.Q = a->J * r.P;
  r.x = malloc(r.Q * a->d * sizeof *r.x);
  r.qkv = malloc(r.Q * 3 * a->d * sizeof *r.qkv);
  r.y = malloc(r.Q * a->d * sizeof *r.y);
  block t = divide(a, r.P, params);
  double squares = 0.0;
  for (size_t b = 0; b < B; b++) {
    embed(a, &t, b, T, student, &r);
    norm_rows(&t, &r);
    if (a->mlp) run_mlp(&t, &r);
    if (!a->mlp) project(&t, &r);
    if (!a->mlp) attend(a, &r);
    for (size_t j = 0; j < a->J; j++) squares += stage_squares(a, &t, &r, j, b, T, teacher[j]);
  }
  free(r.x);
  free(r.qkv);
  free(r.y);
  return squares / (double)(B * T * a->teacher);
}
