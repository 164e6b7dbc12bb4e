/* A model as a message between a device and the server: its tensors one behind the other, float32 or bfloat16
 * (federation.wire), without the gaps of its block.
 */
#pragma once

#include "model/model.h"
#include "train/run.h"

/* Bytes of one number on the wire; of a model with these dims. Pure. */
size_t ef_wire_number_bytes(const ef_deck *deck);
size_t ef_wire_bytes(const ef_deck *deck, const ef_dims *dims);

/* Fills message (ef_wire_bytes of the model's dims); returns the bytes written. Local. */
size_t ef_wire_pack(const ef_deck *deck, const ef_model *model, unsigned char *message);
/* Parameters of `model`, which has the dims of the sender's, from its message. Local. */
void ef_wire_unpack(const ef_deck *deck, const unsigned char *message, ef_model *model);

/* Rounds parameters to what the wire carries: the model that stays is the model that arrives. Local. */
void ef_wire_round(const ef_deck *deck, ef_model *model);

/* What one rank has for the root: `fill` writes the message, on that rank only. */
typedef struct ef_wire_source {
  void *ctx;
  ef_status (*fill)(void *ctx, unsigned char *message);
  size_t bytes; /* the same on all ranks */
} ef_wire_source;

/* Moves a message from the rank `owner` to the root. *message is counted memory on these two, freed by the
 * caller, and NULL elsewhere. The ranks agree before anything is sent: an owner that cannot fill it fails on
 * all ranks. EF_MACHINE, or what `fill` says. Collective. */
ef_status ef_wire_collect(ef_run *run, int owner, const ef_wire_source *source, unsigned char **message);
