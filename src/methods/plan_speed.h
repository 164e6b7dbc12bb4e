/* How fast this machine trains and reads the models of a run: short trainings of each, timed, before anything
 * is trained. A plan multiplies them (plan_time.c).
 */
#pragma once

#include "methods/plan_internal.h"

/* EF_MACHINE. Collective over run->par: all ranks measure at the same time, as they train at the same time,
 * and the slowest one counts. */
ef_status ef_speeds_measure(const ef_planner *planner, ef_speeds *speeds);
/* Makes them those of the planner's ranks, if other ranks were measured: the step of the global model has so
 * many micro-batches side by side, and ranks beyond the cores of a node, which is taken to be like this one,
 * wait for each other. Local. */
void ef_speeds_spread(const ef_planner *planner, ef_speeds *speeds);
void ef_speeds_free(ef_speeds *speeds);
