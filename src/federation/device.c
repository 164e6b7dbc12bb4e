#include "federation/device.h"

#include "base/log.h"
#include "base/memory.h"
#include "federation/device_record.h"
#include "federation/local.h"
#include "federation/upload.h"
#include "train/measure.h"
#include "train/pretrain.h"
#include <math.h>
#include <string.h>

const char EF_DEVICE_SECTIONS[] = "text,federation,eval";
static const char START_SECTIONS[] = "text,federation,eval" EF_BEFORE_DEVICES;

static const char *const state_texts[EF_DEVICE_STATE_COUNT] = {
    "uploaded", "left out: failed to upload", "left out: no text", "left out: its numbers are not finite"};

const char *ef_device_state_text(ef_device_state state) { return state_texts[state]; }

static ef_part_key start_key(size_t entry) {
  return (ef_part_key){.kind = EF_UNIT_FAMILY, .index = entry, .sections = START_SECTIONS};
}

static ef_part_key device_key(size_t unit) {
  return (ef_part_key){.kind = EF_UNIT_DEVICE, .index = unit, .sections = EF_DEVICE_SECTIONS};
}

/* What the device does in this round. */
static size_t unit_of(const ef_devices *devices, size_t device) {
  return devices->round * devices->count + device;
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
  ef_start start = {.dims = &c->population->dims[entry],
                    .steps = (size_t)deck->federation.pretrain_steps,
                    .context = (size_t)deck->federation.context,
                    .lr = ef_population_lr(deck, entry)};
  return ef_pretrain_unit(c->run, &key, &start, effort);
}

ef_status ef_families_pretrain(ef_run *run, const ef_population *population) {
  start_context context = {run, population};
  double *cost = NULL;
  int *owner = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_agree(run->par, EF_NEW(cost, population->entries)));
  EF_GO(ef_agree(run->par, EF_NEW(owner, population->entries)));
  for (size_t i = 0; i < population->entries; i++) {
    cost[i] = ef_train_cost(&population->dims[i], 1, 1, (size_t)run->deck->federation.context);
  }
  ef_phase phase = {.name = "family starts",
                    .units = population->entries,
                    .cost = cost,
                    .owner = owner,
                    .ctx = &context,
                    .run_unit = pretrain_entry,
                    .place = EF_ON_SERVER};
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
  const ef_records *records;
  ef_encoder *encoder; /* made when the first device of this rank needs it */
} device_context;

/* What the server measures of an upload when it has come: the loss on the public holdout, and, for the
 * control "best device", the validation text by domain. */
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

/* The device's own work, its memory counted from `held` bytes on. */
static ef_status train_model(device_context *c, size_t device, ef_model *model, const ef_local_text *text,
                             size_t held, ef_trainer *trainer) {
  ef_run *run = c->run;
  size_t unit = unit_of(c->devices, device);
  ef_part_key key = device_key(unit);
  size_t entry = (size_t)c->population->entry[device];
  ef_recipe recipe = ef_local_recipe(run->deck, ef_population_lr(run->deck, entry), &text->slice);
  recipe.steps = ef_local_steps(run->deck, text->train.count);
  ef_source source = {
      .general = &text->train, .seed = (uint64_t)run->deck->run.seed, .unit = ef_unit(EF_UNIT_DEVICE, unit)};
  EF_TRY(ef_trainer_create(model, run->kernels, &recipe, &source, NULL, trainer));
  ef_status status = ef_trainer_walk(run, &key, trainer);
  ef_device_record *record = &c->devices->records[device];
  size_t peak = ef_memory_peak() - held;
  record->steps += trainer->step;
  record->kept_step = trainer->best_step ? trainer->best_step : trainer->step;
  if (peak > record->peak_bytes) record->peak_bytes = peak;
  if (status == EF_OK) record->local_loss = trainer->best_step ? (float)trainer->best_loss : NAN;
  return status;
}

/* In a later round the model that the device uploaded last stands in for one whose numbers are not finite. */
static ef_status stand_in(device_context *c, size_t device, ef_model *model) {
  ef_warn("%s; device %zu uploads its last model again", ef_message(), device);
  c->devices->records[device].kept_step = 0;
  ef_model_free(model);
  return ef_device_load(c->run, c->population, unit_of(c->devices, device) - c->devices->count, model);
}

/* A device whose numbers are not finite is left out; the run goes on. */
static ef_status leave_out(device_context *c, size_t device) {
  ef_part_key key = device_key(unit_of(c->devices, device));
  c->devices->records[device].state = EF_DEVICE_NUMBERS;
  return ef_record_part(c->run, &key, c->records);
}

static ef_status upload(device_context *c, size_t device, ef_model *model, const ef_trainer *trainer) {
  ef_part_key key = device_key(unit_of(c->devices, device));
  ef_upload_round(c->run, model);
  if (c->devices->round == 0) EF_TRY(embed(c, device));
  EF_TRY(measure_upload(c, device, model));
  return ef_trainer_finish(c->run, &key, trainer, c->records);
}

