#include "federation/upload.h"

#include "base/memory.h"
#include "par/tags.h"
#include "store/safetensors.h"
#include <string.h>

static bool half_width(const ef_deck *deck) { return strcmp(deck->federation.wire, "bfloat16") == 0; }
static size_t number_bytes(const ef_deck *deck) { return half_width(deck) ? 2 : 4; }

void ef_upload_round(const ef_run *run, ef_model *model) {
  if (!half_width(run->deck)) return;
  for (size_t i = 0; i < model->table.floats; i++) {
    model->params[i] = ef_bf16_to_f32(ef_bf16_from_f32(model->params[i]));
  }
}

uint64_t ef_upload_formula(const ef_deck *deck, const ef_dims *dims) {
  return (uint64_t)ef_dims_params(dims) * number_bytes(deck) + EF_EMBEDDING * sizeof(uint16_t);
}

/* Serialises the tensors one behind the other, without the gaps of the block; returns the bytes written. */
static size_t serialise(const ef_model *model, bool half, unsigned char *message) {
  size_t n = 0;
  for (size_t i = 0; i < model->table.count; i++) {
    const ef_tensor *tensor = &model->table.tensors[i];
    const float *x = model->params + tensor->offset;
    if (!half) {
      memcpy(message + n, x, tensor->count * sizeof *x);
      n += tensor->count * sizeof *x;
      continue;
    }
    for (size_t j = 0; j < tensor->count; j++, n += 2) {
      uint16_t bits = ef_bf16_from_f32(x[j]);
      memcpy(message + n, &bits, 2);
    }
  }
  return n;
}

static void deserialise(const unsigned char *message, bool half, ef_model *model) {
  size_t n = 0;
  for (size_t i = 0; i < model->table.count; i++) {
    const ef_tensor *tensor = &model->table.tensors[i];
    float *x = model->params + tensor->offset;
    if (!half) {
      memcpy(x, message + n, tensor->count * sizeof *x);
      n += tensor->count * sizeof *x;
      continue;
    }
    for (size_t j = 0; j < tensor->count; j++, n += 2) {
      uint16_t bits;
      memcpy(&bits, message + n, 2);
      x[j] = ef_bf16_to_f32(bits);
    }
  }
}

/* The owner's side: reads the part and fills the message. */
static ef_status fill_message(const ef_run *run, const ef_population *population, const ef_devices *devices,
                              size_t device, unsigned char *message, size_t *bytes) {
  ef_model model = {0};
  EF_TRY(ef_device_load(run, population, device, &model));
  *bytes = serialise(&model, half_width(run->deck), message);
  memcpy(message + *bytes, devices->records[device].embedding, sizeof devices->records[device].embedding);
  ef_model_free(&model);
  return EF_OK;
}

/* Both sides make ready: the owner fills the message, the root makes room for it. */
static ef_status prepare(const ef_run *run, const ef_population *population, const ef_devices *devices,
                         size_t device, size_t weights, size_t bytes, unsigned char **message) {
  int owner = devices->owner[device], rank = run->par->rank;
  size_t packed = weights;
  if (rank != owner && rank != 0) return EF_OK;
  EF_TRY(EF_NEW(*message, bytes));
  if (rank == owner) EF_TRY(fill_message(run, population, devices, device, *message, &packed));
  return EF_CHECK(packed == weights, EF_FAULT, "device %zu: %zu bytes of weights, %zu by its dims", device,
                  packed, weights);
}

ef_status ef_upload_weights(ef_run *run, const ef_population *population, const ef_devices *devices,
                            size_t device, ef_ledger *ledger, ef_model *model) {
  int owner = devices->owner[device], rank = run->par->rank;
  size_t weights = ef_dims_params(&population->dims[population->entry[device]]) * number_bytes(run->deck);
  size_t embedding = EF_EMBEDDING * sizeof(uint16_t);
  unsigned char *message = NULL;
  ef_status status = EF_OK;
  EF_GO(
      ef_agree(run->par, prepare(run, population, devices, device, weights, weights + embedding, &message)));
  if (rank == owner && owner != 0) EF_GO(ef_send(run->par, 0, EF_TAG_UPLOAD, message, weights + embedding));
  if (rank == 0) {
    if (owner != 0) EF_GO(ef_recv(run->par, owner, EF_TAG_UPLOAD, message, weights + embedding));
    ef_ledger_count(ledger, device, EF_UP, EF_MSG_WEIGHTS, weights);
    ef_ledger_count(ledger, device, EF_UP, EF_MSG_EMBEDDING, embedding);
    deserialise(message, half_width(run->deck), model);
  }
done:
  ef_free(message);
  return status;
}
