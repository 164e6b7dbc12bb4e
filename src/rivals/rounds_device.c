#include "base/memory.h"
#include "federation/local.h"
#include "federation/wire.h"
#include "fusion/bases.h"
#include "rivals/pruned.h"
#include "rivals/rounds_internal.h"
#include "train/measure.h"
#include "train/trainer_file.h"
#include "train/units.h"
#include <math.h>
#include <string.h>

/* Windows of its own text that a device's gate looks at. */
enum { GATE_WINDOWS = 64 };

/* ---- down ---------------------------------------------------------------------------------------------- */

/* Packs a model as the server sends it and unpacks it as the device's: what the wire rounds is rounded.
 * Returns the bytes. */
static ef_status through_wire(const ef_run *run, ef_model *model, uint64_t *bytes) {
  unsigned char *message;
  EF_TRY(EF_NEW(message, ef_wire_bytes(run->deck, &model->dims)));
  *bytes += ef_wire_pack(run->deck, model, message);
  ef_wire_unpack(run->deck, message, model);
  ef_free(message);
  return EF_OK;
}

/* The experts of each layer by their gate mass on the device's text. */
static ef_status rank_experts(const ef_round *r, const ef_stream *text, const ef_model *global,
                              ef_round_device *d) {
  const ef_run *run = r->run;
  size_t E = r->global.E;
  uint64_t bytes = 0;
  ef_model common = {0};
  double *mass = NULL;
  ef_status status = EF_OK;
  EF_GO(EF_NEW(mass, r->layers * E));
  EF_GO(ef_base_start_load(run, &common));
  EF_GO(through_wire(run, &common, &bytes));
  if (r->number == 0) d->down_bytes += bytes; /* a device keeps it */
  EF_GO(ef_gate_mass(run->kernels, &common, global, text, (size_t)run->deck->global.context, GATE_WINDOWS,
                     mass));
  for (size_t l = 0; l < r->layers; l++) {
    EF_GO(ef_experts_order(mass + l * E, E, r->plan->held, d->order + l * E));
  }
done:
  ef_model_free(&common);
  ef_free(mass);
  return status;
}

/* The model that the device trains. The server's own is not on the device: it is gone when this returns. */
static ef_status receive(const ef_round *r, const ef_stream *text, ef_round_device *d, ef_model *local) {
  ef_model global = {0};
  ef_status status = EF_OK;
  EF_GO(ef_part_load(r->run, &r->start, &r->global, &global));
  if (r->plan->common) {
    ef_wire_round(r->run->deck, &global); /* the device gates with the routers that it receives */
    EF_GO(rank_experts(r, text, &global, d));
  }
  EF_GO(ef_model_create(&r->local, local));
  ef_pruned_take(&global, d->order, local);
  ef_model_free(&global);
  EF_GO(through_wire(r->run, local, &d->down_bytes));
done:
  ef_model_free(&global);
  return status;
}

/* ---- training ------------------------------------------------------------------------------------------ */

size_t ef_rounds_steps(const ef_deck *deck, size_t tokens) {
  if (deck->rivals.steps > 0) return (size_t)deck->rivals.steps;
  size_t all = ef_local_steps(deck, tokens), share = all / (size_t)deck->rivals.rounds;
  return share == 0 && all > 0 ? 1 : share;
}

static ef_recipe recipe_of(const ef_deck *deck, const ef_local_text *text) {
  ef_recipe recipe = ef_local_recipe(deck, deck->rivals.lr, &text->slice);
  recipe.steps = ef_rounds_steps(deck, text->train.count);
  recipe.context = (size_t)deck->global.context;
  return recipe;
}

/* Early exits have no loss here, but AdamW decays all it is given: they are set aside, and put back. `kept`
 * (2,exits,D). */
static void move_exits(const ef_model *model, bool back, float *kept) {
  static const ef_role roles[] = {EF_T_EXIT_NORM_W, EF_T_EXIT_NORM_B};
  size_t bytes = model->dims.D * sizeof(float);
  for (size_t i = 0; i < 2; i++) {
    for (size_t e = 0; e < ef_dims_exit_count(&model->dims); e++, kept += model->dims.D) {
      float *x = ef_model_tensor(model, roles[i], (int)ef_dims_exit_after(&model->dims, e) - 1, -1);
      if (x) memcpy(back ? x : kept, back ? kept : x, bytes);
    }
  }
}

/* A device whose numbers are not finite is left out of this round; the run goes on. */
static ef_status leave_out(ef_round *r, size_t device) {
  ef_part_key key = ef_round_local_key(r, device);
  ef_records records = ef_round_records(r);
  r->devices[device].state = EF_DEVICE_NUMBERS;
  return ef_record_part(r->run, &key, &records);
}

