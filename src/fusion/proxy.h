/* Phase I on the server: clusters of devices, and one proxy per cluster, the mean of its members' weights,
 * weighted if fusion.proxy_weights says so (fusion/proxy_weights.h).
 *
 * Devices are clustered inside each family entry by their data embeddings; uploads stream through the root
 * one at a time. The guard: a proxy whose loss on the public holdout exceeds the mean of its members' by more
 * than fusion.guard_tolerance is replaced by the best member, and that is recorded.
 *
 * With several rounds the clusters stay those of the first; each round has proxies of its own, proxy i of
 * round r being unit r * K + i.
 */
#pragma once

#include "federation/upload.h"

typedef struct ef_cluster {
  size_t entry;    /* family entry of all members */
  size_t members;  /* number of devices */
  size_t *devices; /* (members) ascending; owned */
  int domain;      /* public domain whose embedding is nearest to the centre */
  bool fell_back;  /* the proxy is the best member alone */
  size_t best;     /* device with the least holdout loss */
  double member_loss,
      loss;               /* mean over the members, and of the proxy, on the public holdout (nat per token) */
  ef_quality *validation; /* (domains) of the proxy; owned */
  double *losses;         /* (members) on their own slices, NAN: unknown; owned */
  double *holdout_losses; /* (members) on the public holdout, NAN: it is empty; owned */
  float *weights;         /* (members) of each in the mean; owned */
} ef_cluster;

typedef struct ef_clusters {
  size_t count;
  ef_cluster *clusters; /* (count) owned */
  double purity, nmi;   /* against the devices' domains; NAN where devices have none */
  size_t round;         /* of the proxies, from 0 */
} ef_clusters;

/* Assigns devices to clusters: the same on all ranks. EF_DECK: fewer devices than clusters (says how many
 * uploaded). Collective. */
ef_status ef_clusters_assign(ef_run *run, const ef_population *population, const ef_devices *devices,
                             ef_clusters *clusters);
/* Goes on to the round of `devices`: weights, mean losses and best members are those of its uploads. Local.
 */
void ef_clusters_advance(const ef_run *run, const ef_devices *devices, ef_clusters *clusters);
void ef_clusters_free(ef_clusters *clusters);

/* Streams the uploads to the root, averages, guards, writes the parts of the proxies and measures them. The
 * ledger is filled on the root. EF_STOPPED. Collective. */
ef_status ef_proxies_make(ef_run *run, const ef_population *population, const ef_devices *devices,
                          ef_clusters *clusters, ef_ledger *ledger);

/* The proxy of cluster `index`. Local (any rank). */
ef_status ef_proxy_load(const ef_run *run, const ef_population *population, const ef_clusters *clusters,
                        size_t index, ef_model *model);
