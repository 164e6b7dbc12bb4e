#include "kernels/blas/blas.h"
#include "kernels/guard/guard.h"
#include "kernels/kernels.h"
#include "kernels/ref/ref.h"

#include <math.h>
#include <string.h>

const ef_kernels *ef_kernels_find(const char *name) {
  static const struct {
    const char *name;
    const ef_kernels *(*table)(void);
  } backends[] = {
      {"blas", ef_kernels_blas},
      {"ref", ef_kernels_ref},
      {"guard", ef_kernels_guard_blas},
      {"guard:ref", ef_kernels_guard_ref},
  };
  for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
    if (strcmp(name, backends[i].name) == 0) return backends[i].table();
  }
  return NULL;
}

float ef_clip_factor(double sum_squares, double max_norm) {
  if (max_norm <= 0.0) return 1.0f;
  double factor = max_norm / (sqrt(sum_squares) + 1e-6);
  return (float)(factor > 1.0 ? 1.0 : factor); /* a NaN passes, as in torch */
}
