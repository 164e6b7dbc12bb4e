#include "store/h5_internal.h"

#include "base/memory.h"
#include <stdio.h>
#include <string.h>

/* Reserved for an object's header, its attributes and the growth of its group. */
enum { OBJECT_BYTES = 16384, CHUNK_INDEX_BYTES = 64 };
/* One call of a collective write moves at most this much, so that buffers and MPI counts stay small. */
static const size_t slab_bytes = (size_t)4 << 20;

hid_t ef_h5_stored_type(ef_h5_type type) {
  const hid_t types[] = {H5T_IEEE_F32LE, H5T_IEEE_F64LE, H5T_STD_I32LE, H5T_STD_I64LE, H5T_STD_U8LE};
  return types[type];
}

hid_t ef_h5_memory_type(ef_h5_type type) {
  const hid_t types[] = {H5T_NATIVE_FLOAT, H5T_NATIVE_DOUBLE, H5T_NATIVE_INT32, H5T_NATIVE_INT64,
                         H5T_NATIVE_UINT8};
  return types[type];
}

size_t ef_h5_type_bytes(ef_h5_type type) {
  static const size_t bytes[] = {4, 8, 4, 8, 1};
  return bytes[type];
}

const char *ef_h5_type_name(ef_h5_type type) {
  static const char *const names[] = {"float32", "float64", "int32", "int64", "uint8"};
  return names[type];
}

/* What is about to be written: types, extent and chunks of one dataset. */
typedef struct plan {
  const char *path;
  hid_t stored, memory;
  size_t unit, rank, elements;
  hsize_t shape[4], chunk[4];
  bool compact; /* scalars and empty arrays live in the object header */
  bool label;   /* a scalar text, which every rank passes */
} plan;

/* Equal parts of about H5_CHUNK_BYTES, cut along the first dimensions, so that the last chunks waste little.
 */
static void choose_chunks(plan *p) {
  hsize_t budget = H5_CHUNK_BYTES / p->unit;
  if (budget == 0) budget = 1;
  for (size_t d = p->rank; d-- > 0;) {
    hsize_t parts = (p->shape[d] + budget - 1) / budget;
    p->chunk[d] = (p->shape[d] + parts - 1) / parts;
    budget /= p->chunk[d];
    if (budget == 0) budget = 1;
  }
}

static ef_status make_plan(const ef_h5 *file, const ef_h5_array *array, plan *p) {
  *p = (plan){.path = array->path,
              .stored = ef_h5_stored_type(array->type),
              .memory = ef_h5_memory_type(array->type),
              .unit = ef_h5_type_bytes(array->type),
              .rank = array->rank,
              .elements = 1};
  for (size_t d = 0; d < array->rank; d++) {
    size_t n = array->shape[d];
    EF_TRY(EF_CHECK(n == 0 || p->elements <= SIZE_MAX / 16 / n, EF_FAULT, "%s: %s: too many elements",
                    file->path, array->path));
    p->shape[d] = n;
    p->elements *= n;
  }
  p->compact = array->rank == 0 || p->elements == 0;
  if (!p->compact) choose_chunks(p);
  return EF_OK;
}

static size_t chunk_number(const plan *p) {
  size_t n = 1;
  for (size_t d = 0; d < p->rank && !p->compact; d++)
    n *= (size_t)((p->shape[d] + p->chunk[d] - 1) / p->chunk[d]);
  return n;
}

/* Bytes in the file: whole chunks with their checksums, their index, and the header. */
static size_t need(const plan *p) {
  size_t chunk = p->unit;
  for (size_t d = 0; d < p->rank && !p->compact; d++) chunk *= (size_t)p->chunk[d];
  return OBJECT_BYTES + chunk_number(p) * (chunk + CHUNK_INDEX_BYTES);
}

