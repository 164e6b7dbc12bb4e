/* Distillation losses: KL divergence of a student from a teacher at temperature tau (Hinton, Vinyals and Dean
 * 2015), with the teacher known on the whole vocabulary or on its k largest logits; and OFA-KD. */
#include "ops.h"
#include "softmax.h"

#include <math.h>

/* softmax(x / tau) of one row: exp((x - top) * rate) / sum. */
typedef struct softmax_scale {
  float top, rate;
  double sum;
} softmax_scale;

static softmax_scale measure(size_t n, const float *x, float tau) {
  softmax_scale s = {.top = ef_max(n, x), .rate = 1.0f / tau};
  s.sum = ef_exp_sum(n, x, s.top, s.rate);
  return s;
}

/* KL of one row; dx (or NULL) += factor * (pS - pT). The exponentials are taken anew, chunk by chunk, because
 * an operation has no memory of its own to keep them in. */
static double kl_row(size_t V, const float *teacher, const float *student, float tau, float factor,
                     float *dx) {
  const softmax_scale t = measure(V, teacher, tau), s = measure(V, student, tau);
  const float log_ratio = (float)(log(s.sum) - log(t.sum));
  const float t_inverse = (float)(1.0 / t.sum), s_inverse = (float)(1.0 / s.sum);
  float term[EF_CHUNK];
  double kl = 0.0;
  for (size_t c = 0; c < V; c += EF_CHUNK) {
    size_t width = V - c < EF_CHUNK ? V - c : EF_CHUNK;
    const float *x = teacher + c, *y = student + c;
    float *d = dx ? dx + c : NULL;
#pragma omp simd
    for (size_t i = 0; i < width; i++) {
      float u = t.rate * (x[i] - t.top), w = s.rate * (y[i] - s.top);
      float p = ef_exp_softmax(u) * t_inverse;
      term[i] = p * (u - w + log_ratio);
      if (d) d[i] = EF_FMA(factor, ef_exp_softmax(w) * s_inverse - p, d[i]);
    }
    kl += (double)ef_sum(width, term);
  }
  return kl;
}

void ef_blas_kl(size_t R, size_t V, float tau, const float *teacher, const float *student,
                const int32_t *targets, float scale, float *losses, float *dlogits) {
  for (size_t r = 0; r < R; r++) {
    losses[r] = 0.0f;
    if (targets && targets[r] == EF_IGNORE) continue;
    double kl =
        kl_row(V, teacher + r * V, student + r * V, tau, scale * tau, dlogits ? dlogits + r * V : NULL);
    losses[r] = (float)((double)tau * (double)tau * kl);
  }
}

static double kl_topk_row(size_t V, size_t k, const int32_t *index, const float *teacher,
                          const float *student, float tau, float factor, float *dx) {
  const softmax_scale t = measure(k, teacher, tau), s = measure(V, student, tau);
  const double log_ratio = log(s.sum) - log(t.sum);
  if (dx) {
    const float share = (float)((double)factor / s.sum);
#pragma omp simd
    for (size_t i = 0; i < V; i++)
      dx[i] = EF_FMA(share, ef_exp_softmax(s.rate * (student[i] - s.top)), dx[i]);
  }
  double kl = 0.0;
  for (size_t j = 0; j < k; j++) {
    float a = t.rate * (teacher[j] - t.top), b = s.rate * (student[index[j]] - s.top);
    double p = (double)ef_exp_softmax(a) / t.sum;
    kl += p * ((double)a - (double)b + log_ratio);
    if (dx) dx[index[j]] -= (float)((double)factor * p);
  }
  return kl;
}

void ef_blas_kl_topk(size_t R, size_t V, size_t k, float tau, const int32_t *index, const float *teacher,
                     const float *student, const int32_t *targets, float scale, float *losses,
                     float *dlogits) {
  for (size_t r = 0; r < R; r++) {
    losses[r] = 0.0f;
    if (targets && targets[r] == EF_IGNORE) continue;
    double kl = kl_topk_row(V, k, index + r * k, teacher + r * k, student + r * V, tau, scale * tau,
                            dlogits ? dlogits + r * V : NULL);
    losses[r] = (float)((double)tau * (double)tau * kl);
  }
}

/* OFA-KD of one row: beside the target q_v = p_v^epsilon = exp(epsilon * (x_v - top) / tau) / sum^epsilon,
 * one more exponential and no power; the target's own q differs from that by `extra`. */
static double ofa_row(size_t V, size_t target, const float *teacher, const float *student, float tau,
                      float epsilon, float factor, float *dx) {
  const softmax_scale t = measure(V, teacher, tau), s = measure(V, student, tau);
  const float rate = epsilon * t.rate, inverse = (float)pow(t.sum, -(double)epsilon);
  const double wanted = exp((double)t.rate * ((double)teacher[target] - (double)t.top)) / t.sum;
  const double extra = pow(1.0 + wanted, (double)epsilon) - 1.0 - pow(wanted, (double)epsilon);
  const double powers = epsilon == 1.0f ? t.sum : ef_exp_sum(V, teacher, t.top, rate);
  const double mass = powers * (double)inverse + extra; /* sum of q */
  const float share = (float)(mass / s.sum);
  float term[EF_CHUNK];
  double loss = mass * log(s.sum);
  for (size_t c = 0; c < V; c += EF_CHUNK) {
    size_t width = V - c < EF_CHUNK ? V - c : EF_CHUNK;
    const float *x = teacher + c, *y = student + c;
    float *d = dx ? dx + c : NULL;
#pragma omp simd
    for (size_t i = 0; i < width; i++) {
      float w = s.rate * (y[i] - s.top), q = ef_exp_softmax(rate * (x[i] - t.top)) * inverse;
      term[i] = q * w;
      if (d) d[i] = EF_FMA(factor, ef_exp_softmax(w) * share - q, d[i]);
    }
    loss -= (double)ef_sum(width, term);
  }
  if (dx) dx[target] -= (float)((double)factor * extra);
  return loss - extra * (double)(s.rate * (student[target] - s.top));
}

void ef_blas_ofa(size_t R, size_t V, float tau, float epsilon, const float *teacher, const float *student,
                 const int32_t *targets, float scale, float *losses, float *dlogits) {
  for (size_t r = 0; r < R; r++) {
    losses[r] = 0.0f;
    if (targets[r] == EF_IGNORE) continue;
    double loss = ofa_row(V, (size_t)targets[r], teacher + r * V, student + r * V, tau, epsilon, scale * tau,
                          dlogits ? dlogits + r * V : NULL);
    losses[r] = (float)((double)tau * (double)tau * loss);
  }
}
