/* AdamW (Loshchilov and Hutter 2019) in the order of operations of torch.optim.AdamW. */
#include "ops.h"
#include "vmath.h"

#include <math.h>

void ef_blas_adamw(const ef_adamw *o, size_t n, float *p, const float *g, float *m, float *v) {
  double step = (double)o->step;
  const float keep = (float)(1.0 - (double)o->lr * (double)o->decay);
  const float rate = (float)((double)o->lr / (1.0 - pow((double)o->beta1, step)));
  const float root = (float)(1.0 / sqrt(1.0 - pow((double)o->beta2, step)));
  const float beta1 = o->beta1, beta2 = o->beta2, eps = o->eps, grad_scale = o->grad_scale;
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    float d = g[i] * grad_scale;
    m[i] = EF_FMA(beta1, m[i], (1.0f - beta1) * d);
    v[i] = EF_FMA(beta2, v[i], (1.0f - beta2) * d * d);
    p[i] = p[i] * keep - rate * m[i] / EF_FMA(sqrtf(v[i]), root, eps);
  }
}
