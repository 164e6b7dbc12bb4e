/* Workloads computed from published architectures: FLOPs and bytes of every layer by the formulas of
 * aeria.md, section 6, and multi-exit tables with their sources.
 */
#pragma once

#include "market/workload.h"

typedef struct ef_network {
  const char *name; /* "alexnet", "vgg16", "resnet34", "resnet50", "mobilenet_v2", "bart_base" */
  const char *help; /* one line */
  /* Fills a workload that the caller frees. Activations have bytes_per_element bytes (1: 8 bits, as in the
   * shipped files; 4: float). EF_INPUT unless it is finite and above 0, EF_MACHINE. Local. */
  ef_status (*make)(double bytes_per_element, ef_workload *workload);
} ef_network;

/* The table, ended by a NULL name; by name, or NULL; all names for messages. Local. */
extern const ef_network ef_networks[];
const ef_network *ef_network_find(const char *name);
const char *ef_network_names(void);
