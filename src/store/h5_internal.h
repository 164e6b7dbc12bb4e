/* What the files of store/ share about an open HDF5 file; seen by no other layer.
 *
 * HDF5 calls run with its own error printing off; EF_H5_CHECK turns a failed one into our one-line message
 * with the deepest text that HDF5 has. Metadata is written in the latest format, whose headers, indexes and
 * attributes carry checksums of their own; variable-length strings, huge attributes and contiguous data do
 * not, so they are not used.
 */
#pragma once

#include "store/h5.h"
#include <hdf5.h>

#define EF_H5_END "edgefuse-end"

/* H5_CHUNK_BYTES: wanted size of a chunk. H5_CHUNK_MOST: a larger one in a file is refused. H5_TEXT_MOST:
 * longest attribute, which HDF5 keeps inside the checksummed object header. H5_DEPTH: nesting of groups. */
enum {
  H5_CHUNK_BYTES = 1 << 20,
  H5_CHUNK_MOST = 1 << 28,
  H5_TEXT_MOST = 60000,
  H5_PATH_BYTES = 1024,
  H5_DEPTH = 16
};

struct ef_h5 {
  hid_t id;
  MPI_Comm comm; /* own duplicate; MPI_COMM_NULL: serial */
  int rank, ranks;
  bool writing, broken; /* broken: a write failed; every later call is refused */
  char *path, *temporary;
  size_t bytes;    /* reading: size of the file */
  size_t reserved; /* writing: bytes asked of the file system */
  int error;       /* serial writing: errno of the first failed write, 0 if none */
};

/* ---- h5_status.c -------------------------------------------------------------------------------------- */

