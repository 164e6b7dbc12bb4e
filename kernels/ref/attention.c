#include "kernels/ref/ref.h"

#include <math.h>

static double dot(size_t n, const float *x, const float *y) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i] * y[i];
  return sum;
}

/* Offsets of a query row, a key row, a row of out and an element of lse. */
static size_t q_at(const ef_attention *a, size_t b, size_t i, size_t n) {
  return b * a->q_batch + i * a->q_row + n * a->q_head;
}

static size_t k_at(const ef_attention *a, size_t b, size_t j, size_t g) {
  return b * a->k_batch + j * a->k_row + g * a->k_head;
}

static size_t out_at(const ef_attention *a, size_t b, size_t i, size_t n) {
  return ((b * a->Tq + i) * a->H + n) * a->h;
}

static size_t lse_at(const ef_attention *a, size_t b, size_t i, size_t n) {
  return (b * a->H + n) * a->Tq + i;
}

/* Keys that query i sees: 0 .. keys_seen - 1. */
static size_t keys_seen(const ef_attention *a, size_t i) { return a->Tk - a->Tq + i + 1; }

static double score(const ef_attention *a, const float *q, const float *k, size_t b, size_t i, size_t n,
                    size_t j) {
  size_t g = n / (a->H / a->G);
  double s = a->scale * dot(a->h, q + q_at(a, b, i, n), k + k_at(a, b, j, g));
  return a->slopes ? s + (double)a->slopes[n] * (double)j : s;
}

size_t ef_ref_attention_workspace(const ef_attention *a) {
  size_t group = a->G ? a->H / a->G : 0;
  return a->Tk + 2 * group * a->Tq;
}

/* One query row: scores, their soft maximum, the weighted mean of the values. scores (Tk). */
static void attention_row(const ef_attention *a, const float *q, const float *k, const float *v, size_t b,
                          size_t i, size_t n, float *out, float *lse, float *scores) {
  size_t g = n / (a->H / a->G), seen = keys_seen(a, i);
  double top = -INFINITY, sum = 0.0;
  for (size_t j = 0; j < seen; j++) {
    scores[j] = (float)score(a, q, k, b, i, n, j);
    top = fmax(top, scores[j]);
  }
  for (size_t j = 0; j < seen; j++) sum += exp(scores[j] - top);
  double log_sum = top + log(sum);
  for (size_t c = 0; c < a->h; c++) {
    double mean = 0.0;
    for (size_t j = 0; j < seen; j++) mean += exp(scores[j] - log_sum) * v[k_at(a, b, j, g) + c];
    out[out_at(a, b, i, n) + c] = (float)mean;
  }
  lse[lse_at(a, b, i, n)] = (float)log_sum;
}

void ef_ref_attention(const ef_attention *a, const float *q, const float *k, const float *v, float *out,
                      float *lse, float *work) {
  for (size_t b = 0; b < a->B; b++) {
    for (size_t n = 0; n < a->H; n++) {
      for (size_t i = 0; i < a->Tq; i++) attention_row(a, q, k, v, b, i, n, out, lse, work);
    }
  }
}

/* The arrays of one backward pass. */
typedef struct backward {
  const float *q, *k, *v, *out, *lse, *dout;
} backward;

/* Probability of key j for query (b, i, n), and the gradient of its score: p (dout.v - dout.out). */
static void pair(const ef_attention *a, const backward *x, size_t b, size_t i, size_t n, size_t j, float *p,
                 float *ds) {
  size_t g = n / (a->H / a->G), at = out_at(a, b, i, n);
  double weight = exp(score(a, x->q, x->k, b, i, n, j) - x->lse[lse_at(a, b, i, n)]);
  double dp = dot(a->h, x->dout + at, x->v + k_at(a, b, j, g));
  *p = (float)weight;
  *ds = (float)(weight * (dp - dot(a->h, x->dout + at, x->out + at)));
}

/* dq of one query row: sum over the keys it sees. ds (Tk). */
static void query_row_backward(const ef_attention *a, const backward *x, size_t b, size_t i, size_t n,
                               float *dq, float *ds) {
  size_t g = n / (a->H / a->G), seen = keys_seen(a, i);
  for (size_t j = 0; j < seen; j++) {
    float p;
    pair(a, x, b, i, n, j, &p, &ds[j]);
  }
  for (size_t c = 0; c < a->h; c++) {
    double sum = 0.0;
    for (size_t j = 0; j < seen; j++) sum += (double)ds[j] * x->k[k_at(a, b, j, g) + c];
    dq[q_at(a, b, i, n) + c] = (float)(a->scale * sum);
  }
}

/* dk and dv of one key row: sum over the queries that see it, of all heads of its group. p, ds (H/G, Tq). */
static void key_row_backward(const ef_attention *a, const backward *x, size_t b, size_t j, size_t g,
                             float *dk, float *dv, float *p, float *ds) {
  size_t group = a->H / a->G, offset = a->Tk - a->Tq, first = j > offset ? j - offset : 0;
  for (size_t m = 0; m < group; m++) {
    for (size_t i = first; i < a->Tq; i++)
      pair(a, x, b, i, g * group + m, j, &p[m * a->Tq + i], &ds[m * a->Tq + i]);
  }
  for (size_t c = 0; c < a->h; c++) {
    double sum_k = 0.0, sum_v = 0.0;
    for (size_t m = 0; m < group; m++) {
      for (size_t i = first; i < a->Tq; i++) {
        sum_k += (double)ds[m * a->Tq + i] * x->q[q_at(a, b, i, g * group + m) + c];
        sum_v += (double)p[m * a->Tq + i] * x->dout[out_at(a, b, i, g * group + m) + c];
      }
    }
    dk[k_at(a, b, j, g) + c] = (float)(a->scale * sum_k);
    dv[k_at(a, b, j, g) + c] = (float)sum_v;
  }
}

void ef_ref_attention_backward(const ef_attention *a, const float *q, const float *k, const float *v,
                               const float *out, const float *lse, const float *dout, float *dq, float *dk,
                               float *dv, float *work) {
  backward x = {.q = q, .k = k, .v = v, .out = out, .lse = lse, .dout = dout};
  if (a->G == 0) return;
  size_t group = a->H / a->G;
  float *row = work, *p = row + a->Tk, *ds = p + group * a->Tq;
  for (size_t b = 0; b < a->B; b++) {
    for (size_t n = 0; n < a->H; n++) {
      for (size_t i = 0; i < a->Tq; i++) query_row_backward(a, &x, b, i, n, dq, row);
    }
    for (size_t g = 0; g < a->G; g++) {
      for (size_t j = 0; j < a->Tk; j++) key_row_backward(a, &x, b, j, g, dk, dv, p, ds);
    }
  }
}
