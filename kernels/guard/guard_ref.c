#include "kernels/guard/guard.h"
#include "kernels/ref/ref.h"

#define GUARD_NAME "guard:ref"
static const ef_kernels *inner(void) { return ef_kernels_ref(); }

#include "kernels/guard/wrap.inc"

const ef_kernels *ef_kernels_guard_ref(void) { return &table; }
