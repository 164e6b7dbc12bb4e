/* Phase III, first half, in a run: the bases become one Mixture-of-Experts, made by the root and kept as a
 * part.
 */
#pragma once

#include "fusion/bases.h"

typedef enum ef_merge_of {
  EF_MERGE_BASES, /* the distilled bases */
  EF_MERGE_STARTS /* K copies of their common start: the control that no device has shaped */
} ef_merge_of;

/* Makes the part if it is not there. Collective. */
ef_status ef_merged_make(ef_run *run, const ef_clusters *clusters, const ef_bases *bases, ef_merge_of of);

/* This rank's shard of it: all shared tensors and the experts that it holds. Local. */
ef_status ef_merged_load(const ef_run *run, const ef_bases *bases, ef_merge_of of, ef_model *shard);
