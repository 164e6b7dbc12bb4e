/* Routed experts spread over ranks: tokens go to the rank that holds the expert and come back, by all-to-all.
 *
 * Expert e of every layer is held by ef_block_owner(E, size, e). In a slot every rank runs one micro-batch
 * (or none, and then still serves its experts). The unit of computation is a (micro-batch, expert) block: its
 * rows, their order and its products are the same on any number of ranks, so are the bits. Gradients of the
 * experts are leaves of one fixed tree over micro-batches (par/tree.h).
 */
#pragma once

#include "model/model.h"
#include "par/par.h"
#include "par/tree.h"

/* Bytes that the leader of a node may hold for it: more are worth no gathering, messages are long then. */
enum { EF_STAGING_MOST = 32 << 20 };

typedef struct ef_exchange ef_exchange; /* opaque: step/exchange_internal.h */

/* For the shard `model` (step/shard.h: EF_FAULT otherwise), micro-batches of up to `rows` tokens. `train`:
 * backward will follow. The model must outlive the exchange. Collective. */
ef_status ef_exchange_create(ef_par *par, const ef_kernels *kernels, const ef_model *model, size_t rows,
                             bool train, ef_exchange **exchange);
void ef_exchange_free(ef_exchange *exchange);

/* The vtable for ef_pass_create. Own tokens are worked on where they stand; all others are sent. Buffers
 * grow, by a quarter more than is needed, when a routing needs more than ever before; then nothing is
 * allocated. */
ef_experts ef_exchange_experts(ef_exchange *exchange);

/* Opens a slot: this rank runs micro-batch `unit`, or none (SIZE_MAX). `tree` collects gradients of the
 * experts held here (n = table.floats - table.shared), NULL when the experts are frozen or nothing is trained
 * (on all ranks alike). Every rank must then run the forward (and backward) of its micro-batch, or
 * ef_exchange_serve if it has none. Collective. */
ef_status ef_exchange_slot(ef_exchange *exchange, size_t unit, ef_tree *tree);
/* Takes part in the forward (and, with `backward`, the backward) of a slot without a micro-batch. Collective.
 */
ef_status ef_exchange_serve(ef_exchange *exchange, bool backward);
/* Closes the slot: the leaves of all micro-batches of the slot enter the tree. Local. */
ef_status ef_exchange_close(ef_exchange *exchange);
