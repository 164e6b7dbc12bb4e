#include "model/ops.h"

void ef_linear_forward(const ef_kernels *k, const ef_linear *f, size_t R, const float *x, float beta,
                       float *y) {
  k->matmul(0, !f->conv1d, R, f->out, f->in, x, f->in, f->w, f->conv1d ? f->out : f->in, beta, y, f->out);
  if (f->b) k->bias_add(R, f->out, f->b, y, f->out);
}

void ef_linear_backward(const ef_kernels *k, const ef_linear *f, size_t R, const float *x, const float *dy,
                        float *dw, float *db, float beta, float *dx) {
  size_t in = f->in, out = f->out;
  if (dw && f->conv1d) k->matmul(1, 0, in, out, R, x, in, dy, out, 1.0f, dw, out);
  if (dw && !f->conv1d) k->matmul(1, 0, out, in, R, dy, out, x, in, 1.0f, dw, in);
  if (db) k->bias_backward(R, out, dy, out, db);
  k->matmul(0, f->conv1d, R, in, out, dy, out, f->w, f->conv1d ? out : in, beta, dx, in);
}

void ef_norm_forward(const ef_pass *s, const float *w, const float *b, const float *x, float *y, float *mean,
                     float *rstd) {
  size_t R = s->B * s->T, D = s->dims.D;
  if (s->dims.norm == EF_RMSNORM) {
    s->k->rmsnorm(R, D, s->dims.norm_eps, x, w, y, rstd);
  } else {
    s->k->layernorm(R, D, s->dims.norm_eps, x, w, b, y, mean, rstd);
  }
}

void ef_norm_backward(const ef_pass *s, const float *w, const float *dy, const float *x, const float *mean,
                      const float *rstd, float *dx, float *dw, float *db) {
  size_t R = s->B * s->T, D = s->dims.D;
  if (s->dims.norm == EF_RMSNORM) {
    s->k->rmsnorm_backward(R, D, dy, x, w, rstd, dx, dw);
  } else {
    s->k->layernorm_backward(R, D, dy, x, w, mean, rstd, dx, dw, db);
  }
}

void ef_swiglu_forward(const ef_kernels *k, const ef_swiglu *f, size_t R, const float *x, float *gu,
                       float *act, float beta, float *y) {
  ef_linear gate_up = {.in = f->D, .out = 2 * f->F, .w = f->gate_up};
  ef_linear down = {.in = f->F, .out = f->D, .w = f->down};
  ef_linear_forward(k, &gate_up, R, x, 0.0f, gu);
  k->swiglu(R, f->F, gu, act);
  ef_linear_forward(k, &down, R, act, beta, y);
}

void ef_swiglu_backward(const ef_kernels *k, const ef_swiglu *f, size_t R, const float *x, const float *gu,
                        const float *act, const float *dy, float *dgu, float *dact, float beta, float *dx) {
  ef_linear gate_up = {.in = f->D, .out = 2 * f->F, .w = f->gate_up};
  ef_linear down = {.in = f->F, .out = f->D, .w = f->down};
  ef_linear_backward(k, &down, R, act, dy, f->ddown, NULL, 0.0f, dact);
  k->swiglu_backward(R, f->F, dact, gu, dgu);
  ef_linear_backward(k, &gate_up, R, x, dgu, f->dgate_up, NULL, beta, dx);
}
