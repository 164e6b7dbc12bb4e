/* Phase III, first half, in a run: dense bases become one Mixture-of-Experts, made by the root and kept as a
 * part.
 */
#pragma once

#include "fusion/bases.h"
#include "train/part.h"

/* Merges the distilled bases; `key` names the part, which is made if it is not there. Collective. */
ef_status ef_merged_make(ef_run *run, const ef_clusters *clusters, const ef_bases *bases, ef_part_key *key);

/* Merges fusion.clusters copies of the bases' common start with neutral routers: the global model that no
 * device has shaped, from which public_only and the methods that train a global model as it is set out.
 * Needs ef_base_start. Collective. */
ef_status ef_starts_make(ef_run *run, ef_part_key *key);

/* Weight of each device in each expert (E,N): 1/members of its cluster, or all to the member that stands in;
 * 0 where the proxy did not teach. Local. */
void ef_merged_lineage(const ef_clusters *clusters, const ef_bases *bases, size_t N, float *lineage);
