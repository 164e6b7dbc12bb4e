#include "federation/device.h"

#include "base/memory.h"
#include "federation/upload.h"
#include "train/block_file.h"
#include "train/measure.h"
#include "train/pretrain.h"
#include <math.h>
#include <string.h>

const char EF_DEVICE_SECTIONS[] = "text,federation,eval";

enum { RECORD_FIELDS = 6 };

static const char *const state_texts[EF_DEVICE_STATE_COUNT] = {
    "uploaded", "left out: failed to upload", "left out: no text", "left out: its numbers are not finite"};

const char *ef_device_state_text(ef_device_state state) { return state_texts[state]; }

static ef_part_key start_key(size_t entry) {
  return (ef_part_key){.kind = EF_UNIT_FAMILY, .index = entry, .sections = EF_DEVICE_SECTIONS};
}

static ef_part_key device_key(size_t device) {
  return (ef_part_key){.kind = EF_UNIT_DEVICE, .index = device, .sections = EF_DEVICE_SECTIONS};
}

/* ---- common starts ------------------------------------------------------------------------------------- */

typedef struct start_context {
  ef_run *run;
  const ef_population *population;
} start_context;

static ef_status pretrain_entry(void *ctx, size_t entry, ef_effort *effort) {
  start_context *c = ctx;
  ef_part_key key = start_key(entry);
  const ef_deck *deck = c->run->deck;
  return ef_pretrain_unit(c->run, &key, &c->population->dims[entry], (size_t)deck->federation.pretrain_steps,
                          (size_t)deck->federation.context, effort);
}

ef_status ef_families_pretrain(ef_run *run, const ef_population *population) {
  start_context context = {run, population};
  double *cost = NULL;
  int *owner = NULL;
  ef_status status = EF_OK;
  EF_GO(EF_NEW(cost, population->entries));
  EF_GO(EF_NEW(owner, population->entries));
  for (size_t i = 0; i < population->entries; i++) {
    cost[i] = ef_train_cost(&population->dims[i], 1, 1, (size_t)run->deck->federation.context);
  }
  ef_phase phase = {"family starts", population->entries, cost, owner, &context, pretrain_entry};
  EF_GO(ef_phase_run(run, &phase));
done:
  ef_free(cost);
  ef_free(owner);
  return status;
}

/* ---- one device ---------------------------------------------------------------------------------------- */

typedef struct device_context {
  ef_run *run;
  const ef_population *population;
  ef_devices *devices;
  ef_encoder *encoder; /* made when the first device of this rank needs it */
} device_context;

/* A device's own text: what it trains on, and the slice it keeps for early stopping. */
typedef struct device_text {
  ef_stream all, train, slice; /* train and slice borrow from all */
} device_text;

static ef_status read_text(const device_context *c, size_t device, device_text *text) {
  const size_t *documents;
  size_t n = ef_population_documents(c->population, device, &documents);
  EF_TRY(ef_stream_read(&c->run->tokens, documents, n, &text->all));
  size_t slice = (size_t)((double)text->all.count * c->run->deck->federation.validation_share);
  text->train = (ef_stream){.ids = text->all.ids, .count = text->all.count - slice};
  text->slice = (ef_stream){.ids = text->all.ids + text->train.count, .count = slice};
  return EF_OK;
}

static ef_recipe local_recipe(const ef_deck *d, const ef_stream *slice) {
  return (ef_recipe){.steps = (size_t)d->federation.steps,
                     .batch = (size_t)d->federation.batch,
                     .context = (size_t)d->federation.context,
                     .lr = d->federation.lr,
                     .min_lr = d->federation.min_lr,
                     .decay = d->federation.weight_decay,
                     .clip = d->federation.clip,
                     .warmup = (size_t)d->federation.warmup,
                     .holdout = slice,
                     .look_every = (size_t)d->federation.eval_every,
                     .patience = (size_t)d->federation.patience,
                     .look_windows = 64};
}

/* What the server measures of an upload when it has come: the loss on the public holdout, and, for the control
 * "best device", the validation text by domain. */
static ef_status measure_upload(const device_context *c, size_t device, const ef_model *model) {
  ef_quality *validation = c->devices->validation + device * c->run->tokens.domain_count;
  double *holdout = &c->devices->records[device].holdout_loss;
  return ef_run_measure(c->run, model, holdout, c->run->deck->eval.devices ? validation : NULL);
}

