#include "store/h5_internal.h"

#include "base/memory.h"
#include <stdio.h>

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

ef_status ef_h5_write_axis(ef_h5 *file, const char *group, const char *name, size_t n, int64_t first,
                           const char *description, bool passes) {
  char path[H5_PATH_BYTES];
  int64_t *values = NULL;
  snprintf(path, sizeof path, "%s/%s", group, name);
  EF_TRY(ef_h5_settle(file, EF_NEW(values, n)));
  for (size_t i = 0; i < n; i++) values[i] = first + (int64_t)i;
  ef_status status =
      ef_h5_write_vector(file, path, EF_H5_I64, n, name, description, "1", passes ? values : NULL);
  ef_free(values);
  return status;
}
