#include "base/memory.h"
#include "federation/wire.h"
#include "rivals/average.h"
#include "rivals/rounds_internal.h"
#include "train/events.h"
#include "train/measure.h"
#include "train/units.h"

typedef struct sender {
  const ef_round *round;
  size_t device;
} sender;

/* The owner's side: reads the part and fills the message. */
static ef_status fill_message(void *ctx, unsigned char *message) {
  const sender *s = ctx;
  const ef_round *r = s->round;
  ef_part_key key = ef_round_local_key(r, s->device);
  ef_model model = {0};
  EF_TRY(ef_part_load(r->run, &key, &r->local, &model));
  size_t packed = ef_wire_pack(r->run->deck, &model, message),
         wanted = ef_wire_bytes(r->run->deck, &r->local);
  ef_model_free(&model);
  return EF_CHECK(packed == wanted, EF_FAULT, "device %zu: %zu bytes of weights, %zu by its dims", s->device,
                  packed, wanted);
}

/* What the root holds while the models come in. */
typedef struct server {
  ef_model global, upload;
  ef_average average;
} server;

static ef_status open_server(const ef_round *r, server *s) {
  EF_TRY(ef_part_load(r->run, &r->start, &r->global, &s->global));
  EF_TRY(ef_model_create(&r->local, &s->upload));
  return ef_average_create(&r->global, &s->average);
}

static void close_server(server *s) {
  ef_model_free(&s->global);
  ef_model_free(&s->upload);
  ef_average_free(&s->average);
}

/* One model comes up and enters the sums. Collective. */
static ef_status collect(ef_round *r, size_t device, server *s) {
  ef_run *run = r->run;
  ef_round_device *d = &r->devices[device];
  sender content = {r, device};
  ef_wire_source source = {&content, fill_message, ef_wire_bytes(run->deck, &r->local)};
  unsigned char *message = NULL;
  ef_status status = EF_OK;
  EF_TRY(ef_wire_collect(run, r->owner[device], &source, &message));
  if (ef_par_root(run->par)) {
    d->up_bytes += source.bytes;
    ef_wire_unpack(run->deck, message, &s->upload);
    status = ef_average_add(&s->average, &s->upload, d->order, (double)d->tokens);
  }
  ef_free(message);
  return ef_agree(run->par, status);
}

/* The new global model; an expert that nobody held stays what it was. */
static ef_status finish(ef_round *r, server *s) {
  double holdout;
  ef_average_finish(&s->average, &s->global);
  EF_TRY(ef_run_measure(r->run, &s->global, &holdout, r->validation));
  return ef_round_write(r, &s->global);
}

static ef_status check_uploads(const ef_round *r) {
  size_t uploads = 0;
  for (size_t n = 0; n < r->population->devices; n++) uploads += r->devices[n].state == EF_DEVICE_OK;
  return EF_CHECK(uploads > 0, EF_NUMBERS,
                  "%s: the numbers of every device are not finite, nothing can be averaged: lower rivals.lr",
                  r->name);
}

ef_status ef_round_average(ef_round *r) {
  ef_run *run = r->run;
  bool root = ef_par_root(run->par);
  ef_lap lap = ef_lap_begin(run);
  server s = {0};
  ef_status status = EF_OK;
  EF_GO(check_uploads(r));
  EF_GO(ef_agree(run->par, root ? open_server(r, &s) : EF_OK));
  for (size_t n = 0; n < r->population->devices; n++) {
    if (r->devices[n].state == EF_DEVICE_OK) EF_GO(collect(r, n, &s));
  }
  EF_GO(ef_agree(run->par, root ? finish(r, &s) : EF_OK));
  EF_GO(ef_bcast(run->par, 0, r->validation, run->tokens.domain_count * sizeof *r->validation));
  status = ef_event_phase(run, "average", EF_ON_SERVER, &lap, &(ef_effort){0});
done:
  close_server(&s);
  return status;
}