static ef_status embed(device_context *c, size_t device) {
  const ef_run *run = c->run;
  if (!c->encoder) {
    EF_TRY(ef_encoder_create(&run->tokens, run->tokenizer, (uint64_t)run->deck->run.seed, &c->encoder));
  }
  const size_t *documents;
  size_t n = ef_population_documents(c->population, device, &documents);
  return ef_encode_documents(c->encoder, &run->tokens, documents, n, c->devices->records[device].embedding);
}

/* A record as a row of doubles: every field is exact in a double. */
static size_t row_width(const ef_run *run) {
  return RECORD_FIELDS + EF_EMBEDDING + EF_QUALITY_FIELDS * run->tokens.domain_count;
}

static void record_to_row(const ef_run *run, const ef_devices *devices, size_t device, double *row) {
  const ef_device_record *r = &devices->records[device];
  double fields[RECORD_FIELDS] = {(double)r->state,  (double)r->steps,  (double)r->kept_step,
                                  (double)r->tokens, r->holdout_loss, (double)r->peak_bytes};
  memcpy(row, fields, sizeof fields);
  row += RECORD_FIELDS;
  for (size_t i = 0; i < EF_EMBEDDING; i++) *row++ = r->embedding[i];
  ef_quality_pack(devices->validation + device * run->tokens.domain_count, run->tokens.domain_count, row);
}

static void row_to_record(const ef_run *run, ef_devices *devices, size_t device, const double *row) {
  ef_device_record *r = &devices->records[device];
  *r = (ef_device_record){.state = (ef_device_state)row[0],
                          .steps = (size_t)row[1],
                          .kept_step = (size_t)row[2],
                          .tokens = (size_t)row[3],
                          .holdout_loss = row[4],
                          .peak_bytes = (size_t)row[5]};
  row += RECORD_FIELDS;
  for (size_t i = 0; i < EF_EMBEDDING; i++) r->embedding[i] = (uint16_t)*row++;
  ef_quality_unpack(row, run->tokens.domain_count, devices->validation + device * run->tokens.domain_count);
}

typedef struct finish_context {
  const device_context *device_ctx;
  size_t device;
} finish_context;

static ef_h5_array row_array(size_t width) {
  return (ef_h5_array){.path = "/upload/record",
                       .type = EF_H5_F64,
                       .rank = 1,
                       .shape = {width},
                       .description = "state, steps, kept step, private tokens, holdout loss, peak bytes; data embedding "
                                      "(IEEE half bits); validation nll, tokens, hits, bytes by domain",
                       .units = "1",
                       .dims = "field"};
}

static ef_status write_record(void *ctx, ef_h5 *file) {
  finish_context *f = ctx;
  const ef_run *run = f->device_ctx->run;
  double *row = NULL;
  EF_TRY(EF_NEW(row, row_width(run)));
  record_to_row(run, f->device_ctx->devices, f->device, row);
  ef_h5_array array = row_array(row_width(run));
  ef_status status = ef_h5_write(file, &array, row);
  ef_free(row);
  return status;
}

static ef_status read_record(device_context *c, size_t device) {
  ef_part_key key = device_key(device);
  ef_h5 *file = NULL;
  double *row = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_part_open(c->run, &key, false, &file));
  EF_GO(EF_NEW(row, row_width(c->run)));
  ef_h5_array array = row_array(row_width(c->run));
  EF_GO(ef_h5_read(file, &array, row));
  row_to_record(c->run, c->devices, device, row);
done:
  ef_h5_close(file);
  ef_free(row);
  return status;
}

/* The device's own work, its memory counted from `held` bytes on. */
static ef_status train_model(device_context *c, size_t device, ef_model *model, const device_text *text, size_t held,
                             ef_trainer *trainer) {
  ef_run *run = c->run;
  ef_part_key key = device_key(device);
  ef_recipe recipe = local_recipe(run->deck, &text->slice);
  ef_source source = {
      .general = &text->train, .seed = (uint64_t)run->deck->run.seed, .unit = ef_unit(EF_UNIT_DEVICE, device)};
  EF_TRY(ef_trainer_create(model, run->kernels, &recipe, &source, NULL, trainer));
  EF_TRY(ef_trainer_walk(run, &key, trainer));
  ef_device_record *record = &c->devices->records[device];
  record->steps = trainer->step;
  record->kept_step = trainer->best_step ? trainer->best_step : trainer->step;
  record->peak_bytes = ef_memory_peak() - held;
  return EF_OK;
}

/* A device whose numbers are not finite is left out; the run goes on. */
static ef_status write_left_out(const device_context *c, size_t device) {
  ef_part_key key = device_key(device);
  ef_h5 *file = NULL;
  finish_context finish = {c, device};
  EF_TRY(ef_part_create(c->run, &key, false, &file));
  ef_status status = write_record(&finish, file);
  if (status == EF_OK) return ef_h5_commit(file);
  ef_h5_close(file);
  return status;
}

