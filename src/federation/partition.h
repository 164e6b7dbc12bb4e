/* Which private documents each device holds.
 *
 * The number of documents of a device is in proportion to a log-normal draw (sigma); each has at least one
 * where there are enough. paper: documents uniformly at random. dirichlet: each device is given one top-level
 * domain (devices are dealt over the domains in proportion to their tokens, at least one each where there are
 * enough devices) and a Dirichlet(alpha) mixture over the subdomains of that domain; devices draw from their
 * mixtures in turn, without replacement. All private documents are given, each to one device; only with fewer
 * devices than domains the documents of the smallest domains stay unused.
 */
#pragma once

#include "text/tokens.h"

typedef struct ef_partition_settings {
  bool dirichlet;
  double alpha, sigma;
  size_t devices;
  uint64_t seed;
} ef_partition_settings;

typedef struct ef_partition {
  size_t devices;
  size_t *first; /* (devices + 1) into `documents`; owned */
  size_t
      *documents;  /* private documents by device, ascending within a device; owned. A device may have none */
  int32_t *domain; /* (devices) its domain; -1 in paper mode; owned */
} ef_partition;

/* A pure function of the index of `tokens` and the settings. EF_MACHINE, EF_INPUT (no private document).
 * Local. */
ef_status ef_partition_make(const ef_tokens *tokens, const ef_partition_settings *settings,
                            ef_partition *partition);
void ef_partition_free(ef_partition *partition);
