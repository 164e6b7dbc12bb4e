#include "store/h5.h"

ef_status ef_h5_write_vector(ef_h5 *file, const char *path, ef_h5_type type, size_t n, const char *dims,
                             const char *description, const char *units, const void *data) {
  ef_h5_array array = {.path = path,
                       .type = type,
                       .rank = 1,
                       .shape = {n},
                       .description = description,
                       .units = units,
                       .dims = dims};
  return ef_h5_write(file, &array, data);
}
