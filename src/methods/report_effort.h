/* What the run cost: the server's and the devices' share of it. */
#pragma once

#include "methods/report_rows.h"
#include <jansson.h>

/* Adds to report.json server_flops, server_seconds, device_flops and device_seconds; null where the log does
 * not tell whose work a phase was. Local. */
void ef_report_effort_json(const ef_report *report, json_t *out);

/* The object device_memory: per_device, and by_family the largest of each family of which a device trained; a
 * new reference, NULL when memory is short. Local. */
json_t *ef_report_memory_json(const ef_report *report);

/* The table "Effort" of report.md. EF_MACHINE. Local. */
ef_status ef_report_effort_md(const ef_report *report, FILE *out);
