/* What the tests of the simulation share: a workload that is solved by hand, and scenarios over it. */
#pragma once

#include "base/memory.h"
#include "market/simulate.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())
#define cr_says(part) cr_assert(strstr(ef_message(), (part)), "message: %s", ef_message())

/* One layer of 1 GFLOP with one exit (accuracy .9) and an input of 1000 bytes. */
ef_workload sample_single(void);
/* Four layers of .5 GFLOP and 20 kB, exits of accuracy .6, .8 and .9 behind layers 1, 2 and 4. */
ef_workload sample_exits(void);

/* The default scenario over single-entry traces: `users` arrivals, devices that compute nothing, 10 Mbit/s,
 * deadline .5 s, complexity 1, no rate. On sample_single, x = 1e9 / (.5 - .0008 - .005) = 2.02 GFLOP/s: 3
 * units. `values` (4): storage of the traces, which the caller keeps. */
ef_scenario sample_scenario(ef_workload workload, double users, double *values);

/* The same users with the default's own bounds, generated traces and 30 slots; sample_exits. */
ef_scenario sample_generated(uint64_t seed);

/* Runs one mechanism of the table by name. */
ef_simulation sample_run(const ef_scenario *scenario, const char *mechanism);
