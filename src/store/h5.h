/* HDF5 files of edgefuse: self-describing, checksummed, complete or absent. The only code that calls HDF5.
 *
 * A file is written under "<path>.tmp" and appears under its name in ef_h5_commit: end marker last, flush,
 * close, fsync, rename, fsync of the folder. Every float dataset is chunked with Fletcher-32 and carries
 * `description`, `units` and the names of its dimensions. Opening checks signature, format, kind, version and
 * end marker; a file that is damaged, truncated, newer or foreign is EF_CHECKPOINT with the reason. Simple
 * types only: float32, float64, int32, int64, uint8, UTF-8 strings; no compound types, no time stamps.
 *
 * Serial and collective: a file made with a communicator is written by all its ranks, every call with it is
 * collective with equal arguments on all ranks but the data; a rank that does not own a dataset passes data
 * NULL. A rank's failure is agreed on before the call returns, so that all ranks leave together.
 */
#pragma once

#include "base/status.h"
#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

enum { EF_FORMAT_VERSION = 1 };

typedef struct ef_h5 ef_h5; /* opaque */

/* What every file says of itself. Strings are borrowed during the call. */
typedef struct ef_h5_header {
  const char *kind; /* "model", "run", "part", "tokens", "series", "tensors" */
  const char *deck; /* resolved deck as YAML, or "" */
  uint64_t seed;
  int ranks;
} ef_h5_header;

/* Creates "<path>.tmp". comm MPI_COMM_NULL: serial, this rank alone (MPI need not be initialised).
 * EF_MACHINE. */
ef_status ef_h5_create(const char *path, MPI_Comm comm, const ef_h5_header *header, ef_h5 **file);

/* Writes the end marker and gives the file its name; frees `file` also on failure (the temporary is removed).
 * A collective file is read back by its first rank before it gets the name. EF_MACHINE. */
ef_status ef_h5_commit(ef_h5 *file);

/* Drops an unfinished file, or closes one that was opened; NULL is accepted. */
void ef_h5_close(ef_h5 *file);

/* Removes a file and what a killed write left of it; neither need exist. Local. */
void ef_h5_remove(const char *path);

/* Opens for reading (always serial, on any rank) and checks header and end marker; `kind` NULL: any kind. */
ef_status ef_h5_open(const char *path, const char *kind, ef_h5 **file);

/* ---- writing ------------------------------------------------------------------------------------------ */

typedef enum ef_h5_type { EF_H5_F32, EF_H5_F64, EF_H5_I32, EF_H5_I64, EF_H5_U8 } ef_h5_type;

typedef struct ef_h5_array {
  const char *path; /* "/model/model.embed_tokens.weight"; groups on the way are made */
  ef_h5_type type;
  size_t rank, shape[4];
  const char *description, *units; /* units "1" where there is none */
  const char *dims;                /* names of the dimensions, "rows,columns", as many as rank; scalars "" */
} ef_h5_array;

/* Writes a whole array. In a collective file exactly one rank passes data, the others NULL. */
ef_status ef_h5_write(ef_h5 *file, const ef_h5_array *array, const void *data);
/* The same for n numbers in a row. */
ef_status ef_h5_write_vector(ef_h5 *file, const char *path, ef_h5_type type, size_t n, const char *dims,
                             const char *description, const char *units, const void *data);

/* An axis of a plot: the dataset GROUP/NAME with the n integers first, first + 1, ... `passes`: this rank
 * gives the data (one rank of a collective file; true in a serial file). */
ef_status ef_h5_write_axis(ef_h5 *file, const char *group, const char *name, size_t n, int64_t first,
                           const char *description, bool passes);

/* Attributes of an object that exists ("/" for the file, a group or a dataset). A group is made if missing.
 * Texts up to 60 kB (longer is EF_FAULT). Collective in a collective file, equal values on all ranks. */
ef_status ef_h5_set_text(ef_h5 *file, const char *object, const char *name, const char *value);
ef_status ef_h5_set_int(ef_h5 *file, const char *object, const char *name, int64_t value);
ef_status ef_h5_set_real(ef_h5 *file, const char *object, const char *name, double value);
/* Attribute of datasets, 1: measured times, which differ from run to run. diff shows them apart. */
#define EF_H5_MEASURED "measured_time"
/* NeXus: marks a group as NXdata with this signal and axes ("step" or "layer,expert"), for viewers. Each axis
 * must be a dataset of the group with as many numbers as the signal has along it: viewers refuse others. */
ef_status ef_h5_set_nxdata(ef_h5 *file, const char *group, const char *signal, const char *axes,
                           const char *title);
/* NeXus: datasets of such a group ("kl,fm", at most 4) that viewers draw beside the signal, of the same
 * shape. */
ef_status ef_h5_set_auxiliary(ef_h5 *file, const char *group, const char *signals);
/* NeXus: what viewers draw when they open the file, by the chain root -> `entry` ("/units", made an NXentry)
 * -> `data`, an NXdata group by its name in the entry ("tune") or its path from the root ("/results"). */
ef_status ef_h5_set_default(ef_h5 *file, const char *entry, const char *data);

/* ---- reading ------------------------------------------------------------------------------------------ */

bool ef_h5_has(ef_h5 *file, const char *path);
/* Type, rank and shape of a dataset; strings of `array` but path are left NULL. */
ef_status ef_h5_describe(ef_h5 *file, const char *path, ef_h5_array *array);
/* Reads a whole array; type, rank and shape must be those of `array` (EF_CHECKPOINT names what differs). */
ef_status ef_h5_read(ef_h5 *file, const ef_h5_array *array, void *data);
/* Parts of a 1-d dataset of this type. The dataset stays open and keeps its last `cache` bytes of chunks, so
 * that many small parts near each other cost one read of the file. Closed before the file; NULL is accepted.
 */
typedef struct ef_h5_range ef_h5_range; /* opaque */
ef_status ef_h5_range_open(ef_h5 *file, const char *path, ef_h5_type type, size_t cache, ef_h5_range **range);
/* Elements first .. first+count-1; outside the dataset or damaged: EF_CHECKPOINT. */
ef_status ef_h5_read_range(ef_h5_range *range, size_t first, size_t count, void *data);
void ef_h5_range_close(ef_h5_range *range);
/* Attributes: `text` is counted memory, freed by the caller. */
ef_status ef_h5_get_text(ef_h5 *file, const char *object, const char *name, char **text);
ef_status ef_h5_get_int(ef_h5 *file, const char *object, const char *name, int64_t *value);
ef_status ef_h5_get_real(ef_h5 *file, const char *object, const char *name, double *value);
/* The resolved deck that the file was made from, in counted memory, freed by the caller. */
ef_status ef_h5_deck(ef_h5 *file, char **text);
/* Calls visit(ctx, path, array) for every numeric dataset below `group`, in the order of their names. */
ef_status ef_h5_visit(ef_h5 *file, const char *group,
                      ef_status (*visit)(void *ctx, const char *path, const ef_h5_array *array), void *ctx);
/* Reads every dataset of the file so that each checksum is checked. EF_CHECKPOINT names the first bad one. */
ef_status ef_h5_verify(ef_h5 *file);
