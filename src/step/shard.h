/* The shard of a model that a rank holds: routed experts are dealt in blocks (par/units.h), all else is
 * everywhere.
 */
#pragma once

#include "model/model.h"
#include "par/par.h"

/* This rank's shard of a model of `dims`: all shared tensors, and experts ef_block_first(E, size, rank) .. of
 * every MoE layer; parameters zero. Freed by ef_model_free. EF_MACHINE; EF_FAULT if `dims` store (held)
 * fewer experts than that. Local: the caller lets the ranks agree on the status. */
ef_status ef_shard_create(const ef_par *par, const ef_dims *dims, ef_model *model);
