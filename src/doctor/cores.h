/* Ranks and BLAS threads against the cores of a node; memory against the plan of a deck.
 */
#pragma once

#include "doctor/diagnosis.h"
#include "doctor/ranks.h"

/* Adds the finding "cores" about the node with most threads for each core. Several BLAS threads on too few
 * cores fail; more ranks than cores are slow, no more. Local. */
void ef_check_cores(const ef_places *places, ef_diagnosis *d);

/* Adds the finding "BLAS threads": flavour and count, and variables that say something else. `env` returns
 * the value of a variable, or NULL. Local. */
void ef_check_blas(const char *flavour, int threads, const char *(*env)(const char *name), ef_diagnosis *d);

/* Adds the finding "memory": of the node that has least left beside `rank_bytes` for each rank (0: no plan is
 * known). Local. */
void ef_check_memory(const ef_places *places, uint64_t rank_bytes, ef_diagnosis *d);
