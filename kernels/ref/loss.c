#include "kernels/ref/ref.h"

#include <math.h>

/* log(sum(exp(x / tau))) over x (n). */
static double log_sum_exp(size_t n, double tau, const float *x) {
  double top = -INFINITY, sum = 0.0;
  for (size_t i = 0; i < n; i++) top = fmax(top, x[i] / tau);
  for (size_t i = 0; i < n; i++) sum += exp(x[i] / tau - top);
  return top + log(sum);
}

static size_t arg_max(size_t n, const float *x) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++) {
    if (x[i] > x[best]) best = i;
  }
  return best;
}

static void ignored_row(size_t V, float *loss, uint8_t *hit, float *dlogits) {
  *loss = 0.0f;
  if (hit) *hit = 0;
  for (size_t i = 0; dlogits && i < V; i++) dlogits[i] = 0.0f;
}

static void cross_entropy_row(size_t V, const float *logits, size_t target, float scale, float *loss,
                              uint8_t *hit, float *dlogits) {
  double lse = log_sum_exp(V, 1.0, logits);
  *loss = (float)(lse - logits[target]);
  if (hit) *hit = arg_max(V, logits) == target;
  for (size_t i = 0; dlogits && i < V; i++) {
    dlogits[i] = (float)(scale * (exp(logits[i] - lse) - (i == target ? 1.0 : 0.0)));
  }
}

void ef_ref_cross_entropy(size_t R, size_t V, const float *logits, const int32_t *targets, float scale,
                          float *losses, uint8_t *hits, float *dlogits) {
  for (size_t r = 0; r < R; r++) {
    float *d = dlogits ? dlogits + r * V : NULL; /* (V) */
    uint8_t *hit = hits ? hits + r : NULL;
    if (targets[r] == EF_IGNORE) {
      ignored_row(V, losses + r, hit, d);
    } else {
      cross_entropy_row(V, logits + r * V, (size_t)targets[r], scale, losses + r, hit, d);
    }
  }
}

/* One row of kl_topk; index NULL means the entries 0 .. k-1, in order. Returns the loss. */
static double kl_row(size_t V, size_t k, double tau, const int32_t *index, const float *teacher,
                     const float *student, double scale, float *dlogits) {
  double teacher_lse = log_sum_exp(k, tau, teacher), student_lse = log_sum_exp(V, tau, student), loss = 0.0;
  for (size_t i = 0; dlogits && i < V; i++) {
    dlogits[i] = (float)(dlogits[i] + scale * tau * exp(student[i] / tau - student_lse));
  }
  for (size_t i = 0; i < k; i++) {
    size_t at = index ? (size_t)index[i] : i;
    double log_p = teacher[i] / tau - teacher_lse, p = exp(log_p);
    if (p > 0.0) loss += p * (log_p - (student[at] / tau - student_lse)); /* 0 log 0 is 0 */
    if (dlogits) dlogits[at] = (float)(dlogits[at] - scale * tau * p);
  }
  return tau * tau * loss;
}

void ef_ref_kl(size_t R, size_t V, float tau, const float *teacher, const float *student,
               const int32_t *targets, float scale, float *losses, float *dlogits) {
  ef_ref_kl_topk(R, V, V, tau, NULL, teacher, student, targets, scale, losses, dlogits);
}

void ef_ref_kl_topk(size_t R, size_t V, size_t k, float tau, const int32_t *index, const float *teacher,
                    const float *student, const int32_t *targets, float scale, float *losses,
                    float *dlogits) {
  for (size_t r = 0; r < R; r++) {
    losses[r] = 0.0f;
    if (targets && targets[r] == EF_IGNORE) continue;
    losses[r] = (float)kl_row(V, k, tau, index ? index + r * k : NULL, teacher + r * k, student + r * V,
                              scale, dlogits ? dlogits + r * V : NULL);
  }
}

static double ofa_row(size_t V, size_t target, double tau, double epsilon, const float *teacher,
                      const float *student, double scale, float *dlogits) {
  double teacher_lse = log_sum_exp(V, tau, teacher), student_lse = log_sum_exp(V, tau, student);
  double loss = 0.0, mass = 0.0; /* sum of q */
  for (size_t i = 0; i < V; i++) {
    double y = i == target, q = pow(exp(teacher[i] / tau - teacher_lse) + y, epsilon) - y;
    mass += q;
    loss -= q * (student[i] / tau - student_lse);
    if (dlogits) dlogits[i] = (float)(dlogits[i] - scale * tau * q);
  }
  for (size_t i = 0; dlogits && i < V; i++)
    dlogits[i] = (float)(dlogits[i] + scale * tau * mass * exp(student[i] / tau - student_lse));
  return tau * tau * loss;
}

void ef_ref_ofa(size_t R, size_t V, float tau, float epsilon, const float *teacher, const float *student,
                const int32_t *targets, float scale, float *losses, float *dlogits) {
  for (size_t r = 0; r < R; r++) {
    losses[r] = 0.0f;
    if (targets[r] == EF_IGNORE) continue;
    losses[r] = (float)ofa_row(V, (size_t)targets[r], tau, epsilon, teacher + r * V, student + r * V, scale,
                               dlogits ? dlogits + r * V : NULL);
  }
}

void ef_ref_mix_softmax(size_t R, size_t V, float weight, float *x, float *y) {
  for (size_t r = 0; r < R; r++) {
    double lse = log_sum_exp(V, 1.0f, x + r * V);
    for (size_t i = r * V; i < (r + 1) * V; i++) y[i] += (float)((double)weight * exp((double)x[i] - lse));
  }
}