static bool all_finite(const ef_model *model) {
  bool finite = true;
  for (size_t i = 0; i < model->table.floats; i++) finite = finite && isfinite(model->params[i]);
  return finite;
}

/* What stays in the part is what the server will see. */
static ef_status make_upload(ef_round *r, size_t device, ef_model *model, const ef_trainer *trainer) {
  ef_part_key key = ef_round_local_key(r, device);
  ef_records records = ef_round_records(r);
  double *loss = &r->devices[device].holdout_loss;
  ef_wire_round(r->run->deck, model);
  EF_TRY(ef_run_measure(r->run, model, loss, NULL));
  if (!isfinite(*loss) || !all_finite(model)) return leave_out(r, device);
  return ef_trainer_finish(r->run, &key, trainer, &records);
}

/* Trains the model that the device received; its memory is counted from `held` bytes on. */
static ef_status train(ef_round *r, size_t device, ef_model *model, const ef_local_text *text, size_t held,
                       ef_effort *effort) {
  ef_run *run = r->run;
  ef_round_device *d = &r->devices[device];
  ef_part_key key = ef_round_local_key(r, device);
  ef_recipe recipe = recipe_of(run->deck, text);
  ef_source source = {.general = &text->train,
                      .seed = (uint64_t)run->deck->run.seed,
                      .unit = ef_unit(EF_UNIT_LOCAL, key.index)};
  ef_trainer trainer = {0};
  float *exits = NULL;
  ef_status status = EF_OK;
  EF_GO(EF_NEW(exits, 2 * ef_dims_exit_count(&model->dims) * model->dims.D));
  move_exits(model, false, exits);
  EF_GO(ef_trainer_create(model, run->kernels, &recipe, &source, NULL, &trainer));
  status = ef_trainer_walk(run, &key, &trainer);
  d->steps = trainer.step;
  d->kept_step = trainer.best_step ? trainer.best_step : trainer.step;
  d->peak_bytes = ef_memory_peak() - held;
  run->steps += trainer.step;
  ef_effort_add(effort, &trainer);
  move_exits(model, true, exits);
  if (status == EF_NUMBERS)
    status = leave_out(r, device);
  else if (status == EF_OK)
    status = make_upload(r, device, model, &trainer);
done:
  ef_trainer_free(&trainer);
  ef_free(exits);
  return status;
}

static ef_status receive_and_train(ef_round *r, size_t device, ef_effort *effort) {
  ef_round_device *d = &r->devices[device];
  size_t held = ef_memory_bytes();
  ef_local_text text = {0};
  ef_model model = {0};
  ef_status status = EF_OK;
  EF_GO(ef_local_text_read(r->run, r->population, device, &text));
  d->tokens = text.all.count;
  EF_GO(receive(r, &text.train, d, &model));
  ef_memory_reset_peak();
  EF_GO(train(r, device, &model, &text, held, effort));
done:
  ef_model_free(&model);
  ef_local_text_free(&text);
  return status;
}

static ef_status run_device(void *ctx, size_t device, ef_effort *effort) {
  ef_round *r = ctx;
  ef_round_device *d = &r->devices[device];
  ef_part_key key = ef_round_local_key(r, device);
  if (r->population->fails[device]) {
    d->state = EF_DEVICE_FAILED;
    return EF_OK;
  }
  if (!ef_local_has_text(r->run, r->population, device)) {
    d->state = EF_DEVICE_NO_TEXT;
    return EF_OK;
  }
  if (ef_part_exists(r->run, &key)) {
    ef_records records = ef_round_records(r);
    EF_TRY(ef_record_read(r->run, &key, &records));
    r->run->steps += d->steps;
    return EF_OK;
  }
  ef_status status = receive_and_train(r, device, effort);
  return status == EF_OK || status == EF_STOPPED ? status : ef_context(status, "device %zu", device);
}

ef_status ef_round_train(ef_round *r) {
  size_t N = r->population->devices;
  ef_records records = ef_round_records(r);
  double *cost = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_agree(r->run->par, EF_NEW(cost, N)));
  for (size_t n = 0; n < N; n++) cost[n] = ef_local_trains(r->run, r->population, n) ? 1.0 : 0.0;
  ef_phase phase = {r->name, N, cost, r->owner, r, run_device, EF_ON_DEVICES};
  EF_GO(ef_phase_run(r->run, &phase));
  EF_GO(ef_records_share(r->run, &records, N, r->owner));
done:
  ef_free(cost);
  return status;
}
