#include "store/ulp.h"

#include "store/report.h"
#include <math.h>
#include <string.h>

static uint64_t apart(int64_t x, int64_t y) {
  return x > y ? (uint64_t)x - (uint64_t)y : (uint64_t)y - (uint64_t)x;
}

/* Floats as integers in the order of their values; both zeros are 0. */
static int64_t ordered32(const float *x) {
  int32_t bits;
  memcpy(&bits, x, sizeof bits);
  return bits < 0 ? -(int64_t)(bits & INT32_MAX) : bits;
}

static int64_t ordered64(const double *x) {
  int64_t bits;
  memcpy(&bits, x, sizeof bits);
  return bits < 0 ? -(bits & INT64_MAX) : bits;
}

uint64_t ef_ulp_between(ef_h5_type type, const void *a, const void *b, size_t i) {
  double x = ef_report_number(type, a, i), y = ef_report_number(type, b, i);
  if (isnan(x) || isnan(y)) return isnan(x) && isnan(y) ? 0 : UINT64_MAX;
  switch (type) {
  case EF_H5_F32:
    return apart(ordered32((const float *)a + i), ordered32((const float *)b + i));
  case EF_H5_F64:
    return apart(ordered64((const double *)a + i), ordered64((const double *)b + i));
  case EF_H5_I64:
    return apart(((const int64_t *)a)[i], ((const int64_t *)b)[i]);
  default:
    return apart((int64_t)x, (int64_t)y);
  }
}

void ef_distance_add(const ef_h5_data *data, const ef_h5_block *block, const void *a, const void *b,
                     ef_distance *d) {
  ef_h5_type type = data->array.type;
  if (memcmp(a, b, block->elements * data->unit) == 0) return;
  for (size_t i = 0; i < block->elements; i++) {
    uint64_t ulp = ef_ulp_between(type, a, b, i);
    d->elements += ulp > 0;
    if (ulp <= d->ulp) continue;
    d->ulp = ulp;
    d->index = ef_h5_block_index(data, block, i);
    d->a = ef_report_number(type, a, i);
    d->b = ef_report_number(type, b, i);
  }
}
