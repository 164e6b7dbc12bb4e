#include "store/h5_internal.h"

#include "base/memory.h"

struct ef_h5_range {
  ef_h5 *file;
  ef_h5_data data;
};

/* ef_h5_data_open has checked type, shape and layout; the dataset is opened anew with a cache of chunks. */
static ef_status reopen_cached(ef_h5_range *range, const char *path, size_t cache) {
  hid_t list = H5Pcreate(H5P_DATASET_ACCESS), set = H5I_INVALID_HID;
  if (list >= 0 && H5Pset_chunk_cache(list, H5D_CHUNK_CACHE_NSLOTS_DEFAULT, cache, 1.0) >= 0) {
    H5Dclose(range->data.set);
    set = range->data.set = H5Dopen2(range->file->id, path, list);
  }
  if (list >= 0) H5Pclose(list);
  return EF_H5_CHECK(set >= 0, EF_CHECKPOINT, "%s: %s: cannot be opened", range->file->path, path);
}

ef_status ef_h5_range_open(ef_h5 *file, const char *path, ef_h5_type type, size_t cache, ef_h5_range **out) {
  ef_h5_range *range = NULL;
  ef_status status;
  *out = NULL;
  EF_TRY(EF_NEW(range, 1));
  range->file = file;
  EF_GO(ef_h5_data_open(file, path, &range->data));
  bool same = !range->data.text && range->data.array.type == type && range->data.array.rank == 1;
  EF_GO(EF_CHECK(same, EF_CHECKPOINT, "%s: %s: is no list of %s", file->path, path, ef_h5_type_name(type)));
  EF_GO(reopen_cached(range, path, cache));
  *out = range;
  return EF_OK;
done:
  ef_h5_range_close(range);
  return status;
}

ef_status ef_h5_read_range(ef_h5_range *range, size_t first, size_t count, void *data) {
  const char *path = range->file->path;
  size_t length = (size_t)range->data.shape[0];
  EF_TRY(EF_CHECK(first <= length && count <= length - first, EF_CHECKPOINT,
                  "%s: elements %zu to %zu wanted, the dataset has %zu", path, first, first + count, length));
  if (count == 0) return EF_OK;
  hsize_t start = first, n = count;
  herr_t rc = -1;
  hid_t memory = H5Screate_simple(1, &n, NULL);
  if (memory >= 0 && H5Sselect_hyperslab(range->data.space, H5S_SELECT_SET, &start, NULL, &n, NULL) >= 0) {
    rc = H5Dread(range->data.set, range->data.memory, memory, range->data.space, H5P_DEFAULT, data);
  }
  if (memory >= 0) H5Sclose(memory);
  return EF_H5_CHECK(rc >= 0, EF_CHECKPOINT, "%s: elements %zu to %zu: damaged", path, first, first + count);
}

void ef_h5_range_close(ef_h5_range *range) {
  if (!range) return;
  ef_h5_data_close(&range->data);
  ef_free(range);
}
