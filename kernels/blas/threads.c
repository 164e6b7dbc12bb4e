#include "threads.h"

#include <cblas.h>

int ef_blas_threads(void) { return openblas_get_num_threads(); }

const char *ef_blas_flavour(void) {
  int kind = openblas_get_parallel();
  return kind == OPENBLAS_SEQUENTIAL ? "serial" : kind == OPENBLAS_OPENMP ? "openmp" : "pthread";
}