static hid_t creation_list(const plan *p) {
  hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  bool ok =
      list >= 0 && H5Pset_obj_track_times(list, false) >= 0 && H5Pset_attr_phase_change(list, 65535, 0) >= 0;
  if (ok && p->compact) {
    ok = H5Pset_layout(list, H5D_COMPACT) >= 0;
  } else if (ok) {
    ok = H5Pset_chunk(list, (int)p->rank, p->chunk) >= 0 && H5Pset_fletcher32(list) >= 0;
  }
  if (!ok && list >= 0) H5Pclose(list);
  return ok ? list : H5I_INVALID_HID;
}

/* Chunks go to the file as they are written, never through HDF5's cache: a failure shows in the call that
 * caused it. */
static hid_t uncached(void) {
  hid_t list = H5Pcreate(H5P_DATASET_ACCESS);
  if (list >= 0) H5Pset_chunk_cache(list, 0, 0, 0.0);
  return list;
}

static ef_status create_set(ef_h5 *file, const plan *p, hid_t *set) {
  const char *path = p->path, *leaf = strrchr(path, '/') + 1;
  char parent[H5_PATH_BYTES];
  int n = snprintf(parent, sizeof parent, "%.*s", (int)(leaf - path), path);
  EF_TRY(EF_CHECK(n > 0 && n < H5_PATH_BYTES, EF_FAULT, "%s: dataset path too long: %.60s...", file->path,
                  path));
  hid_t group = H5I_INVALID_HID;
  EF_TRY(ef_h5_group(file, parent, &group));
  hid_t space = p->rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple((int)p->rank, p->shape, NULL);
  hid_t creation = creation_list(p), access = uncached();
  if (space >= 0 && creation >= 0 && access >= 0) {
    *set = H5Dcreate2(group, leaf, p->stored, space, H5P_DEFAULT, creation, access);
  }
  ef_status status = EF_H5_CHECK(*set >= 0, EF_MACHINE, "%s: %s: cannot be created", file->path, path);
  if (access >= 0) H5Pclose(access);
  if (creation >= 0) H5Pclose(creation);
  if (space >= 0) H5Sclose(space);
  H5Gclose(group);
  return status;
}

static hid_t transfer_list(const ef_h5 *file) {
  hid_t list = H5Pcreate(H5P_DATASET_XFER);
  if (list >= 0 && file->comm != MPI_COMM_NULL && H5Pset_dxpl_mpio(list, H5FD_MPIO_COLLECTIVE) < 0) {
    H5Pclose(list);
    return H5I_INVALID_HID;
  }
  return list;
}

/* Rows [begin, end) of the first dimension, or none of them on a rank without data. */
static ef_status write_rows(ef_h5 *file, hid_t set, const plan *p, hsize_t begin, hsize_t end,
                            const void *data) {
  hsize_t start[4] = {begin}, count[4];
  memcpy(count, p->shape, sizeof count);
  count[0] = end - begin;
  size_t row = p->elements / (size_t)p->shape[0] * p->unit;
  hid_t memory = H5Screate_simple((int)p->rank, count, NULL), target = H5Dget_space(set);
  hid_t transfer = transfer_list(file);
  bool ok = memory >= 0 && target >= 0 && transfer >= 0;
  if (ok && data) {
    ok = H5Sselect_hyperslab(target, H5S_SELECT_SET, start, NULL, count, NULL) >= 0;
    data = (const char *)data + (size_t)begin * row;
  } else if (ok) {
    ok = H5Sselect_none(target) >= 0 && H5Sselect_none(memory) >= 0;
    data = &p->unit;
  }
  ok = ok && H5Dwrite(set, p->memory, memory, target, transfer, data) >= 0;
  ef_status status = EF_H5_CHECK(ok, EF_MACHINE, "%s: %s: cannot be written", file->path, p->path);
  if (transfer >= 0) H5Pclose(transfer);
  if (target >= 0) H5Sclose(target);
  if (memory >= 0) H5Sclose(memory);
  return status;
}

