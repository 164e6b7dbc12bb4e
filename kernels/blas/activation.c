/* Activations: GELU in its tanh form, SwiGLU, and the sigmoid gate of a shared expert. */
#include "ops.h"
#include "reduce.h"

/* 0.5 (1 + tanh u) = sigmoid(2u), so GELU(x) = x sigmoid(2u(x)) with 2u = x (GELU_A + GELU_B x^2):
 * GELU_A = 2 sqrt(2/pi), GELU_B = 0.044715 GELU_A. */
#define GELU_A 1.5957691216057308f
#define GELU_B 0.07135481627159965f

void ef_blas_gelu(size_t n, const float *x, float *y) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) y[i] = x[i] * ef_sigmoid(x[i] * EF_FMA(GELU_B * x[i], x[i], GELU_A));
}

void ef_blas_gelu_backward(size_t n, const float *dy, const float *x, float *dx) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    float c = x[i] < -16.0f ? -16.0f : x[i]; /* beyond 16 the slope is 0 or 1, and squares might overflow */
    c = c > 16.0f ? 16.0f : c;
    float square = c * c, rest;
    float s = ef_sigmoid_pair(c * EF_FMA(GELU_B, square, GELU_A), &rest);
    float slope = EF_FMA(3.0f * GELU_B, square, GELU_A); /* d(2u)/dx */
    dx[i] = EF_FMA(dy[i], EF_FMA(c * slope, s * rest, s), dx[i]);
  }
}

static void swiglu_row(size_t F, const float *gate, const float *up, float *y) {
#pragma omp simd
  for (size_t i = 0; i < F; i++) y[i] = gate[i] * ef_sigmoid(gate[i]) * up[i];
}

void ef_blas_swiglu(size_t R, size_t F, const float *gu, float *y) {
  for (size_t r = 0; r < R; r++, gu += 2 * F, y += F) swiglu_row(F, gu, gu + F, y);
}

static void swiglu_backward_row(size_t F, const float *dy, const float *gate, const float *up, float *dgate,
                                float *dup) {
#pragma omp simd
  for (size_t i = 0; i < F; i++) {
    float rest, s = ef_sigmoid_pair(gate[i], &rest), silu = gate[i] * s;
    dgate[i] = dy[i] * up[i] * EF_FMA(silu, rest, s);
    dup[i] = dy[i] * silu;
  }
}

void ef_blas_swiglu_backward(size_t R, size_t F, const float *dy, const float *gu, float *dgu) {
  for (size_t r = 0; r < R; r++, dy += F, gu += 2 * F, dgu += 2 * F)
    swiglu_backward_row(F, dy, gu, gu + F, dgu, dgu + F);
}

void ef_blas_sigmoid_gate(size_t R, size_t D, const float *g, const float *x, float *y) {
  for (size_t r = 0; r < R; r++) ef_blas_axpy(D, ef_sigmoid(g[r]), x + r * D, y + r * D);
}

void ef_blas_sigmoid_gate_backward(size_t R, size_t D, const float *dy, const float *g, const float *x,
                                   float *dx, float *dg) {
  for (size_t r = 0; r < R; r++, dy += D, x += D, dx += D) {
    float rest, s = ef_sigmoid_pair(g[r], &rest);
    dg[r] = ef_dot(D, dy, x) * s * rest;
#pragma omp simd
    for (size_t i = 0; i < D; i++) dx[i] = s * dy[i];
  }
}
