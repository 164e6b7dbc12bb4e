/* Records described by tables: name, type, range and default of every plain field of a workload or instance.
 *
 * One row serves the reader (json_read.h), the writer (json_write.h) and the check of what was made in
 * memory, so that all three agree. Here is what needs no JSON: paths for messages, ranges, defaults. Private.
 *
 * The greatest values are such that no sum or product of a market overflows: money of one user 1e300 (a price
 * times the units sold never exceeds the sum of the bids), unit cost 1e250, margin 1e30; quantities of the
 * hardware and of a layer 1e100; complexity, rate and tokens 1e30; counts 2^53, where doubles stop to be
 * exact.
 */
#pragma once

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

/* ---- paths: "workloads[0].exits[2]" -------------------------------------------------------------------- */

typedef struct ef_path {
  const struct ef_path *up; /* NULL: the outermost */
  const char *name;         /* "" adds nothing */
  size_t index;             /* EF_NO_INDEX: none */
} ef_path;

#define EF_NO_INDEX SIZE_MAX

/* Fails with EF_INPUT and "<path>.<field>: <message>"; `field` may be NULL. Local. */
ef_status ef_path_fail(const ef_path *at, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A status expression for EF_TRY and EF_GO: EF_OK if `cond` holds, else ef_path_fail. */
#define EF_PATH_CHECK(at, field, cond, ...) ((cond) ? EF_OK : ef_path_fail((at), (field), __VA_ARGS__))

/* ---- ranges -------------------------------------------------------------------------------------------- */

typedef enum ef_range {
  EF_RANGE_NUMBER,         /* any finite number to 1e300 */
  EF_RANGE_MONEY,          /* 0 .. 1e300 */
  EF_RANGE_COST,           /* 0 .. 1e250 */
  EF_RANGE_POSITIVE,       /* above 0, to 1e100 */
  EF_RANGE_NOT_NEGATIVE,   /* 0 .. 1e100 */
  EF_RANGE_FACTOR,         /* above 0, to 1e30 */
  EF_RANGE_SMALL,          /* 0 .. 1e30 */
  EF_RANGE_RATIO,          /* above 1, to 1e100 */
  EF_RANGE_SHARE,          /* 0 .. 1 */
  EF_RANGE_POSITIVE_SHARE, /* above 0, to 1 */
  EF_RANGE_COIN,           /* 0 .. below 1 */
  EF_RANGE_COUNT           /* 0 .. 2^53 */
} ef_range;

/* EF_INPUT with the path unless `value` is in the range (NaN is in none). Local. */
ef_status ef_range_check(const ef_path *at, const char *field, ef_range range, double value);

/* ---- tables -------------------------------------------------------------------------------------------- */

typedef enum ef_json_kind {
  EF_FIELD_REAL,  /* double */
  EF_FIELD_SIZE,  /* size_t, a whole number */
  EF_FIELD_UNITS, /* int64_t, a whole number */
  EF_FIELD_TEXT,  /* char *, owned; NULL when absent */
  EF_FIELD_OTHER  /* known, but read, checked and written by its owner */
} ef_json_kind;

typedef struct ef_json_field {
  const char *name; /* NULL ends a table */
  ef_json_kind kind;
  size_t offset;
  ef_range range; /* of a number */
  bool required;
  double fallback; /* of a number that is absent */
  size_t like;     /* offset of the double whose value is the default instead; EF_NOT_LIKE: none */
} ef_json_field;

#define EF_NOT_LIKE SIZE_MAX

/* Rows: a field that must be there; one with a default; one whose default is another field; texts. */
#define EF_NEEDS(type, json, member, range)                                                                  \
  { json, EF_FIELD_REAL, offsetof(type, member), EF_RANGE_##range, true, 0, EF_NOT_LIKE }
#define EF_TAKES(type, json, member, range, fallback)                                                        \
  { json, EF_FIELD_REAL, offsetof(type, member), EF_RANGE_##range, false, fallback, EF_NOT_LIKE }
#define EF_FOLLOWS(type, json, member, range, other)                                                         \
  { json, EF_FIELD_REAL, offsetof(type, member), EF_RANGE_##range, false, 0, offsetof(type, other) }
#define EF_WHOLE(type, json, member, kind)                                                                   \
  { json, EF_FIELD_##kind, offsetof(type, member), EF_RANGE_COUNT, true, 0, EF_NOT_LIKE }
#define EF_WORDS(type, json, member, must)                                                                   \
  { json, EF_FIELD_TEXT, offsetof(type, member), EF_RANGE_NUMBER, must, 0, EF_NOT_LIKE }
#define EF_OWN(json)                                                                                         \
  { json, EF_FIELD_OTHER, 0, EF_RANGE_NUMBER, false, 0, EF_NOT_LIKE }
#define EF_FIELDS_END                                                                                        \
  { NULL, EF_FIELD_OTHER, 0, EF_RANGE_NUMBER, false, 0, EF_NOT_LIKE }

/* The number of a row in a record; texts and others have none (0). Local. */
double ef_json_field_number(const ef_json_field *field, const void *record);
void ef_json_field_set(const ef_json_field *field, void *record, double value);

/* The number that the field has when it is absent. Local. */
double ef_json_field_default(const ef_json_field *field, const void *record);

/* Sets every number to its default, in the order of the table. Local. */
void ef_json_fields_default(const ef_json_field *table, void *record);

/* Checks every number against its range, and that required texts are there. Local. */
ef_status ef_json_fields_check(const ef_path *at, const ef_json_field *table, const void *record);
