/* Quotas of families, and how well clusters agree with labels. */
#include "fusion/cluster.h"

#include <math.h>

/* What family a is short of its exact share clusters * present / devices, in units of 1/devices. */
static int64_t shortfall(size_t clusters, size_t devices, size_t present, size_t quota) {
  return (int64_t)(clusters * present) - (int64_t)(quota * devices);
}

/* The family with the largest shortfall that can take one more (step +1), or with the smallest that can give
 * one (step -1); ties: the lower index. */
static size_t next_family(size_t families, const size_t *present, const size_t *quota, size_t clusters,
                          size_t devices, int step) {
  size_t best = families;
  int64_t best_value = 0;
  for (size_t a = 0; a < families; a++) {
    if (step > 0 ? quota[a] >= present[a] : quota[a] <= 1) continue;
    int64_t value = step * shortfall(clusters, devices, present[a], quota[a]);
    if (best == families || value > best_value) {
      best = a;
      best_value = value;
    }
  }
  return best;
}

ef_status ef_cluster_quota(size_t families, const size_t *present, size_t clusters, size_t *quota) {
  size_t devices = 0, used = 0, given = 0;
  for (size_t a = 0; a < families; a++) {
    devices += present[a];
    used += present[a] > 0;
  }
  EF_TRY(EF_CHECK(
      clusters >= used && clusters > 0, EF_DECK,
      "fusion.clusters is %zu, but devices of %zu families take part and a cluster holds one family: "
      "set it to at least %zu",
      clusters, used, used > 0 ? used : 1));
  if (devices == 0 || clusters > devices) {
    return ef_fail(EF_DECK, __FILE__, __LINE__,
                   "fusion.clusters is %zu, but only %zu devices take part: set it to at most that", clusters,
                   devices);
  }
  for (size_t a = 0; a < families; a++) {
    quota[a] = clusters * present[a] / devices;
    if (present[a] > 0 && quota[a] == 0) quota[a] = 1;
    given += quota[a];
  }
  for (; given < clusters; given++) quota[next_family(families, present, quota, clusters, devices, +1)]++;
  for (; given > clusters; given--) quota[next_family(families, present, quota, clusters, devices, -1)]--;
  return EF_OK;
}

/* Points that share the cluster, the label and both with point i. */
typedef struct overlap {
  size_t cluster, label, both;
} overlap;

static overlap overlap_of(size_t n, const int32_t *assignment, const int32_t *labels, size_t i) {
  overlap o = {0};
  for (size_t j = 0; j < n; j++) {
    if (labels[j] < 0) continue;
    bool cluster = assignment[j] == assignment[i], label = labels[j] == labels[i];
    o.cluster += cluster;
    o.label += label;
    o.both += cluster && label;
  }
  return o;
}

static size_t labelled(size_t n, const int32_t *labels) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += labels[i] >= 0;
  return count;
}

static bool first_of_cluster(const int32_t *assignment, const int32_t *labels, size_t i) {
  for (size_t j = 0; j < i; j++) {
    if (labels[j] >= 0 && assignment[j] == assignment[i]) return false;
  }
  return labels[i] >= 0;
}

double ef_purity(size_t n, const int32_t *assignment, const int32_t *labels) {
  size_t total = labelled(n, labels), pure = 0;
  for (size_t i = 0; i < n; i++) {
    if (!first_of_cluster(assignment, labels, i)) continue;
    size_t commonest = 0;
    for (size_t j = i; j < n; j++) {
      if (labels[j] < 0 || assignment[j] != assignment[i]) continue;
      size_t both = overlap_of(n, assignment, labels, j).both;
      commonest = both > commonest ? both : commonest;
    }
    pure += commonest;
  }
  return total > 0 ? (double)pure / (double)total : 0.0;
}

double ef_nmi(size_t n, const int32_t *assignment, const int32_t *labels) {
  double total = (double)labelled(n, labels);
  if (total == 0.0) return 0.0;
  double information = 0.0, entropy_clusters = 0.0, entropy_labels = 0.0;
  for (size_t i = 0; i < n; i++) {
    if (labels[i] < 0) continue;
    overlap o = overlap_of(n, assignment, labels, i);
    information += log(total * (double)o.both / ((double)o.cluster * (double)o.label));
    entropy_clusters -= log((double)o.cluster / total);
    entropy_labels -= log((double)o.label / total);
  }
  double mean = (entropy_clusters + entropy_labels) / 2.0;
  return mean > 0.0 ? fmin(fmax(information / mean, 0.0), 1.0) : 1.0;
}
