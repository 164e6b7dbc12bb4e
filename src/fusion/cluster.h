/* Phase I: knowledge clusters of devices from their data embeddings (deepfusion.md section 5; Eq. 6).
 *
 * Spherical k-means inside each model family: K_a clusters for family a, sum K_a = K, by largest remainders
 * in proportion to the family's devices, 1 <= K_a <= N_a for every family that is present.
 */
#pragma once

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Clusters of each family. present (families): devices of each family, 0 allowed (then 0 clusters). EF_DECK
 * if clusters < families present or clusters > devices. Local. */
ef_status ef_cluster_quota(size_t families, const size_t *present, size_t clusters, size_t *quota);

/* Spherical k-means (Dhillon and Modha 2001): points (n,d) of any length to k clusters by cosine. k-means++
 * seeding, then alternating steps, then moves of single points while one raises the total cosine; `restarts`
 * runs, the best by total cosine is kept (ties: the earlier). centre: the mean of the points is subtracted
 * first. No cluster stays empty: an empty one takes the point farthest from its centre. Zero vectors go to
 * the first cluster, or fill clusters that would be empty. Clusters are numbered by their lowest non-zero
 * point. assignment (n); centres (k,d) of unit length (zero for a cluster of zero vectors), or NULL. 1 <= k
 * <= n, restarts >= 1: else EF_DECK. O(n k d) a step, O((n + k) d) memory. Deterministic in (seed, unit).
 * EF_MACHINE. Local. */
ef_status ef_spherical_kmeans(size_t n, size_t d, const float *points, size_t k, size_t restarts, bool centre,
                              uint64_t seed, uint64_t unit, int32_t *assignment, float *centres);

/* Agreement of clusters with labels; points with a label < 0 are left out. Purity: share of points that carry
 * the commonest label of their cluster. NMI: mutual information over the arithmetic mean of the two
 * entropies, 1 if both entropies are 0. Both in [0,1], 0 without labelled points. O(n^2) time, no memory.
 * Local. */
double ef_purity(size_t n, const int32_t *assignment, const int32_t *labels);
double ef_nmi(size_t n, const int32_t *assignment, const int32_t *labels);
