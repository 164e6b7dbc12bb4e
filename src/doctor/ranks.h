/* What each rank knows of its own place: node, processors, BLAS threads, memory. Gathered once; the checks
 * then look at one node after the other.
 */
#pragma once

#include "par/about.h"

enum { EF_CPU_WORDS = 16 }; /* 1024 processors */

/* Of one rank. int64_t throughout, so that ranks exchange it as numbers. */
typedef struct ef_place_facts {
  int64_t node;                      /* lowest rank on its node */
  int64_t cpus[EF_CPU_WORDS];        /* bits: processors this rank may run on */
  int64_t quota_milli;               /* of its control group, in thousandths of a core; 0: none */
  int64_t threads;                   /* of BLAS */
  int64_t memory_total, memory_free; /* bytes of the node, as far as the control group allows */
  int64_t host[EF_HOST_BYTES / 8];   /* its name */
} ef_place_facts;

typedef struct ef_places {
  int ranks;
  ef_place_facts *of; /* (ranks) owned */
} ef_places;

/* EF_MACHINE. Collective. */
ef_status ef_places_gather(ef_par *par, const ef_par_about *about, ef_places *places);
void ef_places_free(ef_places *places);

/* One node, from the facts of its ranks. */
typedef struct ef_node_sum {
  const char *host;
  int ranks, threads; /* threads: of BLAS, the most of a rank */
  int processors;     /* that any of its ranks may run on */
  double cores;       /* of them, what the control group allows */
  int narrow;         /* ranks that may run on fewer processors than they have BLAS threads */
  uint64_t memory_total, memory_free;
} ef_node_sum;

/* The node of rank `first`, which must be the lowest of it. Pure. */
ef_node_sum ef_node_sum_of(const ef_places *places, int first);

/* Nodes that hold the ranks. Pure. */
int ef_places_nodes(const ef_places *places);
