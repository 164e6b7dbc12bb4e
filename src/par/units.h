/* Which rank does which unit of work: pure functions of (unit, units, size), tested without MPI.
 *
 * Units do not depend on the rank count: a device, a base, a micro-batch, an expert. So the results do not
 * either.
 */
#pragma once

#include <stddef.h>

/* Contiguous blocks, sizes differing by at most one: first unit of `rank` (rank == size: one past the last).
 */
size_t ef_block_first(size_t units, int size, int rank);
int ef_block_owner(size_t units, int size, size_t unit);

/* Balances costs: units sorted by descending cost (ties: lower unit first) go to the rank with the least load
 * (ties: lower rank). owner (units). work: size doubles. Local. */
void ef_balance(size_t units, const double *cost, int size, int *owner, double *work);
