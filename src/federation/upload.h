/* The upload of a device: its weights, as float32 or bfloat16 (federation.wire), and its data embedding; with
 * fusion.proxy_weights validation also the loss on its own slice, as float32. In later rounds
 * (federation.rounds) the embedding does not come again.
 *
 * Every byte goes through the ledger where it is handed to the transport; the closed formula of the method,
 * sum over devices of R |m_n| + |e_n| (Eq. 5 and deepfusion.md section 7; + 4 R with the losses), is computed
 * apart from dims and must be equal.
 */
#pragma once

#include "federation/device.h"
#include "par/ledger.h"

/* Rounds parameters to what the wire carries: the model that stays in the part is the model that arrives.
 * Local. */
void ef_upload_round(const ef_run *run, ef_model *model);

/* Bytes of all uploads of a device by the formula: rounds * (params * bytes per number [+ 4]) + bytes of e_n.
 * Pure. */
uint64_t ef_upload_formula(const ef_deck *deck, const ef_dims *dims);

/* Moves the upload of `device` in round devices->round from its rank to the root, its weights into `model`
 * there (created by the root with the dims of the device); the ledger of the root counts weights, embedding
 * and loss. The ranks agree before anything is sent: an owner that cannot read its part fails on all ranks,
 * with nothing counted. EF_CHECKPOINT, EF_MACHINE. Collective. */
ef_status ef_upload_weights(ef_run *run, const ef_population *population, const ef_devices *devices,
                            size_t device, ef_ledger *ledger, ef_model *model);
