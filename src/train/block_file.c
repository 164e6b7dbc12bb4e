#include "train/block_file.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum { PATH_BYTES = 256 };

static ef_h5_array array_of(const ef_tensor *tensor, const char *prefix, char path[PATH_BYTES]) {
  snprintf(path, PATH_BYTES, "%s/%s", prefix, tensor->name);
  ef_h5_array array = {.path = path, .type = EF_H5_F32, .rank = tensor->rank, .units = "1"};
  for (size_t i = 0; i < tensor->rank; i++) array.shape[i] = tensor->shape[i];
  if (tensor->rank == 1) array.dims = "out";
  if (tensor->rank == 2) array.dims = tensor->input_major ? "in,out" : "out,in";
  return array;
}

ef_status ef_block_write(ef_h5 *file, const char *prefix, const ef_table *table, const float *block,
                         ef_block_share share, bool routed, const char *description) {
  char path[PATH_BYTES];
  for (size_t i = 0; i < table->count; i++) {
    const ef_tensor *tensor = &table->tensors[i];
    if (tensor->expert >= 0 && !routed) continue;
    ef_h5_array array = array_of(tensor, prefix, path);
    array.description = description;
    bool mine = tensor->expert < 0 ? share.shared : share.experts && tensor->offset != SIZE_MAX;
    EF_TRY(ef_h5_write(file, &array, mine ? block + tensor->offset : NULL));
  }
  return EF_OK;
}

static ef_status check_finite(const char *path, const float *x, size_t n) {
  for (size_t i = 0; i < n; i++) {
    EF_TRY(EF_CHECK(isfinite(x[i]), EF_CHECKPOINT, "%s[%zu]: not a finite number", path, i));
  }
  return EF_OK;
}

ef_status ef_block_read(ef_h5 *file, const char *prefix, const ef_table *table, bool routed, float *block) {
  char path[PATH_BYTES];
  for (size_t i = 0; i < table->count; i++) {
    const ef_tensor *tensor = &table->tensors[i];
    if (tensor->offset == SIZE_MAX || (tensor->expert >= 0 && !routed)) continue;
    ef_h5_array array = array_of(tensor, prefix, path);
    EF_TRY(ef_h5_read(file, &array, block + tensor->offset));
    EF_TRY(check_finite(path, block + tensor->offset, tensor->count));
  }
  return EF_OK;
}
