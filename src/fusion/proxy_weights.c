#include "fusion/proxy_weights.h"

#include <math.h>

/* What stands for an unknown loss: the mean of the known ones, 0 if there are none. */
static double known_mean(size_t n, const double *losses) {
  double sum = 0.0;
  size_t known = 0;
  for (size_t m = 0; m < n; m++) {
    if (!isfinite(losses[m])) continue;
    sum += losses[m];
    known++;
  }
  return known > 0 ? sum / (double)known : 0.0;
}

static double or_mean(double loss, double mean) { return isfinite(loss) ? loss : mean; }

/* The least loss is taken out, so that the largest exponential is 1. */
void ef_proxy_weights(size_t n, const double *losses, double sharpness, float *weights) {
  double mean = known_mean(n, losses), least = or_mean(losses[0], mean), sum = 0.0;
  for (size_t m = 1; m < n; m++) least = fmin(least, or_mean(losses[m], mean));
  for (size_t m = 0; m < n; m++) sum += exp(-sharpness * (or_mean(losses[m], mean) - least));
  for (size_t m = 0; m < n; m++) {
    weights[m] = (float)(exp(-sharpness * (or_mean(losses[m], mean) - least)) / sum);
  }
}
