#include "store/moments.h"

#include "base/memory.h"
#include "store/report.h"
#include <math.h>

static ef_moments of_block(ef_h5_type type, const void *block, size_t n) {
  ef_moments m = {.least = INFINITY, .greatest = -INFINITY};
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    double x = ef_report_number(type, block, i);
    if (!isfinite(x)) {
      m.nonfinite++;
      continue;
    }
    sum += x;
    m.least = fmin(m.least, x);
    m.greatest = fmax(m.greatest, x);
  }
  m.count = n - m.nonfinite;
  if (m.count > 0) m.mean = sum / (double)m.count;
  for (size_t i = 0; i < n; i++) {
    double d = ef_report_number(type, block, i) - m.mean;
    if (isfinite(d)) m.squares += d * d;
  }
  return m;
}

/* By the formula of Chan, Golub and LeVeque (1983). */
static void merge(ef_moments *a, const ef_moments *b) {
  a->nonfinite += b->nonfinite;
  if (b->count == 0) return;
  double na = (double)a->count, nb = (double)b->count, delta = b->mean - a->mean;
  a->mean += delta * nb / (na + nb);
  a->squares += b->squares + delta * delta * na * nb / (na + nb);
  a->least = fmin(a->least, b->least);
  a->greatest = fmax(a->greatest, b->greatest);
  a->count += b->count;
}

ef_status ef_moments_measure(ef_h5 *file, const ef_h5_data *data, ef_moments *m) {
  void *buffer = NULL;
  *m = (ef_moments){.least = INFINITY, .greatest = -INFINITY};
  EF_TRY((buffer = ef_alloc(ef_h5_block_most(data), data->unit))
             ? EF_OK
             : EF_CHECK(false, EF_MACHINE, "out of memory"));
  ef_status status = EF_OK;
  for (ef_h5_block block = {0}; status == EF_OK && ef_h5_block_next(data, &block);) {
    status = ef_h5_block_read(file, data, &block, buffer);
    if (status != EF_OK) break;
    ef_moments one = of_block(data->array.type, buffer, block.elements);
    merge(m, &one);
  }
  ef_free(buffer);
  return status;
}
