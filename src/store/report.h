/* Private to store/: the contents of a file as JSON values, from which inspect and diff print both their
 * forms.
 */
#pragma once

#include "store/h5_internal.h"
#include <jansson.h>
#include <stdio.h>

/* {"/": {"name": value, ...}, "/group": {...}, ...}: attributes of every object, objects in walking order.
 * Reals that are not finite become null, naturals above int64 strings. The caller owns `*attributes`. Local.
 */
ef_status ef_report_attributes(ef_h5 *file, json_t **attributes);

/* Element `i` of a block read as `type`, as a double. Local. */
double ef_report_number(ef_h5_type type, const void *block, size_t i);

/* A real number, or null if it is not finite. Local. */
json_t *ef_report_real(double x);

/* Member `key` of an object: its text, "" if it is none; its integer, 0 if it is none. Local. */
const char *ef_report_text(const json_t *object, const char *key);
long long ef_report_whole(const json_t *object, const char *key);

/* A JSON value on one line, strings without quotes; the caller frees it with free(). Local. */
char *ef_report_plain(const json_t *value);

/* Prints `report` as one JSON object and a line end. EF_MACHINE. Local. */
ef_status ef_report_print(const json_t *report, FILE *out);
