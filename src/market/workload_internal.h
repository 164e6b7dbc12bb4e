/* What the files of workloads and instances share: the tables of fields, and reading and writing a workload
 * that stands inside another object. Private.
 */
#pragma once

#include "market/files/json_read.h"
#include "market/files/json_write.h"
#include "market/workload.h"

extern const ef_json_field ef_workload_fields[];
extern const ef_json_field ef_layer_fields[];
extern const ef_json_field ef_exit_fields[];
extern const ef_json_field ef_policy_fields[];

/* ef_workload_check below a path. Local. */
ef_status ef_workload_check_at(const ef_path *at, const ef_workload *w);

/* Reads an object into a zeroed workload; on failure it holds what ef_workload_free frees. Types alone are
 * judged. Local. */
ef_status ef_workload_read_object(const ef_path *at, json_t *object, ef_workload *w);

/* Writes the object, its first line where the stream stands, the others behind `indent` spaces. Local. */
ef_status ef_workload_put(const ef_workload *w, int indent, FILE *out);
