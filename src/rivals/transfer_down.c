#include "rivals/transfer_internal.h"

#include "base/memory.h"
#include "train/events.h"
#include "train/trainer_file.h"

enum { FIELDS = 3 };

/* ---- records ------------------------------------------------------------------------------------------- */

/* The unit of a record is the device, that of its part counts rounds too. */
static void pack(void *ctx, size_t unit, double *row) {
  const ef_transfer *t = ctx;
  const ef_transfer_record *r = &t->records[unit % t->devices->count];
  row[0] = (double)r->state;
  row[1] = (double)r->steps;
  row[2] = (double)r->down_bytes;
}

static void unpack(void *ctx, size_t unit, const double *row) {
  const ef_transfer *t = ctx;
  t->records[unit % t->devices->count] =
      (ef_transfer_record){(ef_device_state)row[0], (size_t)row[1], (uint64_t)row[2]};
}

static ef_records records_of(ef_transfer *t) {
  return (ef_records){.path = "/transfer/record",
                      .description = "state, steps on the server's logits, bytes that came down",
                      .width = FIELDS,
                      .ctx = t,
                      .pack = pack,
                      .unpack = unpack};
}

/* ---- one device ---------------------------------------------------------------------------------------- */

typedef struct distil_context {
  ef_transfer *transfer;
  size_t round;
} distil_context;

/* What a device learns from. */
typedef struct lesson {
  ef_logit_set server, own;
  ef_soft_labels labels;
} lesson;

/* The server's set arrives as the message that the server would send. */
static ef_status receive(ef_transfer *t, size_t round, size_t device, ef_logit_set *set) {
  ef_part_key key = ef_transfer_server_key(t, round + 1);
  unsigned char *message = NULL;
  EF_TRY(ef_transfer_load_set(t, &key, set));
  EF_TRY(EF_NEW(message, ef_logit_set_pack(set, t->recipe.half, NULL)));
  t->records[device].down_bytes = ef_logit_set_pack(set, t->recipe.half, message);
  ef_logit_set_unpack(message, t->recipe.half, set);
  ef_free(message);
  return EF_OK;
}

static ef_recipe recipe_of(const ef_transfer *t, size_t device) {
  const ef_deck *d = t->run->deck;
  return (ef_recipe){.steps = (size_t)d->rivals.device_steps,
                     .batch = (size_t)d->federation.batch,
                     .context = t->samples.T,
                     .lr = ef_population_lr(d, (size_t)t->population->entry[device]),
                     .min_lr = d->federation.min_lr,
                     .decay = d->federation.weight_decay,
                     .clip = d->federation.clip,
                     .warmup = (size_t)d->federation.warmup};
}

static ef_status open_lesson(ef_transfer *t, size_t round, size_t device, lesson *l) {
  const ef_deck *d = t->run->deck;
  ef_part_key own = ef_transfer_set_key(t, round, device);
  EF_TRY(receive(t, round, device, &l->server));
  EF_TRY(ef_transfer_load_set(t, &own, &l->own));
  return ef_soft_labels_create(&t->samples, &l->server, l->own.loss, t->run->tokens.vocabulary,
                               (size_t)d->federation.batch, d->rivals.kl, &l->labels);
}

static void close_lesson(lesson *l) {
  ef_soft_labels_free(&l->labels);
  ef_logit_set_free(&l->server);
  ef_logit_set_free(&l->own);
}

static ef_status finish(ef_transfer *t, const ef_part_key *key, const ef_trainer *trainer, bool diverged) {
  ef_records records = records_of(t);
  return diverged ? ef_record_part(t->run, key, &records) : ef_trainer_finish(t->run, key, trainer, &records);
}

static ef_status train(ef_transfer *t, const ef_part_key *key, ef_model *model, lesson *l,
                       ef_effort *effort) {
  ef_run *run = t->run;
  ef_transfer_record *record = &t->records[key->index % t->devices->count];
  ef_recipe recipe = recipe_of(t, key->index % t->devices->count);
  ef_objective objective = ef_soft_labels_objective(&l->labels);
  ef_source source =
      ef_soft_labels_source(&l->labels, (uint64_t)run->deck->run.seed, ef_unit(EF_UNIT_LOCAL, key->index));
  ef_trainer trainer = {0};
  EF_TRY(ef_trainer_create(model, run->kernels, &recipe, &source, &objective, &trainer));
  ef_status status = ef_trainer_walk(run, key, &trainer);
  record->steps = trainer.step;
  record->state = status == EF_NUMBERS ? EF_DEVICE_NUMBERS : EF_DEVICE_OK;
  run->steps += trainer.step;
  ef_effort_add(effort, &trainer);
  if (status == EF_OK || status == EF_NUMBERS) status = finish(t, key, &trainer, status == EF_NUMBERS);
  ef_trainer_free(&trainer);
  return status;
}

static ef_status distil_device(void *ctx, size_t device, ef_effort *effort) {
  const distil_context *c = ctx;
  ef_transfer *t = c->transfer;
  ef_part_key key = ef_transfer_local_key(t, c->round, device);
  ef_records records = records_of(t);
  t->records[device] = (ef_transfer_record){.state = t->devices->records[device].state};
  if (!ef_transfer_part_of(t, device)) return EF_OK;
  if (ef_part_exists(t->run, &key)) {
    EF_TRY(ef_record_read(t->run, &key, &records));
    t->run->steps += t->records[device].steps;
    return EF_OK;
  }
  ef_model model = {0};
  lesson l = {0};
  ef_status status = EF_OK;
  EF_GO(ef_transfer_load_device(t, c->round, device, &model));
  EF_GO(open_lesson(t, c->round, device, &l));
  EF_GO(train(t, &key, &model, &l, effort));
done:
  close_lesson(&l);
  ef_model_free(&model);
  return status == EF_OK || status == EF_STOPPED ? status : ef_context(status, "device %zu", device);
}

/* ---- all devices --------------------------------------------------------------------------------------- */

static void count_round(ef_transfer *t) {
  for (size_t n = 0; n < t->devices->count; n++) {
    const ef_transfer_record *r = &t->records[n];
    t->steps[n] += r->steps;
    t->devices->records[n].state = r->state;
    if (ef_par_root(t->run->par)) ef_ledger_count(t->ledger, n, EF_DOWN, EF_MSG_LOGITS, r->down_bytes);
  }
}

/* The devices' sets of the round have done their work. */
static void remove_sets(const ef_transfer *t, size_t round) {
  for (size_t n = 0; ef_par_root(t->run->par) && n < t->devices->count; n++) {
    ef_part_key key = ef_transfer_set_key(t, round, n);
    ef_part_remove(t->run, &key);
  }
}

ef_status ef_transfer_distil(ef_transfer *t, size_t round) {
  distil_context context = {t, round};
  ef_records records = records_of(t);
  size_t N = t->devices->count, steps = (size_t)t->run->deck->rivals.device_steps;
  for (size_t n = 0; n < N && steps > 0; n++) {
    const ef_dims *dims = &t->population->dims[t->population->entry[n]];
    t->cost[n] = ef_transfer_part_of(t, n) ? ef_train_cost(dims, 1, 1, t->samples.T) : 0.0;
  }
  if (steps > 0) {
    ef_phase phase = {"transfer to devices", N, t->cost, t->owner, &context, distil_device, EF_ON_DEVICES};
    EF_TRY(ef_phase_run(t->run, &phase));
    EF_TRY(ef_records_share(t->run, &records, N, t->owner));
    count_round(t);
  }
  remove_sets(t, round);
  return EF_OK;
}
