#include "federation/upload.h"

#include "base/memory.h"
#include "federation/wire.h"
#include <string.h>

enum { EMBEDDING_BYTES = EF_EMBEDDING * sizeof(uint16_t) };

void ef_upload_round(const ef_run *run, ef_model *model) { ef_wire_round(run->deck, model); }

uint64_t ef_upload_formula(const ef_deck *deck, const ef_dims *dims) {
  return (uint64_t)ef_dims_params(dims) * ef_wire_number_bytes(deck) + EMBEDDING_BYTES;
}

typedef struct sender {
  const ef_run *run;
  const ef_population *population;
  const ef_devices *devices;
  size_t device, weights; /* bytes of the weights by the device's dims */
} sender;

/* The owner's side: reads the part and fills the message. */
static ef_status fill_message(void *ctx, unsigned char *message) {
  const sender *s = ctx;
  const uint16_t *embedding = s->devices->records[s->device].embedding;
  ef_model model = {0};
  EF_TRY(ef_device_load(s->run, s->population, s->device, &model));
  size_t packed = ef_wire_pack(s->run->deck, &model, message);
  memcpy(message + packed, embedding, EMBEDDING_BYTES);
  ef_model_free(&model);
  return EF_CHECK(packed == s->weights, EF_FAULT, "device %zu: %zu bytes of weights, %zu by its dims",
                  s->device, packed, s->weights);
}

ef_status ef_upload_weights(ef_run *run, const ef_population *population, const ef_devices *devices,
                            size_t device, ef_ledger *ledger, ef_model *model) {
  size_t weights = ef_wire_bytes(run->deck, &population->dims[population->entry[device]]);
  sender content = {run, population, devices, device, weights};
  ef_wire_source source = {&content, fill_message, weights + EMBEDDING_BYTES};
  unsigned char *message = NULL;
  EF_TRY(ef_wire_collect(run, devices->owner[device], &source, &message));
  if (ef_par_root(run->par)) {
    ef_ledger_count(ledger, device, EF_UP, EF_MSG_WEIGHTS, weights);
    ef_ledger_count(ledger, device, EF_UP, EF_MSG_EMBEDDING, EMBEDDING_BYTES);
    ef_wire_unpack(run->deck, message, model);
  }
  ef_free(message);
  return EF_OK;
}
