/* Phase II: each proxy teaches one dense base on public text (DeepFusion Eqs. 7 to 11).
 *
 * All bases start from one checkpoint, pretrained on public text. Base i is a unit of work: it is distilled
 * whole on one rank, with L = CE + alpha * FM + beta * KL. With several rounds, base i of round r starts from
 * base i of round r - 1 and is unit r * K + i.
 */
#pragma once

#include "fusion/proxy.h"

typedef struct ef_base {
  bool
      taught; /* false: the proxy was worse than the start, and fusion.drop_weak left it out, in all rounds */
  size_t steps, kept;            /* optimiser steps of all rounds; the last round's kept one */
  double start_loss, proxy_loss; /* of the start and of the proxy of the last round, on the holdout of the
                                    cluster's domain */
  double loss;                   /* of the base, on the whole holdout; all in nat per token */
  ef_quality *validation;        /* (domains) owned */
  double *views;                 /* (EF_VIEW_COUNT,J,J) of fusion/views.h, owned; 0 unless taught */
} ef_base;

typedef struct ef_bases {
  size_t count;
  ef_dims global, dims; /* of the MoE and of a base */
  ef_base *bases;       /* (count) owned */
  size_t round;         /* of the bases, from 0 */
} ef_bases;

/* Dims of the global MoE of the deck, with its early exits, and of its bases, which have none. EF_DECK.
 * Local. */
ef_status ef_global_dims(const ef_run *run, ef_dims *global, ef_dims *base);

/* Pretrains the common start of the bases. Collective. */
ef_status ef_base_start(ef_run *run);
/* The common start. Local (any rank). */
ef_status ef_base_start_load(const ef_run *run, ef_model *model);

/* Distils every base from its proxy of round clusters->round; in round 0 `bases` is made. EF_STOPPED.
 * Collective.
 */
ef_status ef_bases_distil(ef_run *run, const ef_population *population, const ef_clusters *clusters,
                          ef_bases *bases);
void ef_bases_free(ef_bases *bases);

/* Base `index`. Local (any rank). */
ef_status ef_base_load(const ef_run *run, const ef_bases *bases, size_t index, ef_model *model);
