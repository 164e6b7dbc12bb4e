/* Statistics of a dataset, read block by block. Private to store/.
 */
#pragma once

#include "store/h5_internal.h"

/* Running moments of the finite elements; least is INFINITY and greatest -INFINITY where there are none. */
typedef struct ef_moments {
  double mean, squares, least, greatest; /* squares: sum of squared deviations */
  size_t count, nonfinite;
} ef_moments;

/* Reads a whole numeric dataset. EF_CHECKPOINT, EF_MACHINE. Local. */
ef_status ef_moments_measure(ef_h5 *file, const ef_h5_data *data, ef_moments *moments);
