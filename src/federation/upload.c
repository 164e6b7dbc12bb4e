#include "federation/upload.h"

#include "base/memory.h"
#include "federation/wire.h"
#include <string.h>

enum { EMBEDDING_BYTES = EF_EMBEDDING * sizeof(uint16_t) };

void ef_upload_round(const ef_run *run, ef_model *model) { ef_wire_round(run->deck, model); }

static bool sends_loss(const ef_deck *deck) { return strcmp(deck->fusion.proxy_weights, "validation") == 0; }

uint64_t ef_upload_formula(const ef_deck *deck, const ef_dims *dims) {
  uint64_t rounds = (uint64_t)deck->federation.rounds, loss = sends_loss(deck) ? 4 : 0;
  return rounds * (ef_dims_params(dims) * ef_wire_number_bytes(deck) + loss) + EMBEDDING_BYTES;
}

/* ---- the message --------------------------------------------------------------------------------------- */

typedef struct sender {
  const ef_run *run;
  const ef_population *population;
  const ef_devices *devices;
  size_t device;
  size_t weights, embedding, loss; /* bytes of each in the message, one behind the other */
} sender;

static sender sender_of(const ef_run *run, const ef_population *population, const ef_devices *devices,
                        size_t device) {
  return (sender){.run = run,
                  .population = population,
                  .devices = devices,
                  .device = device,
                  .weights = ef_wire_bytes(run->deck, &population->dims[population->entry[device]]),
                  .embedding = devices->round == 0 ? EMBEDDING_BYTES : 0,
                  .loss = sends_loss(run->deck) ? sizeof(float) : 0};
}

/* The owner's side: reads the part and fills the message. */
static ef_status fill_message(void *ctx, unsigned char *message) {
  const sender *s = ctx;
  const ef_device_record *record = &s->devices->records[s->device];
  float loss = (float)record->local_loss;
  ef_model model = {0};
  EF_TRY(ef_device_load(s->run, s->population, s->devices->round * s->devices->count + s->device, &model));
  size_t packed = ef_wire_pack(s->run->deck, &model, message);
  memcpy(message + packed, record->embedding, s->embedding);
  memcpy(message + packed + s->embedding, &loss, s->loss);
  ef_model_free(&model);
  return EF_CHECK(packed == s->weights, EF_FAULT, "device %zu: %zu bytes of weights, %zu by its dims",
                  s->device, packed, s->weights);
}

ef_status ef_upload_weights(ef_run *run, const ef_population *population, const ef_devices *devices,
                            size_t device, ef_ledger *ledger, ef_model *model) {
  sender s = sender_of(run, population, devices, device);
  ef_wire_source source = {&s, fill_message, s.weights + s.embedding + s.loss};
  unsigned char *message = NULL;
  EF_TRY(ef_wire_collect(run, devices->owner[device], &source, &message));
  if (ef_par_root(run->par)) {
    ef_ledger_count(ledger, device, EF_UP, EF_MSG_WEIGHTS, s.weights);
    ef_ledger_count(ledger, device, EF_UP, EF_MSG_EMBEDDING, s.embedding);
    ef_ledger_count(ledger, device, EF_UP, EF_MSG_LOSS, s.loss);
    ef_wire_unpack(run->deck, message, model);
  }
  ef_free(message);
  return EF_OK;
}
