/* Phase I: knowledge clusters of devices from their data embeddings (deepfusion.md section 5; Eq. 6).
 *
 * Spherical k-means inside each model family: K_a clusters for family a, sum K_a = K, by largest remainders in
 * proportion to the family's devices, 1 <= K_a <= N_a for every family that is present.
 */
#pragma once

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

/* Clusters of each family. present (families): devices of each family, 0 allowed (then 0 clusters). EF_DECK if
 * clusters < families present or clusters > devices. Local. */
ef_status ef_cluster_quota(size_t families, const size_t *present, size_t clusters, size_t *quota);

/* Spherical k-means: points (n,d) of any length (zero vectors allowed: they go to the first centre) to k clusters, by
 * cosine; k-means++ seeding, `restarts` runs, the best by total cosine (ties: the earlier). An empty cluster is seeded
 * anew at the point farthest from its centre. centre: subtract the mean of the points first. Clusters are
 * numbered by their lowest point. assignment (n); centres (k,d) of unit length, or NULL. 1 <= k <= n.
 * Deterministic in (seed, unit). EF_MACHINE. Local. */
ef_status ef_spherical_kmeans(size_t n, size_t d, const float *points, size_t k, size_t restarts, uint64_t seed,
                              uint64_t unit, int32_t *assignment, float *centres);

/* Share of points whose cluster's most common label is their own; and normalised mutual information (arithmetic mean of the
 * entropies). labels < 0 are left out. Local. */
double ef_purity(size_t n, const int32_t *assignment, const int32_t *labels);
double ef_nmi(size_t n, const int32_t *assignment, const int32_t *labels);
