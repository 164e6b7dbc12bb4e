/* JSON text written to a stream: numbers that read back to the same bits, escaped strings. Private. */
#pragma once

#include "market/files/json_fields.h"
#include <stdio.h>

/* Prints with 15 digits where they give the same number back, else with 17. The value is finite. Local. */
void ef_json_put_number(FILE *out, double value);

/* A quoted string. EF_INPUT if it is no UTF-8. Local. */
ef_status ef_json_put_string(FILE *out, const char *text);

/* `"name": value` for each plain field of the table whose value is not its default, each behind ", " but the
 * very first (*any is false then, and true behind it). Local. */
ef_status ef_json_put_fields(FILE *out, const ef_json_field *table, const void *record, bool *any);

/* Begins a field that the caller writes itself: the separator, the name and ": ". Local. */
void ef_json_put_name(FILE *out, const char *name, bool *any);

/* Makes the file by `put` through "<path>.tmp": it appears whole or not at all. EF_MACHINE. Local. */
ef_status ef_json_write_file(const char *path, ef_status (*put)(const void *what, FILE *out),
                             const void *what);
