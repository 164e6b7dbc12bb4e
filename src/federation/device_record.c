#include "federation/device_record.h"

#include <string.h>

enum { FIELDS = 7 };

static void pack(void *ctx, size_t unit, double *row) {
  const ef_device_rows *rows = ctx;
  size_t device = unit % rows->devices->count;
  const ef_device_record *r = &rows->devices->records[device];
  double fields[FIELDS] = {(double)r->state, (double)r->steps,      (double)r->kept_step, (double)r->tokens,
                           r->holdout_loss,  (double)r->peak_bytes, r->local_loss};
  memcpy(row, fields, sizeof fields);
  row += FIELDS;
  for (size_t i = 0; i < EF_EMBEDDING; i++) *row++ = r->embedding[i];
  ef_quality_pack(rows->devices->validation + device * rows->domains, rows->domains, row);
}

static void unpack(void *ctx, size_t unit, const double *row) {
  const ef_device_rows *rows = ctx;
  size_t device = unit % rows->devices->count;
  ef_device_record *r = &rows->devices->records[device];
  *r = (ef_device_record){.state = (ef_device_state)row[0],
                          .steps = (size_t)row[1],
                          .kept_step = (size_t)row[2],
                          .tokens = (size_t)row[3],
                          .holdout_loss = row[4],
                          .peak_bytes = (size_t)row[5],
                          .local_loss = row[6]};
  row += FIELDS;
  for (size_t i = 0; i < EF_EMBEDDING; i++) r->embedding[i] = (uint16_t)*row++;
  ef_quality_unpack(row, rows->domains, rows->devices->validation + device * rows->domains);
}

ef_records ef_device_records(ef_device_rows *rows) {
  return (ef_records){.path = "/upload/record",
                      .description =
                          "state, steps, kept step, private tokens, holdout loss, peak bytes, loss on the "
                          "device's own slice; data embedding (IEEE half bits); validation nll, tokens, "
                          "hits, bytes by domain",
                      .width = FIELDS + EF_EMBEDDING + EF_QUALITY_FIELDS * rows->domains,
                      .ctx = rows,
                      .pack = pack,
                      .unpack = unpack};
}
