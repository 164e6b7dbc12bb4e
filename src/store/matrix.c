#include "store/matrix.h"

#include "base/memory.h"
#include "store/report.h"

static ef_status convert(ef_h5 *file, const ef_h5_array *array, ef_matrix *m) {
  void *raw = ef_alloc(m->rows * m->columns, ef_h5_type_bytes(array->type));
  ef_status status = EF_CHECK(raw, EF_MACHINE, "out of memory: %s", array->path);
  if (status == EF_OK) status = ef_h5_read(file, array, raw);
  for (size_t i = 0; status == EF_OK && i < m->rows * m->columns; i++)
    m->values[i] = ef_report_number(array->type, raw, i);
  ef_free(raw);
  return status;
}

ef_status ef_matrix_read(ef_h5 *file, const char *path, ef_matrix *m) {
  *m = (ef_matrix){0};
  if (!ef_h5_has(file, path)) return EF_OK;
  ef_h5_array array;
  EF_TRY(ef_h5_describe(file, path, &array));
  if (array.rank != 1 && array.rank != 2) return EF_OK;
  size_t rows = array.shape[0], columns = array.rank == 2 ? array.shape[1] : 1;
  if (rows * columns == 0) return EF_OK;
  m->rows = rows;
  m->columns = columns;
  EF_TRY(EF_NEW(m->values, rows * columns));
  array.path = path;
  ef_status status = convert(file, &array, m);
  if (status == EF_OK) return EF_OK;
  ef_free(m->values);
  *m = (ef_matrix){0};
  return status;
}
