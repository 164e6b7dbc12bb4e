/* Distance of numbers in units in the last place. Private to store/.
 */
#pragma once

#include "store/h5_internal.h"

/* What differs between two arrays of one shape. ULP: number of representable values between, UINT64_MAX if
 * only one is NaN; for integers the plain distance. */
typedef struct ef_distance {
  uint64_t ulp;
  size_t elements, index;
  double a, b; /* the values at `index`, where the distance is greatest */
} ef_distance;

/* Between the elements `i` of two blocks of `type`; both zeros are the same, and so are all NaNs. Local. */
uint64_t ef_ulp_between(ef_h5_type type, const void *a, const void *b, size_t i);

/* Adds what differs between two blocks of the same place. Local. */
void ef_distance_add(const ef_h5_data *data, const ef_h5_block *block, const void *a, const void *b,
                     ef_distance *distance);
