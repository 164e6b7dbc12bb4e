#include "base/memory.h"
#include "rivals/rounds_internal.h"
#include "train/model_file.h"
#include <string.h>

enum { FIELDS = 8 };

static const char ROW[] =
    "state, steps, kept step, private tokens, holdout loss, peak bytes, bytes down and up; "
    "experts of each layer, those held first";

ef_part_key ef_round_key(const ef_round *r, size_t number) {
  return (ef_part_key){.kind = EF_UNIT_ROUND, .index = number, .sections = r->plan->sections};
}

ef_part_key ef_round_local_key(const ef_round *r, size_t device) {
  return (ef_part_key){.kind = EF_UNIT_LOCAL,
                       .index = r->number * r->population->devices + device,
                       .sections = r->plan->sections};
}

/* ---- records of devices -------------------------------------------------------------------------------- */

static size_t order_count(const ef_round *r) { return r->layers * r->global.E; }

static void pack(void *ctx, size_t unit, double *row) {
  const ef_round *r = ctx;
  const ef_round_device *d = &r->devices[unit % r->population->devices];
  double fields[FIELDS] = {(double)d->state,      (double)d->steps,   (double)d->kept_step,
                           (double)d->tokens,     d->holdout_loss,    (double)d->peak_bytes,
                           (double)d->down_bytes, (double)d->up_bytes};
  memcpy(row, fields, sizeof fields);
  for (size_t i = 0; i < order_count(r); i++) row[FIELDS + i] = d->order[i];
}

static void unpack(void *ctx, size_t unit, const double *row) {
  const ef_round *r = ctx;
  ef_round_device *d = &r->devices[unit % r->population->devices];
  d->state = (ef_device_state)row[0];
  d->steps = (size_t)row[1];
  d->kept_step = (size_t)row[2];
  d->tokens = (size_t)row[3];
  d->holdout_loss = row[4];
  d->peak_bytes = (size_t)row[5];
  d->down_bytes = (uint64_t)row[6];
  d->up_bytes = (uint64_t)row[7];
  for (size_t i = 0; i < order_count(r); i++) d->order[i] = (int32_t)row[FIELDS + i];
}

ef_records ef_round_records(ef_round *r) {
  return (ef_records){.path = "/local/record",
                      .description = ROW,
                      .width = FIELDS + order_count(r),
                      .ctx = r,
                      .pack = pack,
                      .unpack = unpack};
}

/* ---- the part of a round ------------------------------------------------------------------------------- */

static ef_h5_array devices_array(const ef_round *r, size_t width) {
  return (ef_h5_array){.path = "/round/devices",
                       .type = EF_H5_F64,
                       .rank = 2,
                       .shape = {r->population->devices, width},
                       .description = ROW,
                       .units = "1",
                       .dims = "device,field"};
}

static ef_h5_array validation_array(const ef_round *r) {
  return (ef_h5_array){.path = "/round/validation",
                       .type = EF_H5_F64,
                       .rank = 2,
                       .shape = {r->run->tokens.domain_count, EF_QUALITY_FIELDS},
                       .description = "validation nll, tokens, hits, bytes of the averaged model by domain",
                       .units = "1",
                       .dims = "domain,field"};
}

/* All that is kept of a round beside the model, as one block: rows of the devices, then the validation. */
typedef struct kept {
  ef_records records;
  size_t devices, domains, count; /* numbers in all */
  double *numbers;                /* owned */
} kept;

static ef_status make_kept(ef_round *r, kept *k) {
  *k = (kept){.records = ef_round_records(r),
              .devices = r->population->devices,
              .domains = r->run->tokens.domain_count};
  k->count = k->devices * k->records.width + k->domains * EF_QUALITY_FIELDS;
  return EF_NEW(k->numbers, k->count);
}

static double *validation_of(const kept *k) { return k->numbers + k->devices * k->records.width; }

typedef struct content {
  ef_round *round;
  const ef_model *model;
  const kept *kept;
} content;

static ef_status write_content(void *ctx, ef_h5 *file) {
  const content *c = ctx;
  ef_h5_array devices = devices_array(c->round, c->kept->records.width);
  ef_h5_array validation = validation_array(c->round);
  EF_TRY(ef_model_file_write_made(file, c->model));
  EF_TRY(ef_h5_write(file, &devices, c->kept->numbers));
  return ef_h5_write(file, &validation, validation_of(c->kept));
}

ef_status ef_round_write(ef_round *r, const ef_model *model) {
  kept k;
  EF_TRY(make_kept(r, &k));
  for (size_t n = 0; n < k.devices; n++) pack(r, n, k.numbers + n * k.records.width);
  ef_quality_pack(r->validation, k.domains, validation_of(&k));
  content c = {r, model, &k};
  ef_part_key key = ef_round_key(r, r->number);
  ef_status status = ef_part_write(r->run, &key, false, &(ef_part_content){&c, write_content});
  ef_free(k.numbers);
  return status;
}

static ef_status read_kept(const ef_round *r, kept *k) {
  ef_part_key key = ef_round_key(r, r->number);
  ef_h5_array devices = devices_array(r, k->records.width), validation = validation_array(r);
  ef_h5 *file = NULL;
  EF_TRY(ef_part_open(r->run, &key, false, &file));
  ef_status status = ef_h5_read(file, &devices, k->numbers);
  if (status == EF_OK) status = ef_h5_read(file, &validation, validation_of(k));
  ef_h5_close(file);
  return status;
}

ef_status ef_round_restore(ef_round *r) {
  ef_run *run = r->run;
  kept k;
  ef_status status = EF_OK;
  EF_GO(ef_agree(run->par, make_kept(r, &k)));
  EF_GO(ef_agree(run->par, ef_par_root(run->par) ? read_kept(r, &k) : EF_OK));
  EF_GO(ef_bcast(run->par, 0, k.numbers, k.count * sizeof *k.numbers));
  for (size_t n = 0; n < k.devices; n++) unpack(r, n, k.numbers + n * k.records.width);
  ef_quality_unpack(validation_of(&k), k.domains, r->validation);
done:
  ef_free(k.numbers);
  return status;
}
