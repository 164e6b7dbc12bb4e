#include "kernels/blas/blas.h"
#include "kernels/guard/guard.h"

#define GUARD_NAME "guard"
static const ef_kernels *inner(void) { return ef_kernels_blas(); }

#include "kernels/guard/wrap.inc"

const ef_kernels *ef_kernels_guard_blas(void) { return &table; }
