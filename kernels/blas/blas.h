/* The fast backend: matrix products by OpenBLAS, everything else as loops that the compiler vectorises.
 *
 * One file per group of operations; vmath.h has the inline exponential, reduce.h the reductions of fixed
 * order, tile.h the small products of the attention. No result depends on the address of an array, and a
 * row's result not on the other rows of the call, with one exception: OpenBLAS may round a row of a matrix
 * product differently for another number of rows.
 */
#pragma once

#include "kernels/kernels.h"

/* The table "blas": complete, constant, valid for ever. Local. */
const ef_kernels *ef_kernels_blas(void);