static ef_status train_and_upload(device_context *c, size_t device, ef_model *model, const device_text *text, size_t held,
                                  ef_effort *effort) {
  ef_trainer trainer = {0};
  ef_part_key key = device_key(device);
  ef_device_record *record = &c->devices->records[device];
  finish_context finish = {c, device};
  ef_status status = train_model(c, device, model, text, held, &trainer);
  c->run->steps += trainer.step;
  ef_effort_add(effort, &trainer);
  if (status == EF_NUMBERS) {
    record->state = EF_DEVICE_NUMBERS;
    status = write_left_out(c, device);
    goto done;
  }
  EF_GO(status);
  ef_upload_round(c->run, model);
  EF_GO(embed(c, device));
  EF_GO(measure_upload(c, device, model));
  EF_GO(ef_trainer_finish(c->run, &key, &trainer, write_record, &finish));
done:
  ef_trainer_free(&trainer);
  return status;
}

static ef_status run_device(void *ctx, size_t device, ef_effort *effort) {
  device_context *c = ctx;
  ef_part_key key = device_key(device), start = start_key((size_t)c->population->entry[device]);
  ef_device_record *record = &c->devices->records[device];
  if (c->population->fails[device]) {
    record->state = EF_DEVICE_FAILED;
    return EF_OK;
  }
  if (ef_part_exists(c->run, &key)) {
    EF_TRY(read_record(c, device));
    c->run->steps += record->steps;
    return EF_OK;
  }
  size_t held = ef_memory_bytes();
  ef_memory_reset_peak();
  device_text text = {0};
  ef_model model = {0};
  ef_status status = EF_OK;
  EF_GO(read_text(c, device, &text));
  record->tokens = text.all.count;
  if (text.train.count < 2) {
    record->state = EF_DEVICE_NO_TEXT;
    goto done;
  }
  EF_GO(ef_part_load(c->run, &start, &c->population->dims[c->population->entry[device]], &model));
  EF_GO(train_and_upload(c, device, &model, &text, held, effort));
done:
  ef_model_free(&model);
  ef_stream_free(&text.all);
  return status == EF_OK || status == EF_STOPPED ? status : ef_context(status, "device %zu", device);
}

/* ---- all devices --------------------------------------------------------------------------------------- */

static ef_status allocate(const ef_run *run, size_t count, ef_devices *devices) {
  devices->count = count;
  EF_TRY(EF_NEW(devices->owner, count));
  EF_TRY(EF_NEW(devices->records, count));
  return EF_NEW(devices->validation, count * run->tokens.domain_count);
}

void ef_devices_free(ef_devices *devices) {
  ef_free(devices->owner);
  ef_free(devices->records);
  ef_free(devices->validation);
  *devices = (ef_devices){0};
}

/* Records of all devices to all ranks. */
static ef_status share_records(ef_run *run, ef_devices *devices) {
  double *table = NULL;
  size_t width = row_width(run);
  ef_status status = EF_OK;
  EF_GO(EF_NEW(table, devices->count * width));
  for (size_t n = 0; n < devices->count; n++) record_to_row(run, devices, n, table + n * width);
  EF_GO(ef_phase_share(run, devices->count, devices->owner, width, table));
  for (size_t n = 0; n < devices->count; n++) row_to_record(run, devices, n, table + n * width);
done:
  ef_free(table);
  return status;
}

ef_status ef_devices_train(ef_run *run, const ef_population *population, ef_devices *devices) {
  *devices = (ef_devices){0};
  device_context context = {run, population, devices, NULL};
  double *cost = NULL;
  ef_status status = EF_OK;
  EF_GO(allocate(run, population->devices, devices));
  EF_GO(EF_NEW(cost, population->devices));
  for (size_t n = 0; n < population->devices; n++) {
    const ef_dims *dims = &population->dims[population->entry[n]];
    cost[n] = population->fails[n] ? 0.0 : ef_train_cost(dims, 1, 1, (size_t)run->deck->federation.context);
  }
  ef_phase phase = {"local training", population->devices, cost, devices->owner, &context, run_device};
  EF_GO(ef_phase_run(run, &phase));
  EF_GO(share_records(run, devices));
done:
  ef_encoder_free(context.encoder);
  ef_free(cost);
  return status;
}

ef_status ef_device_load(const ef_run *run, const ef_population *population, size_t device, ef_model *model) {
  ef_part_key key = device_key(device);
  return ef_part_load(run, &key, &population->dims[population->entry[device]], model);
}
