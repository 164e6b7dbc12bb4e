/* The memory of each phase on the largest rank, counted beside what every rank holds all the time (text,
 * index, libraries): the same sums that the phases' own allocations make.
 */
#pragma once

#include "federation/population.h"

enum { EF_PLAN_PHASES = 7 };

typedef struct ef_plan_phase {
  const char *name;
  size_t bytes;
} ef_plan_phase;

typedef struct ef_plan_memory {
  ef_plan_phase phases[EF_PLAN_PHASES]; /* in the order of the run */
  size_t device_bytes; /* counted peak of the largest device, as the device itself counts it */
} ef_plan_memory;

/* EF_MACHINE. Local. */
ef_status ef_plan_memory_make(const ef_run *run, const ef_population *population, const ef_dims *global,
                              const ef_dims *base, int ranks, ef_plan_memory *memory);

/* Most buffers that a tree sum over `units` micro-batches holds at once on rank 0 of `ranks`: open nodes and
 * the leaves of one slot. `all`: the leaves of every rank are summed here (experts); else those of rank 0.
 * Pure. */
size_t ef_plan_tree_buffers(size_t units, int ranks, bool all);
