#include "kernels/ref/ref.h"

#include <math.h>

void ef_ref_adamw(const ef_adamw *o, size_t n, float *p, const float *g, float *m, float *v) {
  double lr = o->lr, beta1 = o->beta1, beta2 = o->beta2, step = (double)o->step;
  double correction1 = 1.0 - pow(beta1, step), correction2 = 1.0 - pow(beta2, step);
  for (size_t i = 0; i < n; i++) {
    double grad = (double)o->grad_scale * g[i], decayed = p[i] * (1.0 - lr * o->decay);
    double first = beta1 * m[i] + (1.0 - beta1) * grad, second = beta2 * v[i] + (1.0 - beta2) * grad * grad;
    p[i] = (float)(decayed - lr / correction1 * first / (sqrt(second) / sqrt(correction2) + o->eps));
    m[i] = (float)first;
    v[i] = (float)second;
  }
}
