/* What a finished run says: report.json (a contract, README), report.md (the same for people) and run.h5
 * (every series as NXdata). A pure function of the outcome, the deck and the log of events; the root writes.
 */
#pragma once

#include "methods/methods.h"

/* Writes the three files into the run folder. EF_MACHINE. Local (the root calls it). */
ef_status ef_report_write(const ef_run *run, const ef_method *method, const ef_outcome *outcome);