/* Records "<text>: <deepest HDF5 error>" and clears HDF5's error stack; returns `status`. Local. */
ef_status ef_h5_raise(ef_status status, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define EF_H5_CHECK(cond, code, ...) ((cond) ? EF_OK : ef_h5_raise((code), __FILE__, __LINE__, __VA_ARGS__))

/* Turns off HDF5's own printing of errors. Local. */
void ef_h5_silence(void);

/* The same outcome on every rank: EF_OK if all have it, else status and text of the lowest failing rank, on
 * the others as "rank R: ...". MPI_COMM_NULL: returns `status`. Collective over `comm`. */
ef_status ef_h5_agree(MPI_Comm comm, ef_status status);

/* ef_h5_agree over the ranks of `file`, after a look at the errors that its driver has kept. */
ef_status ef_h5_settle(const ef_h5 *file, ef_status status);

/* ---- h5_driver.c -------------------------------------------------------------------------------------- */

/* Before a collective file is opened: how Open MPI writes it, unless the environment says otherwise. Local.
 */
void ef_h5_mpio_prepare(void);
/* errno of the first collective write that failed since the last call, 0 if none did. Local. */
int ef_h5_mpio_error(void);

/* Lets a serial file opened with the access list be written by the driver that leaves errors in `*error`.
 * Local. */
bool ef_h5_use_driver(hid_t access, int *error);

/* ---- h5_space.c --------------------------------------------------------------------------------------- */

/* Makes sure that `more` bytes can be written, before HDF5 begins: HDF5 1.10 cannot close a file whose writes
 * fail. EF_MACHINE: disk full, quota or file-size limit. Local; only the first rank asks the file system. */
ef_status ef_h5_reserve(ef_h5 *file, size_t more);

/* Gives back what was reserved beyond the end of the closed file at `path`. Local. */
void ef_h5_release(const char *path);

/* ---- h5_write.c --------------------------------------------------------------------------------------- */

/* Opens a group and makes it and its parents if missing. Collective in a collective file. */
ef_status ef_h5_group(ef_h5 *file, const char *path, hid_t *group);

/* Writes a UTF-8 text of any length as a checksummed dataset of one string. Collective in a collective file.
 */
ef_status ef_h5_write_text(ef_h5 *file, const char *path, const char *description, const char *text);

/* Writes a short UTF-8 text as a scalar in the checksummed object header: viewers take a plot's title in this
 * form alone. Collective in a collective file, equal texts on all ranks. */
ef_status ef_h5_write_label(ef_h5 *file, const char *path, const char *description, const char *text);

/* The HDF5 type in files (little endian) and in memory, and bytes of an element. Local. */
hid_t ef_h5_stored_type(ef_h5_type type);
hid_t ef_h5_memory_type(ef_h5_type type);
size_t ef_h5_type_bytes(ef_h5_type type);
const char *ef_h5_type_name(ef_h5_type type);

/* ---- h5_attr.c ---------------------------------------------------------------------------------------- */

typedef enum ef_h5_value_kind { EF_H5_TEXT, EF_H5_INT, EF_H5_UINT, EF_H5_REAL, EF_H5_LIST } ef_h5_value_kind;

/* An attribute's value as read; a list of strings is joined by commas. */
typedef struct ef_h5_value {
  ef_h5_value_kind kind;
  char *text; /* TEXT and LIST; counted memory */
  int64_t integer;
  uint64_t natural;
  double real;
} ef_h5_value;

ef_status ef_h5_get_value(ef_h5 *file, hid_t object, const char *path, const char *name, ef_h5_value *value);
void ef_h5_value_free(ef_h5_value *value);

/* Sets an attribute of an open object; text longer than H5_TEXT_MOST is EF_FAULT. */
ef_status ef_h5_put_text(ef_h5 *file, hid_t object, const char *name, const char *value);
ef_status ef_h5_put_number(ef_h5 *file, hid_t object, const char *name, hid_t stored, hid_t memory,
                           const void *value);

/* Calls visit(ctx, name, value) for every attribute in the order of names. Local. */
ef_status ef_h5_each_attribute(ef_h5 *file, const char *object,
                               ef_status (*visit)(void *ctx, const char *name, const ef_h5_value *value),
                               void *ctx);

/* ---- h5_read.c ---------------------------------------------------------------------------------------- */

/* A dataset opened for reading block by block; `text`: one UTF-8 string of `unit` bytes. Sizes are already
 * checked against the size of the file, the layout against what edgefuse writes. */
typedef struct ef_h5_data {
  hid_t set, space, memory;
  ef_h5_array array;
  bool text;
  size_t unit;                /* bytes of an element */
  size_t bytes;               /* of the whole dataset */
  hsize_t shape[4], chunk[4]; /* a scalar: rank 0, both 1 */
} ef_h5_data;

ef_status ef_h5_data_open(ef_h5 *file, const char *path, ef_h5_data *data);
void ef_h5_data_close(ef_h5_data *data);

/* A block: one chunk cut at the edges of the dataset. Start with zeroed count; false after the last one. */
typedef struct ef_h5_block {
  hsize_t start[4], count[4];
  size_t elements;
} ef_h5_block;
bool ef_h5_block_next(const ef_h5_data *data, ef_h5_block *block);
size_t ef_h5_block_most(const ef_h5_data *data); /* elements of the largest block */
ef_status ef_h5_block_read(ef_h5 *file, const ef_h5_data *data, const ef_h5_block *block, void *out);

/* Index in the whole array of element `i` of a block, rows first. Local. */
size_t ef_h5_block_index(const ef_h5_data *data, const ef_h5_block *block, size_t i);

/* The text of a text dataset in counted memory. Local. */
ef_status ef_h5_read_text(ef_h5 *file, const char *path, char **text);

/* ---- h5_walk.c ---------------------------------------------------------------------------------------- */

/* Calls visit(ctx, path, is_group) for `group` itself and every group and dataset below, in the order of
 * names. Links that are not plain (soft, external) are EF_CHECKPOINT. Local. */
ef_status ef_h5_walk(ef_h5 *file, const char *group,
                     ef_status (*visit)(void *ctx, const char *path, bool is_group), void *ctx);
