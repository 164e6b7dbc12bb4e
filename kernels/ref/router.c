#include "kernels/ref/ref.h"

#include <math.h>

static void softmax_row(size_t E, const float *logits, float *probs) {
  double top = -INFINITY, sum = 0.0;
  for (size_t e = 0; e < E; e++) top = fmax(top, logits[e]);
  for (size_t e = 0; e < E; e++) sum += exp(logits[e] - top);
  for (size_t e = 0; e < E; e++) probs[e] = (float)(exp(logits[e] - top) / sum);
}

static int is_chosen(size_t K, const int32_t *experts, size_t e) {
  for (size_t k = 0; k < K; k++) {
    if ((size_t)experts[k] == e) return 1;
  }
  return 0;
}

/* The K largest of probs (E) in descending order, the lower index first among equals. */
static void top_k(size_t E, size_t K, const float *probs, int32_t *experts) {
  for (size_t k = 0; k < K; k++) {
    size_t best = E;
    for (size_t e = 0; e < E; e++) {
      if (is_chosen(k, experts, e)) continue;
      if (best == E || probs[e] > probs[best]) best = e;
    }
    experts[k] = (int32_t)best;
  }
}

/* What the probabilities of the chosen experts are divided by. */
static double chosen_sum(size_t K, int normalise, float norm_eps, const float *probs,
                         const int32_t *experts) {
  double sum = norm_eps;
  if (!normalise) return 1.0;
  for (size_t k = 0; k < K; k++) sum += probs[experts[k]];
  return sum;
}

void ef_ref_router(size_t R, size_t E, size_t K, int normalise, float norm_eps, const float *logits,
                   float *probs, int32_t *experts, float *weights) {
  for (size_t r = 0; r < R; r++) {
    const float *p = probs + r * E;          /* (E) */
    const int32_t *chosen = experts + r * K; /* (K) */
    softmax_row(E, logits + r * E, probs + r * E);
    top_k(E, K, p, experts + r * K);
    double sum = chosen_sum(K, normalise, norm_eps, p, chosen);
    for (size_t k = 0; k < K; k++) weights[r * K + k] = (float)(p[chosen[k]] / sum);
  }
}

/* Turns dp (E), the gradient of the probabilities, into that of the logits, in place. */
static void softmax_row_backward(size_t E, const float *probs, float *dp) {
  double mean = 0.0;
  for (size_t e = 0; e < E; e++) mean += (double)probs[e] * dp[e];
  for (size_t e = 0; e < E; e++) dp[e] = (float)(probs[e] * (dp[e] - mean));
}

void ef_ref_router_backward(size_t R, size_t E, size_t K, int normalise, float norm_eps, const float *probs,
                            const int32_t *experts, const float *weights, const float *dweights,
                            const float *aux, size_t aux_rows, float *dlogits) {
  for (size_t r = 0; r < R; r++) {
    const float *p = probs + r * E, *dw = dweights + r * K; /* (E), (K) */
    const int32_t *chosen = experts + r * K;                /* (K) */
    float *dp = dlogits + r * E;                            /* (E) */
    double sum = chosen_sum(K, normalise, norm_eps, p, chosen), mean = 0.0;
    for (size_t e = 0; e < E; e++) dp[e] = aux ? aux[r / aux_rows * E + e] : 0.0f;
    if (normalise) {
      for (size_t k = 0; k < K; k++) mean += (double)dw[k] * weights[r * K + k];
    }
    for (size_t k = 0; k < K; k++) dp[chosen[k]] = (float)(dp[chosen[k]] + (dw[k] - mean) / sum);
    softmax_row_backward(E, p, dp);
  }
}

void ef_ref_router_stats(size_t R, size_t E, size_t K, const float *probs, const int32_t *experts,
                         double *count, double *prob_sum) {
  for (size_t i = 0; i < R * K; i++) count[experts[i]] += 1.0;
  for (size_t r = 0; r < R; r++) {
    for (size_t e = 0; e < E; e++) prob_sum[e] += probs[r * E + e];
  }
}

double ef_ref_aux_loss(size_t groups, size_t E, double s, const double *count, const double *prob_sum,
                       float *coef) {
  double sum = 0.0;
  for (size_t i = 0; i < groups * E; i++) {
    sum += count[i] * prob_sum[i];
    coef[i] = (float)(s * count[i]);
  }
  return s * sum;
}
