#include "train/record.h"

#include "base/memory.h"

static ef_h5_array array_of(const ef_records *r) {
  return (ef_h5_array){.path = r->path,
                       .type = EF_H5_F64,
                       .rank = 1,
                       .shape = {r->width},
                       .description = r->description,
                       .units = "1",
                       .dims = "field"};
}

ef_status ef_record_write(const ef_records *r, size_t unit, ef_h5 *file) {
  double *row = NULL;
  EF_TRY(EF_NEW(row, r->width));
  r->pack(r->ctx, unit, row);
  ef_h5_array array = array_of(r);
  ef_status status = ef_h5_write(file, &array, row);
  ef_free(row);
  return status;
}

typedef struct lone_record {
  const ef_records *records;
  size_t unit;
} lone_record;

static ef_status write_alone(void *ctx, ef_h5 *file) {
  const lone_record *r = ctx;
  return ef_record_write(r->records, r->unit, file);
}

ef_status ef_record_part(const ef_run *run, const ef_part_key *key, const ef_records *records) {
  lone_record content = {records, key->index};
  return ef_part_write(run, key, false, &(ef_part_content){&content, write_alone});
}

ef_status ef_record_read(const ef_run *run, const ef_part_key *key, const ef_records *r) {
  ef_h5 *file = NULL;
  double *row = NULL;
  ef_h5_array array = array_of(r);
  ef_status status = EF_OK;
  EF_GO(ef_part_open(run, key, false, &file));
  EF_GO(EF_NEW(row, r->width));
  EF_GO(ef_h5_read(file, &array, row));
  r->unpack(r->ctx, key->index, row);
done:
  ef_h5_close(file);
  ef_free(row);
  return status;
}

/* Rows of one rank, in the order of their units: out of the records, or into them. Returns how many. */
static size_t move_rows(const ef_records *r, size_t units, const int *owner, int rank, bool into,
                        double *rows) {
  size_t n = 0;
  for (size_t u = 0; u < units; u++) {
    if (owner[u] != rank) continue;
    double *row = rows + n++ * r->width;
    if (into) r->unpack(r->ctx, u, row);
    if (!into) r->pack(r->ctx, u, row);
  }
  return n;
}

ef_status ef_records_share(ef_run *run, const ef_records *r, size_t units, const int *owner) {
  double *rows = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_agree(run->par, EF_NEW(rows, units * r->width)));
  for (int rank = 0; rank < run->par->size; rank++) {
    size_t n = move_rows(r, units, owner, rank, false, rows);
    EF_GO(ef_bcast(run->par, rank, rows, n * r->width * sizeof *rows));
    move_rows(r, units, owner, rank, true, rows);
  }
done:
  ef_free(rows);
  return status;
}
