/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy
 * as 1, 2, 3", SC 2011). There is no hidden state: a stream is named by (seed, purpose, unit, step) and its
 * n-th number is a pure function of those. So results do not depend on the number of ranks or on a restart.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What a stream is used for; streams of different purposes never meet. */
typedef enum ef_purpose {
  EF_RNG_INIT = 1,   /* initial parameters; unit = model, step = tensor */
  EF_RNG_SPLIT,      /* split of documents */
  EF_RNG_PARTITION,  /* documents to devices */
  EF_RNG_FAMILY,     /* family of each device */
  EF_RNG_BATCH,      /* training windows; unit = trained unit, step = optimiser step */
  EF_RNG_MIXTURE,    /* stream that a window comes from; unit = trained unit and window */
  EF_RNG_DROPOUT,    /* devices that fail to upload */
  EF_RNG_PROJECTION, /* projection of the data embedding */
  EF_RNG_KMEANS,     /* k-means seeding; step = restart */
  EF_RNG_ROUTER,     /* router initialisation */
  EF_RNG_SAMPLE,     /* text generation; step = position */
  EF_RNG_TEST,       /* tests and benchmarks */
  EF_RNG_COIN,       /* coins of an auction; unit = slot */
  EF_RNG_TRACE,      /* generated traces; unit = kind of trace */
  EF_RNG_USER,       /* simulated users of a market; unit = slot, step = user */
  EF_RNG_AUDIT,      /* coins and bidders that an audit tries */
  EF_RNG_STAGES      /* order of the teacher's stages in an ablation */
} ef_purpose;

typedef struct ef_rng {
  uint32_t key[2];     /* seed, mixed with the purpose */
  uint32_t counter[4]; /* unit (64 bit), step (32 bit), block number */
  uint32_t out[4];     /* the current block */
  unsigned used;       /* numbers of it already handed out */
} ef_rng;

/* The raw bijection: 128-bit counter, 64-bit key, 128-bit output. Local. */
void ef_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* A stream. Local. */
ef_rng ef_rng_stream(uint64_t seed, ef_purpose purpose, uint64_t unit, uint32_t step);

uint32_t ef_rng_u32(ef_rng *rng);
double ef_rng_uniform(ef_rng *rng);             /* [0, 1), 53 bits */
uint64_t ef_rng_below(ef_rng *rng, uint64_t n); /* 0 .. n-1, unbiased; n > 0 */
double ef_rng_normal(ef_rng *rng);              /* mean 0, variance 1 (Box-Muller) */
double ef_rng_gamma(ef_rng *rng, double shape); /* scale 1 (Marsaglia and Tsang 2000); shape > 0 */