/* A scalar lies in metadata, which every rank must know alike: its owner tells the others. */
static ef_status write_scalar(ef_h5 *file, hid_t set, const plan *p, const void *data) {
  char value[8] = {0};
  if (data) memcpy(value, data, p->unit);
  if (file->comm != MPI_COMM_NULL) {
    int mine = data ? file->rank : 0, owner = 0;
    int rc = MPI_Allreduce(&mine, &owner, 1, MPI_INT, MPI_MAX, file->comm);
    if (rc == MPI_SUCCESS) rc = MPI_Bcast(value, (int)sizeof value, MPI_BYTE, owner, file->comm);
    EF_TRY(EF_CHECK(rc == MPI_SUCCESS, EF_MACHINE, "%s: %s: MPI broadcast failed", file->path, p->path));
  }
  herr_t rc = H5Dwrite(set, p->memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, value);
  return EF_H5_CHECK(rc >= 0, EF_MACHINE, "%s: %s: cannot be written", file->path, p->path);
}

static ef_status write_label(ef_h5 *file, hid_t set, const plan *p, const char *text) {
  herr_t rc = H5Dwrite(set, p->memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, text);
  return EF_H5_CHECK(rc >= 0, EF_MACHINE, "%s: %s: cannot be written", file->path, p->path);
}

static ef_status write_data(ef_h5 *file, hid_t set, const plan *p, const void *data) {
  if (p->elements == 0) return EF_OK;
  if (p->label) return write_label(file, set, p, data);
  if (p->rank == 0) return write_scalar(file, set, p, data);
  size_t band = p->elements / (size_t)p->shape[0] * p->unit * (size_t)p->chunk[0];
  hsize_t step = p->chunk[0] * (band < slab_bytes ? slab_bytes / band : 1);
  ef_status status = EF_OK;
  for (hsize_t row = 0; row < p->shape[0] && status == EF_OK; row += step) {
    hsize_t end = p->shape[0] - row < step ? p->shape[0] : row + step;
    status = ef_h5_settle(file, write_rows(file, set, p, row, end, data));
  }
  return status;
}

static ef_status describe_set(ef_h5 *file, hid_t set, const ef_h5_array *array) {
  EF_TRY(ef_h5_put_text(file, set, "description", array->description));
  EF_TRY(ef_h5_put_text(file, set, "units", array->units));
  return ef_h5_put_text(file, set, "dims", array->dims);
}

static size_t names_in(const char *dims) {
  size_t n = dims[0] != '\0';
  for (const char *p = dims; *p; p++) n += *p == ',';
  return n;
}

static ef_status check_array(const ef_h5 *file, const ef_h5_array *a) {
  EF_TRY(EF_CHECK(file->writing && !file->broken, EF_FAULT,
                  "%s: %s: the file is not open for writing or a write "
                  "to it failed before",
                  file->path, a->path));
  EF_TRY(EF_CHECK(a->path[0] == '/' && a->path[1] != '\0' && a->rank <= 4 && (unsigned)a->type <= EF_H5_U8,
                  EF_FAULT, "%s: %s: bad path, type or rank %zu", file->path, a->path, a->rank));
  return EF_CHECK(a->description && a->description[0] && a->units && a->units[0] && a->dims &&
                      names_in(a->dims) == a->rank,
                  EF_FAULT, "%s: %s: description, units and %zu names of dimensions are needed", file->path,
                  a->path, a->rank);
}

static ef_status check_owner(ef_h5 *file, const char *path, size_t elements, const void *data) {
  int mine = data != NULL, owners = mine;
  if (file->comm != MPI_COMM_NULL) {
    int rc = MPI_Allreduce(&mine, &owners, 1, MPI_INT, MPI_SUM, file->comm);
    EF_TRY(EF_CHECK(rc == MPI_SUCCESS, EF_MACHINE, "%s: MPI all-reduce failed", file->path));
  }
  return EF_CHECK(elements == 0 || owners == 1, EF_FAULT, "%s: %s: %d ranks pass data, not 1", file->path,
                  path, owners);
}

