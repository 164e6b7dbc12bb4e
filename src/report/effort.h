/* What the run cost: the server's and the devices' share of it. */
#pragma once

#include "report/rows.h"
#include <jansson.h>

/* Adds to report.json server_flops, server_seconds, the same of device_ and control_ (the control
 * public_only); null where the log does not tell whose work a phase was. Local. */
void ef_report_effort_json(const ef_report *report, json_t *out);

/* Adds the array device_memory, and device_memory_by_family: the largest of each family of which a device
 * trained. Local. */
void ef_report_memory_json(const ef_report *report, json_t *out);

/* The table "Effort" of report.md. EF_MACHINE. Local. */
ef_status ef_report_effort_md(const ef_report *report, FILE *out);
