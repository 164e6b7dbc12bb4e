/* The market section of a finished run's report, and its market.h5.
 */
#pragma once

#include "methods/clearing.h"
#include <jansson.h>
#include <stdio.h>

/* The value of "market" in report.json: null if no market was cleared. A new reference; NULL when memory is
 * short. Local. */
json_t *ef_report_market_json(const ef_clearing_run *clearing);

/* The section of report.md; nothing if no market was cleared. EF_MACHINE. Local. */
ef_status ef_report_market_md(const ef_clearing_run *clearing, FILE *out);

/* market.h5 of the run: /auction (device) bids, demands, prices, payments and status; /policies (policy)
 * thresholds and accuracy, and `leave` (policy, exit) the shares that leave; /audit (claim) verdicts, absent
 * if nobody bid; each an NXdata group. Nothing if no market was cleared. EF_MACHINE. Local. */
ef_status ef_report_market_file(const ef_run *run, const ef_clearing_run *clearing);
