#include "kernels/ref/ref.h"

#include <math.h>

static const double gelu_a = 0.79788456080286535588; /* sqrt(2/pi) */
static const double gelu_b = 0.044715;

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

void ef_ref_gelu(size_t n, const float *x, float *y) {
  for (size_t i = 0; i < n; i++) {
    double u = x[i];
    y[i] = (float)(0.5 * u * (1.0 + tanh(gelu_a * (u + gelu_b * u * u * u))));
  }
}

void ef_ref_gelu_backward(size_t n, const float *dy, const float *x, float *dx) {
  for (size_t i = 0; i < n; i++) {
    double u = x[i], t = tanh(gelu_a * (u + gelu_b * u * u * u));
    double inner = gelu_a * (1.0 + 3.0 * gelu_b * u * u);
    double slope = 0.5 * (1.0 + t) + 0.5 * u * (1.0 - t * t) * inner;
    dx[i] = (float)(dx[i] + dy[i] * slope);
  }
}

void ef_ref_swiglu(size_t R, size_t F, const float *gu, float *y) {
  for (size_t r = 0; r < R; r++) {
    const float *gate = gu + 2 * r * F, *up = gate + F; /* (F) each */
    for (size_t f = 0; f < F; f++) y[r * F + f] = (float)(gate[f] * sigmoid(gate[f]) * up[f]);
  }
}

void ef_ref_swiglu_backward(size_t R, size_t F, const float *dy, const float *gu, float *dgu) {
  for (size_t r = 0; r < R; r++) {
    const float *gate = gu + 2 * r * F, *up = gate + F; /* (F) each */
    float *dgate = dgu + 2 * r * F, *dup = dgate + F;
    for (size_t f = 0; f < F; f++) {
      double d = dy[r * F + f], s = sigmoid(gate[f]);
      dgate[f] = (float)(d * up[f] * (s + gate[f] * s * (1.0 - s)));
      dup[f] = (float)(d * gate[f] * s);
    }
  }
}

void ef_ref_sigmoid_gate(size_t R, size_t D, const float *g, const float *x, float *y) {
  for (size_t r = 0; r < R; r++) {
    double s = sigmoid(g[r]);
    for (size_t d = 0; d < D; d++) y[r * D + d] = (float)(y[r * D + d] + s * x[r * D + d]);
  }
}

void ef_ref_sigmoid_gate_backward(size_t R, size_t D, const float *dy, const float *g, const float *x,
                                  float *dx, float *dg) {
  for (size_t r = 0; r < R; r++) {
    double s = sigmoid(g[r]), sum = 0.0;
    for (size_t d = 0; d < D; d++) {
      dx[r * D + d] = (float)(s * dy[r * D + d]);
      sum += (double)dy[r * D + d] * x[r * D + d];
    }
    dg[r] = (float)(sum * s * (1.0 - s));
  }
}
