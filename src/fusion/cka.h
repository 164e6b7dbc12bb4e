/* Linear centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414, section 3): how alike two
 * representations of the same tokens are, whatever their widths, up to rotation and scale.
 *
 *   CKA(X,Y) = |Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F)     columns of X and Y centred
 */
#pragma once

#include "base/status.h"
#include "kernels/kernels.h"
#include <stddef.h>

/* Representations of one network: `count` matrices (rows,width). */
typedef struct ef_cka_side {
  const float *const *stages;
  size_t count, width;
} ef_cka_side;

/* cka (x.count,y.count): from 0 to 1; 0 where a representation is constant. EF_MACHINE. Local. */
ef_status ef_cka(const ef_kernels *kernels, size_t rows, const ef_cka_side *x, const ef_cka_side *y,
                 double *cka);
size_t ef_cka_bytes(size_t rows, const ef_cka_side *x,
                    const ef_cka_side *y); /* that ef_cka takes meanwhile */
