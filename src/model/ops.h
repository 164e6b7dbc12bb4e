/* Small compositions of kernels that several parts of the transformer share: a linear layer, a norm, a SwiGLU
 * block. All local.
 */
#pragma once

#include "model/pass_internal.h"

/* A weight matrix and its bias (or NULL), (out,in) or, with conv1d, (in,out). */
typedef struct ef_linear {
  size_t in, out;
  bool conv1d;
  const float *w, *b;
} ef_linear;

/* y (R,out) = beta y + x (R,in) W^T + b. */
void ef_linear_forward(const ef_kernels *k, const ef_linear *f, size_t R, const float *x, float beta,
                       float *y);

/* dw, db += (db NULL if the layer has no bias); dx (R,in) = beta dx + dy W. */
void ef_linear_backward(const ef_kernels *k, const ef_linear *f, size_t R, const float *x, const float *dy,
                        float *dw, float *db, float beta, float *dx);

/* The norm of these dims; w, b NULL where it has none. mean is not used by RMSNorm. backward: dx +=, dw +=,
 * db +=. */
void ef_norm_forward(const ef_pass *s, const float *w, const float *b, const float *x, float *y, float *mean,
                     float *rstd);
void ef_norm_backward(const ef_pass *s, const float *w, const float *dy, const float *x, const float *mean,
                      const float *rstd, float *dx, float *dw, float *db);

/* One SwiGLU block: gate|up (2F,D), down (D,F) and, in backward, their gradients (NULL: frozen). */
typedef struct ef_swiglu {
  size_t D, F;
  const float *gate_up, *down;
  float *dgate_up, *ddown;
} ef_swiglu;

/* y (R,D) = beta y + down(silu(gate x) * up x); gu (R,2F) and act (R,F) are kept for backward. */
void ef_swiglu_forward(const ef_kernels *k, const ef_swiglu *f, size_t R, const float *x, float *gu,
                       float *act, float beta, float *y);
/* dx (R,D) = beta dx + ...; dgu (R,2F) and dact (R,F) are scratch. */
void ef_swiglu_backward(const ef_kernels *k, const ef_swiglu *f, size_t R, const float *x, const float *gu,
                        const float *act, const float *dy, float *dgu, float *dact, float beta, float *dx);
