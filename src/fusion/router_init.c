/* First values of the routers after the merge, and the scale of the routed experts. */
#include "base/memory.h"
#include "base/rng.h"
#include "fusion/merge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double WANTED_MASS = 0.9;
enum { BISECTIONS = 60, DOUBLINGS = 200 };

void ef_router_normal(ef_model *moe, uint64_t seed) {
  for (size_t l = 0; l < moe->dims.L; l++) {
    if (!ef_dims_is_moe(&moe->dims, l)) continue;
    float *router = ef_model_tensor(moe, EF_T_ROUTER_W, (int)l, -1);
    ef_rng rng = ef_rng_stream(seed, EF_RNG_ROUTER, l, 0);
    for (size_t i = 0; i < moe->dims.E * moe->dims.D; i++) router[i] = (float)(0.02 * ef_rng_normal(&rng));
  }
}

/* direction (K,D): unit vectors from the mean of mu to each mu_i; zero where they coincide. */
static void directions(size_t K, size_t D, const float *mu, double *direction) {
  for (size_t c = 0; c < D; c++) {
    double mean = 0.0;
    for (size_t i = 0; i < K; i++) mean += (double)mu[i * D + c] / (double)K;
    for (size_t i = 0; i < K; i++) direction[i * D + c] = (double)mu[i * D + c] - mean;
  }
  for (size_t i = 0; i < K; i++) {
    double *v = direction + i * D, squares = 0.0, raw = 0.0;
    for (size_t c = 0; c < D; c++) {
      squares += v[c] * v[c];
      raw += (double)mu[i * D + c] * (double)mu[i * D + c];
    }
    bool zero = squares <= 1e-24 * raw; /* what rounding leaves */
    for (size_t c = 0; c < D; c++) v[c] = zero ? 0.0 : v[c] / sqrt(squares);
  }
}

static int descending(const void *left, const void *right) {
  const double *a = left, *b = right;
  return (*a < *b) - (*a > *b);
}

/* score (K,K): row i holds direction_j . mu_i in descending order: the logits of the g experts of base j for
 * length 1. */
static void set_scores(size_t K, size_t D, const float *mu, const double *direction, double *score) {
  for (size_t i = 0; i < K; i++) {
    for (size_t j = 0; j < K; j++) {
      double s = 0.0;
      for (size_t c = 0; c < D; c++) s += direction[j * D + c] * (double)mu[i * D + c];
      score[i * K + j] = s;
    }
    qsort(score + i * K, K, sizeof *score, descending);
  }
}

/* What one layer's search needs. */
typedef struct prior {
  size_t K, g, top;    /* bases, experts of each, experts of a token */
  const double *score; /* (K,K), rows in descending order */
} prior;

/* Probability of the `top` likeliest experts, averaged over the K means. */
static double top_mass(const prior *q, double kappa) {
  double mass = 0.0;
  for (size_t i = 0; i < q->K; i++) {
    const double *score = q->score + i * q->K;
    double all = 0.0, chosen = 0.0;
    for (size_t j = 0; j < q->K; j++) {
      double p = exp(kappa * (score[j] - score[0]));
      size_t before = j * q->g, left = q->top > before ? q->top - before : 0;
      all += (double)q->g * p;
      chosen += (double)(left < q->g ? left : q->g) * p;
    }
    mass += chosen / all;
  }
  return mass / (double)q->K;
}

/* Its limit for kappa -> infinity: only the experts with the highest score remain. */
static double limit_mass(const prior *q) {
  double mass = 0.0;
  for (size_t i = 0; i < q->K; i++) {
    const double *score = q->score + i * q->K;
    size_t highest = 0;
    while (highest < q->K && score[highest] == score[0]) highest++;
    mass += fmin(1.0, (double)q->top / (double)(highest * q->g));
  }
  return mass / (double)q->K;
}

/* The least kappa whose mass is enough: the mass grows with kappa, because the chosen experts are those with
 * the highest scores. */
static double least_length(const prior *q) {
  double wanted = WANTED_MASS * limit_mass(q), low = 0.0, high = 1.0;
  if (top_mass(q, low) >= wanted) return low;
  for (int i = 0; i < DOUBLINGS && top_mass(q, high) < wanted; i++) high *= 2.0;
  for (int i = 0; i < BISECTIONS; i++) {
    double middle = 0.5 * (low + high);
    if (top_mass(q, middle) >= wanted) {
      high = middle;
    } else {
      low = middle;
    }
  }
  return high;
}

ef_status ef_router_prior(ef_model *moe, size_t layer, size_t K, const float *mu) {
  size_t D = moe->dims.D, g = moe->dims.E / K;
  double *direction = NULL, *score = NULL;
  ef_status status = EF_OK;
  EF_GO(EF_NEW(direction, K * D));
  EF_GO(EF_NEW(score, K * K));
  directions(K, D, mu, direction);
  set_scores(K, D, mu, direction, score);
  prior q = {.K = K, .g = g, .top = moe->dims.K, .score = score};
  double kappa = least_length(&q);
  float *router = ef_model_tensor(moe, EF_T_ROUTER_W, (int)layer, -1);
  for (size_t e = 0; e < moe->dims.E; e++) {
    for (size_t c = 0; c < D; c++) router[e * D + c] = (float)(kappa * direction[e / g * D + c]);
  }
done:
  ef_free(direction);
  ef_free(score);
  return status;
}

float ef_routed_scale(ef_model *moe, size_t layer, size_t rows, const float *routed, const float *shared,
                      const float *wanted) {
  double product = 0.0, squares = 0.0;
  for (size_t i = 0; i < rows * moe->dims.D; i++) {
    product += (double)routed[i] * ((double)wanted[i] - (double)shared[i]);
    squares += (double)routed[i] * (double)routed[i];
  }
  if (squares == 0.0) return 1.0f;
  float a = (float)(product / squares);
  for (size_t e = moe->table.expert_first; e < moe->table.expert_first + moe->table.expert_count; e++) {
    float *down = ef_model_tensor(moe, EF_T_EXPERT_DOWN_W, (int)layer, (int)e);
    for (size_t i = 0; i < moe->dims.D * moe->dims.Fe; i++) down[i] *= a;
  }
  return a;
}
