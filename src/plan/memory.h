/* What of a plan's memory can be tested by itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Most buffers that a tree sum over `units` micro-batches holds at once on rank 0 of `ranks`: open nodes and
 * the leaves of one slot. `all`: the leaves of every rank are summed here (experts); else those of rank 0.
 * Pure. */
size_t ef_plan_tree_buffers(size_t units, int ranks, bool all);

/* Resident bytes beside what is resident at the start, of a phase that holds `counted` bytes at most on one
 * rank, with `peers` others on its node, of which `crowd` share a core; shared: bytes of a checkpoint, if one
 * was or is written through MPI-IO, else 0. Pure. */
size_t ef_plan_resident(size_t counted, int peers, double crowd, size_t shared);
