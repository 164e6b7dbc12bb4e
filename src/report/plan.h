/* The plan of a run against what it took. */
#pragma once

#include "report/rows.h"
#include <jansson.h>

/* Takes the phases of an event "plan", if it has any, in the place of those that were there. EF_MACHINE.
 * Local. */
ef_status ef_report_plan_read(ef_report *report, const json_t *event);

/* Sets `expected` and `measured` of every planned phase by the phases of the report. Pure. */
void ef_report_plan_compare(ef_report *report);

/* Sums over all planned phases that ran; NAN without any. Pure. */
void ef_report_plan_total(const ef_report *report, double *expected, double *measured);

/* {"planned_seconds", "measured_seconds", "relative", "phases": [{"name", and the same}]}; null where nothing
 * is known. Local. */
json_t *ef_report_plan_json(const ef_report *report);
