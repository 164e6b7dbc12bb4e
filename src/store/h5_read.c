#include "store/h5_internal.h"

#include "base/memory.h"
#include <stdio.h>
#include <string.h>

bool ef_h5_has(ef_h5 *file, const char *path) {
  char part[H5_PATH_BYTES] = "";
  size_t n = strlen(path);
  if (n >= sizeof part || path[0] != '/') return false;
  if (n == 1) return true;
  for (size_t i = 1; i <= n; i++) {
    if (path[i] != '/' && path[i] != '\0') continue;
    memcpy(part, path, i);
    part[i] = '\0';
    H5L_info_t link;
    bool plain = H5Lexists(file->id, part, H5P_DEFAULT) > 0 &&
                 H5Lget_info(file->id, part, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD;
    if (!plain) {
      H5Eclear2(H5E_DEFAULT);
      return false;
    }
  }
  return true;
}

/* ---- opening a dataset -------------------------------------------------------------------------------- */

static ef_status find_type(ef_h5_data *data, hid_t stored) {
  data->unit = H5Tget_size(stored);
  if (H5Tget_class(stored) == H5T_STRING && H5Tis_variable_str(stored) == 0) {
    data->text = true;
    data->memory = H5Tcopy(stored);
    return EF_H5_CHECK(data->memory >= 0, EF_CHECKPOINT, "damaged type");
  }
  for (ef_h5_type type = EF_H5_F32; type <= EF_H5_U8; type++) {
    if (H5Tequal(stored, ef_h5_stored_type(type)) <= 0) continue;
    data->array.type = type;
    data->memory = H5Tcopy(ef_h5_memory_type(type));
    return EF_H5_CHECK(data->memory >= 0, EF_CHECKPOINT, "damaged type");
  }
  return ef_h5_raise(EF_CHECKPOINT, __FILE__, __LINE__, "a type that edgefuse does not use");
}

static ef_status find_shape(ef_h5 *file, ef_h5_data *data) {
  int rank = data->space >= 0 ? H5Sget_simple_extent_ndims(data->space) : -1;
  EF_TRY(EF_H5_CHECK(rank >= 0 && rank <= 4, EF_CHECKPOINT, "rank %d, not 0 to 4", rank));
  for (int d = 0; d < 4; d++) data->shape[d] = data->chunk[d] = 1;
  H5Sget_simple_extent_dims(data->space, data->shape, NULL);
  data->array.rank = (size_t)rank;
  data->bytes = data->unit;
  for (int d = 0; d < rank; d++) {
    hsize_t n = data->shape[d];
    EF_TRY(EF_CHECK(n == 0 || data->bytes == 0 || data->bytes <= file->bytes / n, EF_CHECKPOINT,
                    "says more elements than the file has bytes"));
    data->array.shape[d] = (size_t)n;
    data->bytes *= (size_t)n;
  }
  return EF_OK;
}

/* Only what edgefuse writes is read: chunks with one filter, Fletcher-32, or values inside the object header.
 * So no other file is followed and no plug-in of HDF5 is loaded on the word of a file. */
static ef_status check_chunks(ef_h5_data *data, hid_t list) {
  unsigned flags = 0, config = 0;
  size_t values = 0;
  bool sums = H5Pget_nfilters(list) == 1 &&
              H5Pget_filter2(list, 0, &flags, &values, NULL, 0, NULL, &config) == H5Z_FILTER_FLETCHER32;
  EF_TRY(EF_H5_CHECK(sums, EF_CHECKPOINT, "stored without checksums"));
  int rank = H5Pget_chunk(list, 4, data->chunk);
  EF_TRY(EF_H5_CHECK(rank == (int)data->array.rank, EF_CHECKPOINT, "damaged chunks"));
  size_t bytes = data->unit;
  for (int d = 0; d < rank; d++) {
    EF_TRY(
        EF_CHECK(data->chunk[d] > 0 && data->chunk[d] <= data->shape[d], EF_CHECKPOINT, "bad chunk shape"));
    bytes *= (size_t)data->chunk[d];
  }
  EF_TRY(EF_CHECK(bytes <= H5_CHUNK_MOST, EF_CHECKPOINT, "chunks of %zu bytes are too large", bytes));
  hsize_t stored = H5Dget_storage_size(data->set);
  return EF_H5_CHECK(stored >= data->bytes, EF_CHECKPOINT, "%llu of %zu bytes are in the file",
                     (unsigned long long)stored, data->bytes);
}

static ef_status find_layout(ef_h5_data *data) {
  hid_t list = H5Dget_create_plist(data->set);
  EF_TRY(EF_H5_CHECK(list >= 0, EF_CHECKPOINT, "damaged"));
  ef_status status;
  switch (H5Pget_layout(list)) {
  case H5D_COMPACT:
    memcpy(data->chunk, data->shape, sizeof data->chunk);
    status = EF_OK;
    break;
  case H5D_CHUNKED:
    status = check_chunks(data, list);
    break;
  default:
    status = ef_h5_raise(EF_CHECKPOINT, __FILE__, __LINE__, "stored without checksums");
  }
  H5Pclose(list);
  return status;
}

static hid_t open_uncached(ef_h5 *file, const char *path) {
  hid_t list = H5Pcreate(H5P_DATASET_ACCESS), set = H5I_INVALID_HID;
  if (list >= 0 && H5Pset_chunk_cache(list, 0, 0, 0.0) >= 0) set = H5Dopen2(file->id, path, list);
  if (list >= 0) H5Pclose(list);
  return set;
}

ef_status ef_h5_data_open(ef_h5 *file, const char *path, ef_h5_data *data) {
  *data = (ef_h5_data){.set = H5I_INVALID_HID, .space = H5I_INVALID_HID, .memory = H5I_INVALID_HID};
  data->array.path = path;
  hid_t stored = H5I_INVALID_HID;
  ef_status status;
  EF_GO(EF_CHECK(ef_h5_has(file, path), EF_CHECKPOINT, "no such dataset"));
  data->set = open_uncached(file, path);
  EF_GO(EF_H5_CHECK(data->set >= 0, EF_CHECKPOINT, "cannot be opened as a dataset"));
  stored = H5Dget_type(data->set);
  data->space = H5Dget_space(data->set);
  EF_GO(EF_H5_CHECK(stored >= 0, EF_CHECKPOINT, "damaged type"));
  EF_GO(find_type(data, stored));
  EF_GO(find_shape(file, data));
  EF_GO(find_layout(data));
done:
  if (stored >= 0) H5Tclose(stored);
  if (status != EF_OK) {
    ef_h5_data_close(data);
    ef_context(status, "%s: %s", file->path, path);
  }
  return status;
}

void ef_h5_data_close(ef_h5_data *data) {
  if (data->memory >= 0) H5Tclose(data->memory);
  if (data->space >= 0) H5Sclose(data->space);
  if (data->set >= 0) H5Dclose(data->set);
  data->memory = data->space = data->set = H5I_INVALID_HID;
}

/* ---- blocks ------------------------------------------------------------------------------------------- */

bool ef_h5_block_next(const ef_h5_data *data, ef_h5_block *block) {
  size_t rank = data->array.rank > 0 ? data->array.rank : 1;
  if (data->bytes == 0) return false;
  if (block->elements > 0) {
    size_t d = rank;
    while (d-- > 0) {
      block->start[d] += data->chunk[d];
      if (block->start[d] < data->shape[d]) break;
      block->start[d] = 0;
      if (d == 0) return false;
    }
  }
  block->elements = 1;
  for (size_t d = 0; d < rank; d++) {
    hsize_t left = data->shape[d] - block->start[d];
    block->count[d] = left < data->chunk[d] ? left : data->chunk[d];
    block->elements *= (size_t)block->count[d];
  }
  return true;
}

size_t ef_h5_block_most(const ef_h5_data *data) {
  size_t n = 1;
  for (size_t d = 0; d < data->array.rank; d++) n *= (size_t)data->chunk[d];
  return n;
}

ef_status ef_h5_block_read(ef_h5 *file, const ef_h5_data *data, const ef_h5_block *block, void *out) {
  herr_t rc = -1;
  if (data->array.rank == 0) {
    rc = H5Dread(data->set, data->memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, out);
  } else {
    hid_t memory = H5Screate_simple((int)data->array.rank, block->count, NULL);
    if (memory >= 0 &&
        H5Sselect_hyperslab(data->space, H5S_SELECT_SET, block->start, NULL, block->count, NULL) >= 0) {
      rc = H5Dread(data->set, data->memory, memory, data->space, H5P_DEFAULT, out);
    }
    if (memory >= 0) H5Sclose(memory);
  }
  return EF_H5_CHECK(rc >= 0, EF_CHECKPOINT, "%s: %s: damaged", file->path, data->array.path);
}

size_t ef_h5_block_index(const ef_h5_data *data, const ef_h5_block *block, size_t i) {
  size_t index = 0, stride = 1;
  for (size_t d = data->array.rank; d-- > 0;) {
    size_t n = (size_t)block->count[d];
    index += ((size_t)block->start[d] + i % n) * stride;
    i /= n;
    stride *= (size_t)data->shape[d];
  }
  return index;
}

/* ---- whole arrays ------------------------------------------------------------------------------------- */

ef_status ef_h5_describe(ef_h5 *file, const char *path, ef_h5_array *array) {
  ef_h5_data data;
  EF_TRY(ef_h5_data_open(file, path, &data));
  *array = data.array;
  ef_h5_data_close(&data);
  return EF_CHECK(!data.text, EF_CHECKPOINT, "%s: %s: a text, not numbers", file->path, path);
}

static void print_shape(const ef_h5_array *array, char *text, size_t size) {
  int n = snprintf(text, size, "%s [", ef_h5_type_name(array->type));
  for (size_t d = 0; d < array->rank; d++) {
    n += snprintf(text + n, size - (size_t)n, "%s%zu", d > 0 ? ", " : "", array->shape[d]);
  }
  snprintf(text + n, size - (size_t)n, "]");
}

static ef_status check_same(ef_h5 *file, const ef_h5_data *data, const ef_h5_array *array) {
  bool same = !data->text && data->array.type == array->type && data->array.rank == array->rank;
  for (size_t d = 0; same && d < array->rank; d++) same = data->array.shape[d] == array->shape[d];
  if (same) return EF_OK;
  char found[128], wanted[128];
  print_shape(&data->array, found, sizeof found);
  print_shape(array, wanted, sizeof wanted);
  return ef_fail(EF_CHECKPOINT, __FILE__, __LINE__, "%s: %s: is %s, not %s", file->path, array->path,
                 data->text ? "a text" : found, wanted);
}

ef_status ef_h5_read(ef_h5 *file, const ef_h5_array *array, void *out) {
  ef_h5_data data;
  EF_TRY(ef_h5_data_open(file, array->path, &data));
  ef_status status = check_same(file, &data, array);
  if (status == EF_OK && data.bytes > 0) {
    herr_t rc = H5Dread(data.set, data.memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, out);
    status = EF_H5_CHECK(rc >= 0, EF_CHECKPOINT, "%s: %s: damaged", file->path, array->path);
  }
  ef_h5_data_close(&data);
  return status;
}

ef_status ef_h5_read_text(ef_h5 *file, const char *path, char **text) {
  ef_h5_data data;
  *text = NULL;
  EF_TRY(ef_h5_data_open(file, path, &data));
  ef_status status =
      EF_CHECK(data.text && data.bytes == data.unit, EF_CHECKPOINT, "%s: %s: is no text", file->path, path);
  if (status == EF_OK) status = EF_NEW(*text, data.unit + 1);
  if (status == EF_OK) {
    herr_t rc = H5Dread(data.set, data.memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, *text);
    status = EF_H5_CHECK(rc >= 0, EF_CHECKPOINT, "%s: %s: damaged", file->path, path);
  }
  ef_h5_data_close(&data);
  if (status == EF_OK) return EF_OK;
  ef_free(*text);
  *text = NULL;
  return status;
}

ef_status ef_h5_deck(ef_h5 *file, char **text) { return ef_h5_read_text(file, "/deck", text); }
