/* Router of a mixture of experts: softmax over all experts, the K largest, and the load-balancing loss
 * (Fedus, Zoph and Shazeer 2021, equations 4-6, in the forms of Qwen and DeepSeek). */
#include "ops.h"
#include "softmax.h"

static void softmax_row(size_t E, const float *logits, float *probs) {
  ef_exp_row(E, logits, ef_max(E, logits), 1.0f, probs);
  ef_blas_scale(E, 1.0f / ef_sum(E, probs), probs);
}

/* Writes the K largest of probs in descending order by insertion; ties keep the lower index first. */
static void top_k(size_t E, size_t K, const float *probs, int32_t *experts, float *weights) {
  size_t held = 0;
  for (size_t e = 0; e < E; e++) {
    float p = probs[e];
    if (held == K && !(p > weights[K - 1])) continue;
    size_t at = held < K ? held++ : K - 1;
    for (; at > 0 && p > weights[at - 1]; at--) {
      weights[at] = weights[at - 1];
      experts[at] = experts[at - 1];
    }
    weights[at] = p;
    experts[at] = (int32_t)e;
  }
}

void ef_blas_router(size_t R, size_t E, size_t K, int normalise, float norm_eps, const float *logits,
                    float *probs, int32_t *experts, float *weights) {
  for (size_t r = 0; r < R; r++, logits += E, probs += E, experts += K, weights += K) {
    softmax_row(E, logits, probs);
    if (K == 0) continue;
    top_k(E, K, probs, experts, weights);
    if (!normalise) continue;
    float sum = 0.0f;
    for (size_t k = 0; k < K; k++) sum += weights[k];
    for (size_t k = 0; k < K; k++) weights[k] /= sum + norm_eps;
  }
}

/* Adds the gradient of the chosen weights to dprobs. With w_k = p_k / S and S = sum_j p_j + eps:
 * dL/dp_k = (dw_k - sum_j dw_j w_j) / S. */
static void chosen_backward(size_t K, int normalise, float norm_eps, const float *probs,
                            const int32_t *experts, const float *weights, const float *dweights,
                            float *dprobs) {
  float shift = 0.0f, factor = 1.0f;
  if (normalise) {
    float sum = norm_eps;
    for (size_t k = 0; k < K; k++) {
      sum += probs[experts[k]];
      shift += dweights[k] * weights[k];
    }
    factor = 1.0f / sum;
  }
  for (size_t k = 0; k < K; k++) dprobs[experts[k]] += (dweights[k] - shift) * factor;
}

void ef_blas_router_backward(size_t R, size_t E, size_t K, int normalise, float norm_eps, const float *probs,
                             const int32_t *experts, const float *weights, const float *dweights,
                             const float *aux, size_t aux_rows, float *dlogits) {
  for (size_t r = 0; r < R; r++) {
    const float *p = probs + r * E, *coef = aux ? aux + r / aux_rows * E : NULL;
    float *d = dlogits + r * E; /* holds dL/dprobs first */
    for (size_t e = 0; e < E; e++) d[e] = coef ? coef[e] : 0.0f;
    chosen_backward(K, normalise, norm_eps, p, experts + r * K, weights + r * K, dweights + r * K, d);
    float mean = ef_dot(E, p, d);
#pragma omp simd
    for (size_t e = 0; e < E; e++) d[e] = p[e] * (d[e] - mean);
  }
}

void ef_blas_router_stats(size_t R, size_t E, size_t K, const float *probs, const int32_t *experts,
                          double *count, double *prob_sum) {
  for (size_t i = 0; i < R * K; i++) count[experts[i]] += 1.0;
  for (size_t r = 0; r < R; r++) {
#pragma omp simd
    for (size_t e = 0; e < E; e++) prob_sum[e] += (double)probs[r * E + e];
  }
}

double ef_blas_aux_loss(size_t groups, size_t E, double s, const double *count, const double *prob_sum,
                        float *coef) {
  double sum = 0.0;
  for (size_t i = 0; i < groups * E; i++) {
    sum += count[i] * prob_sum[i];
    coef[i] = (float)(s * count[i]);
  }
  return s * sum;
}