/* Makes and fills one dataset; every rank comes here with the same plan and a sound file. */
static ef_status write_set(ef_h5 *file, const ef_h5_array *array, const plan *p, const void *data) {
  hid_t set = H5I_INVALID_HID;
  ef_status status;
  EF_GO(ef_h5_settle(file, ef_h5_reserve(file, need(p))));
  EF_GO(ef_h5_settle(file, create_set(file, p, &set)));
  EF_GO(ef_h5_settle(file, describe_set(file, set, array)));
  status = write_data(file, set, p, data);
done:
  if (set >= 0 && H5Dclose(set) < 0 && status == EF_OK) {
    status = ef_h5_raise(EF_MACHINE, __FILE__, __LINE__, "%s: %s: cannot be closed", file->path, array->path);
  }
  return ef_h5_settle(file, status);
}

ef_status ef_h5_write(ef_h5 *file, const ef_h5_array *array, const void *data) {
  plan p = {0};
  ef_status status = check_array(file, array);
  if (status == EF_OK) status = make_plan(file, array, &p);
  EF_TRY(ef_h5_settle(file, status));
  EF_TRY(ef_h5_settle(file, check_owner(file, array->path, p.elements, data)));
  status = write_set(file, array, &p, data);
  file->broken = status != EF_OK;
  return status;
}

/* One string: as a row of one in a chunk, or, as a label, a scalar in the object header. */
static ef_status write_string(ef_h5 *file, const char *path, const char *description, const char *text,
                              bool label) {
  hid_t type = H5Tcopy(H5T_C_S1);
  size_t unit = strlen(text) + 1;
  bool ok = type >= 0 && H5Tset_size(type, unit) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0;
  ef_status status = EF_H5_CHECK(ok, EF_MACHINE, "%s: %s: no string type", file->path, path);
  size_t rank = label ? 0 : 1;
  ef_h5_array array = {.path = path,
                       .rank = rank,
                       .shape = {rank},
                       .description = description,
                       .units = "1",
                       .dims = label ? "" : "text"};
  plan p = {.path = path,
            .stored = type,
            .memory = type,
            .unit = unit,
            .rank = rank,
            .elements = 1,
            .shape = {1},
            .chunk = {1},
            .compact = label,
            .label = label};
  if (status == EF_OK) status = check_array(file, &array);
  status = ef_h5_settle(file, status);
  if (status == EF_OK) {
    status = write_set(file, &array, &p, label || file->rank == 0 ? text : NULL);
    file->broken = status != EF_OK;
  }
  if (type >= 0) H5Tclose(type);
  return status;
}

ef_status ef_h5_write_text(ef_h5 *file, const char *path, const char *description, const char *text) {
  return write_string(file, path, description, text, false);
}

ef_status ef_h5_write_label(ef_h5 *file, const char *path, const char *description, const char *text) {
  return write_string(file, path, description, text, true);
}

static hid_t open_or_make(hid_t parent, const char *name) {
  if (H5Lexists(parent, name, H5P_DEFAULT) > 0) return H5Gopen2(parent, name, H5P_DEFAULT);
  hid_t list = H5Pcreate(H5P_GROUP_CREATE), group = H5I_INVALID_HID;
  if (list >= 0 && H5Pset_obj_track_times(list, false) >= 0 &&
      H5Pset_attr_phase_change(list, 65535, 0) >= 0) {
    group = H5Gcreate2(parent, name, H5P_DEFAULT, list, H5P_DEFAULT);
  }
  if (list >= 0) H5Pclose(list);
  return group;
}

ef_status ef_h5_group(ef_h5 *file, const char *path, hid_t *group) {
  *group = H5I_INVALID_HID;
  hid_t here = H5Gopen2(file->id, "/", H5P_DEFAULT);
  for (const char *p = path; here >= 0;) {
    p += strspn(p, "/");
    size_t n = strcspn(p, "/");
    if (n == 0) break;
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)n, p);
    hid_t next = n < sizeof name ? open_or_make(here, name) : H5I_INVALID_HID;
    H5Gclose(here);
    here = next;
    p += n;
  }
  *group = here;
  return EF_H5_CHECK(here >= 0, EF_MACHINE, "%s: %s: no such group, or it cannot be made", file->path, path);
}
