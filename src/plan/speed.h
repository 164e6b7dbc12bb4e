/* How fast this machine trains and reads the models of a run: short trainings of each, timed, before anything
 * is trained. A plan multiplies them (time.c).
 */
#pragma once

#include "plan/plan_internal.h"

/* EF_MACHINE. Collective over run->par: all ranks measure at the same time, as they train at the same time,
 * and the slowest one counts. */
ef_status ef_speeds_measure(const ef_planner *planner, ef_speeds *speeds);
/* Makes them those of the planner's ranks, if one rank was measured and there are more: the step of the
 * global model by step/step_time.h over this network, and ranks beyond the cores of a node, which is taken
 * to be like this one, wait for each other. EF_MACHINE. Local. */
ef_status ef_speeds_spread(const ef_planner *planner, const ef_interconnect *network, ef_speeds *speeds);
void ef_speeds_free(ef_speeds *speeds);
