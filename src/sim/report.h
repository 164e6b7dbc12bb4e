/* The line that edgefuse-sim prints: what was simulated, beside what ef_step_time_of foretells.
 */
#pragma once

#include "sim/work.h"

/* One JSON object on standard output, of the root. EF_MACHINE. Local. */
ef_status ef_sim_report(const ef_par *par, const ef_sim_options *options, const ef_dims *dims,
                        const ef_sim_outcome *outcome);
