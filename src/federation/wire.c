#include "federation/wire.h"

#include "base/memory.h"
#include "par/tags.h"
#include "store/safetensors.h"
#include <string.h>

static bool half_width(const ef_deck *deck) { return strcmp(deck->federation.wire, "bfloat16") == 0; }

size_t ef_wire_number_bytes(const ef_deck *deck) { return half_width(deck) ? 2 : 4; }

size_t ef_wire_bytes(const ef_deck *deck, const ef_dims *dims) {
  return ef_dims_params(dims) * ef_wire_number_bytes(deck);
}

size_t ef_wire_pack(const ef_deck *deck, const ef_model *model, unsigned char *message) {
  size_t n = 0, width = ef_wire_number_bytes(deck);
  for (size_t i = 0; i < model->table.count; i++) {
    const ef_tensor *tensor = &model->table.tensors[i];
    const float *x = model->params + tensor->offset;
    if (half_width(deck))
      ef_bf16_pack(tensor->count, x, message + n);
    else
      memcpy(message + n, x, tensor->count * width);
    n += tensor->count * width;
  }
  return n;
}

void ef_wire_unpack(const ef_deck *deck, const unsigned char *message, ef_model *model) {
  size_t n = 0, width = ef_wire_number_bytes(deck);
  for (size_t i = 0; i < model->table.count; i++) {
    const ef_tensor *tensor = &model->table.tensors[i];
    float *x = model->params + tensor->offset;
    if (half_width(deck))
      ef_bf16_unpack(tensor->count, message + n, x);
    else
      memcpy(x, message + n, tensor->count * width);
    n += tensor->count * width;
  }
}

void ef_wire_round(const ef_deck *deck, ef_model *model) {
  if (!half_width(deck)) return;
  for (size_t i = 0; i < model->table.floats; i++) {
    model->params[i] = ef_bf16_to_f32(ef_bf16_from_f32(model->params[i]));
  }
}

/* Both sides make ready: the owner fills the message, the root makes room for it. */
static ef_status prepare(const ef_run *run, int owner, const ef_wire_source *source,
                         unsigned char **message) {
  int rank = run->par->rank;
  if (rank != owner && rank != 0) return EF_OK;
  EF_TRY(EF_NEW(*message, source->bytes));
  return rank == owner ? source->fill(source->ctx, *message) : EF_OK;
}

ef_status ef_wire_collect(ef_run *run, int owner, const ef_wire_source *source, unsigned char **message) {
  int rank = run->par->rank;
  *message = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_agree(run->par, prepare(run, owner, source, message)));
  if (owner == 0) return EF_OK;
  if (rank == owner) EF_GO(ef_send(run->par, 0, EF_TAG_UPLOAD, *message, source->bytes));
  if (rank == 0) EF_GO(ef_recv(run->par, owner, EF_TAG_UPLOAD, *message, source->bytes));
done:
  if (status != EF_OK) {
    ef_free(*message);
    *message = NULL;
  }
  return status;
}
