/* Records: what a unit measured, as a row of doubles. The row travels with the unit's part, so that a resumed
 * run need not measure again, and over the ranks, so that all know what the owner of the unit knows.
 *
 * Counts and half-precision bits are exact in doubles. Rows that end with qualities by domain:
 * ef_quality_pack.
 */
#pragma once

#include "train/part.h"

/* How the records of one kind of unit become rows. */
typedef struct ef_records {
  const char *path, *description; /* of the dataset in the part */
  size_t width;                   /* numbers of a row */
  void *ctx;
  void (*pack)(void *ctx, size_t unit, double *row);         /* record of `unit` to row (width) */
  void (*unpack)(void *ctx, size_t unit, const double *row); /* and back */
} ef_records;

/* Writes the record of `unit` into the file of its part. EF_MACHINE. Local. */
ef_status ef_record_write(const ef_records *records, size_t unit, ef_h5 *file);

/* Writes a part that holds nothing but the record of unit key->index: of a unit that left no model.
 * EF_MACHINE. Local. */
ef_status ef_record_part(const ef_run *run, const ef_part_key *key, const ef_records *records);

/* Brings back the record of unit key->index from its part. EF_CHECKPOINT, EF_MACHINE. Local. */
ef_status ef_record_read(const ef_run *run, const ef_part_key *key, const ef_records *records);

/* Records 0 .. units-1, each known to the rank owner[unit], become known to all ranks. EF_MACHINE.
 * Collective. */
ef_status ef_records_share(ef_run *run, const ef_records *records, size_t units, const int *owner);
