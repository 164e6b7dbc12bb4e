/* A small table of a file, whatever its type, as doubles. Private to store/.
 */
#pragma once

#include "store/h5_internal.h"

typedef struct ef_matrix {
  size_t rows, columns;
  double *values; /* (rows,columns); counted memory */
} ef_matrix;

/* Reads a dataset of one (columns 1) or two dimensions; rows 0 and values NULL where the file has none or an
 * empty one. The caller frees values. EF_CHECKPOINT, EF_MACHINE. Local. */
ef_status ef_matrix_read(ef_h5 *file, const char *path, ef_matrix *matrix);