static ef_status train_and_upload(device_context *c, size_t device, ef_model *model,
                                  const ef_local_text *text, size_t held, ef_effort *effort) {
  ef_trainer trainer = {0};
  ef_status status = train_model(c, device, model, text, held, &trainer);
  c->run->steps += trainer.step;
  ef_effort_add(effort, &trainer);
  bool out = status == EF_NUMBERS && c->devices->round == 0;
  if (status == EF_NUMBERS) status = out ? leave_out(c, device) : stand_in(c, device, model);
  if (status == EF_OK && !out) status = upload(c, device, model, &trainer);
  ef_trainer_free(&trainer);
  return status;
}

/* What the device trains from: its family's common start, then its own last upload. */
static ef_status load_model(const device_context *c, size_t device, ef_model *model) {
  size_t entry = (size_t)c->population->entry[device], unit = unit_of(c->devices, device);
  ef_part_key start = start_key(entry);
  if (c->devices->round == 0) return ef_part_load(c->run, &start, &c->population->dims[entry], model);
  return ef_device_load(c->run, c->population, unit - c->devices->count, model);
}

/* A device that is found trained, or that cannot be; false: it is to be trained now. */
static ef_status find_device(device_context *c, size_t device, bool *found) {
  ef_part_key key = device_key(unit_of(c->devices, device));
  ef_device_record *record = &c->devices->records[device];
  if (c->population->fails[device]) record->state = EF_DEVICE_FAILED;
  *found = record->state != EF_DEVICE_OK;
  if (*found || !ef_part_exists(c->run, &key)) return EF_OK;
  size_t before = record->steps;
  *found = true;
  EF_TRY(ef_record_read(c->run, &key, c->records));
  c->run->steps += record->steps - before;
  return EF_OK;
}

static ef_status run_device(void *ctx, size_t device, ef_effort *effort) {
  device_context *c = ctx;
  ef_device_record *record = &c->devices->records[device];
  bool found;
  EF_TRY(find_device(c, device, &found));
  if (found) return EF_OK;
  size_t held = ef_memory_bytes();
  ef_memory_reset_peak();
  ef_local_text text = {0};
  ef_model model = {0};
  ef_status status = EF_OK;
  EF_GO(ef_local_text_read(c->run, c->population, device, &text));
  record->tokens = text.all.count;
  if (!ef_local_has_text(c->run, c->population, device)) {
    record->state = EF_DEVICE_NO_TEXT;
    goto done;
  }
  EF_GO(load_model(c, device, &model));
  EF_GO(train_and_upload(c, device, &model, &text, held, effort));
done:
  ef_model_free(&model);
  ef_local_text_free(&text);
  return status == EF_OK || status == EF_STOPPED ? status : ef_context(status, "device %zu", device);
}

/* ---- all devices --------------------------------------------------------------------------------------- */

static ef_status allocate(const ef_run *run, size_t count, ef_devices *devices) {
  *devices = (ef_devices){.count = count};
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

/* A device that diverges is left out; so many that the fusion cannot go on are an error of the numbers. */
static ef_status check_diverged(const ef_run *run, const ef_devices *devices) {
  size_t whole = 0, diverged = 0, clusters = (size_t)run->deck->fusion.clusters;
  for (size_t n = 0; n < devices->count; n++) {
    whole += devices->records[n].state == EF_DEVICE_OK;
    diverged += devices->records[n].state == EF_DEVICE_NUMBERS;
  }
  return EF_CHECK(
      diverged == 0 || whole >= clusters, EF_NUMBERS,
      "the numbers of %zu of %zu devices are not finite, and %zu uploads are fewer than fusion.clusters = "
      "%zu: lower federation.lr",
      diverged, devices->count, whole, clusters);
}

static ef_status train_round(ef_run *run, const ef_population *population, ef_devices *devices) {
  ef_device_rows rows = {devices, run->tokens.domain_count};
  ef_records records = ef_device_records(&rows);
  device_context context = {run, population, devices, &records, NULL};
  double *cost = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_agree(run->par, EF_NEW(cost, population->devices)));
  for (size_t n = 0; n < population->devices; n++) {
    const ef_dims *dims = &population->dims[population->entry[n]];
    cost[n] = population->fails[n] ? 0.0 : ef_train_cost(dims, 1, 1, (size_t)run->deck->federation.context);
  }
  ef_phase phase = {.name = "local training",
                    .units = population->devices,
                    .cost = cost,
                    .owner = devices->owner,
                    .ctx = &context,
                    .run_unit = run_device,
                    .place = EF_ON_DEVICES};
  EF_GO(ef_phase_run(run, &phase));
  EF_GO(ef_records_share(run, &records, devices->count, devices->owner));
done:
  ef_encoder_free(context.encoder);
  ef_free(cost);
  return status;
}

ef_status ef_devices_train(ef_run *run, const ef_population *population, ef_devices *devices) {
  EF_TRY(ef_agree(run->par, allocate(run, population->devices, devices)));
  EF_TRY(train_round(run, population, devices));
  return check_diverged(run, devices);
}

ef_status ef_devices_train_on(ef_run *run, const ef_population *population, ef_devices *devices) {
  devices->round++;
  return train_round(run, population, devices);
}

ef_status ef_device_load(const ef_run *run, const ef_population *population, size_t unit, ef_model *model) {
  ef_part_key key = device_key(unit);
  return ef_part_load(run, &key, &population->dims[population->entry[unit % population->devices]], model);
}
