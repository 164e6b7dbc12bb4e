#include "market/files/json_fields.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 512, MESSAGE_BYTES = 1024 };

/* ---- paths -------------------------------------------------------------------------------------------- */

static void append(char *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void append(char *text, const char *fmt, ...) {
  size_t used = strlen(text);
  va_list args;
  va_start(args, fmt);
  vsnprintf(text + used, PATH_BYTES - used, fmt, args);
  va_end(args);
}

static void append_name(char *text, const char *name) {
  if (name && *name) append(text, "%s%s", *text ? "." : "", name);
}

static void append_path(char *text, const ef_path *at) {
  if (!at) return;
  append_path(text, at->up);
  append_name(text, at->name);
  if (at->index != EF_NO_INDEX) append(text, "[%zu]", at->index);
}

/* A message is one line, whatever the file holds. */
static void flatten(char *text) {
  for (; *text; text++) {
    if ((unsigned char)*text < ' ') *text = '?';
  }
}

ef_status ef_path_fail(const ef_path *at, const char *field, const char *fmt, ...) {
  char message[MESSAGE_BYTES], path[PATH_BYTES] = "";
  va_list args;
  va_start(args, fmt);
  vsnprintf(message, sizeof message, fmt, args);
  va_end(args);
  append_path(path, at);
  append_name(path, field);
  flatten(path);
  flatten(message);
  return ef_fail(EF_INPUT, __FILE__, __LINE__, "%s%s%s", path, *path ? ": " : "", message);
}

/* ---- ranges ------------------------------------------------------------------------------------------- */

#define COUNT_MOST 0x1p53

static const struct {
  double least, greatest;
  bool above, below; /* the bound itself is not in the range */
  const char *text;
} ranges[] = {
    [EF_RANGE_NUMBER] = {-1e300, 1e300, false, false, "a number"},
    [EF_RANGE_MONEY] = {0, 1e300, false, false, "0 or a positive number"},
    [EF_RANGE_COST] = {0, 1e250, false, false, "0 or a positive number"},
    [EF_RANGE_POSITIVE] = {0, 1e100, true, false, "a positive number"},
    [EF_RANGE_NOT_NEGATIVE] = {0, 1e100, false, false, "0 or a positive number"},
    [EF_RANGE_FACTOR] = {0, 1e30, true, false, "a positive number"},
    [EF_RANGE_SMALL] = {0, 1e30, false, false, "0 or a positive number"},
    [EF_RANGE_RATIO] = {1, 1e100, true, false, "above 1"},
    [EF_RANGE_SHARE] = {0, 1, false, false, "a share from 0 to 1"},
    [EF_RANGE_POSITIVE_SHARE] = {0, 1, true, false, "a share above 0, at most 1"},
    [EF_RANGE_COIN] = {0, 1, false, true, "from 0 to below 1"},
    [EF_RANGE_COUNT] = {0, COUNT_MOST, false, false, "a whole number from 0"},
};

ef_status ef_range_check(const ef_path *at, const char *field, ef_range range, double value) {
  double least = ranges[range].least, greatest = ranges[range].greatest;
  bool high = value > greatest || (ranges[range].below && value == greatest);
  bool low = !(value >= least) || (ranges[range].above && value == least);
  if (high && greatest > 1)
    return ef_path_fail(at, field, "must be at most %.*g, is %.*g", range == EF_RANGE_COUNT ? 16 : 15,
                        greatest, range == EF_RANGE_COUNT ? 16 : 15, value);
  return EF_PATH_CHECK(at, field, !low && !high, "must be %s, is %.15g", ranges[range].text, value);
}

/* ---- tables ------------------------------------------------------------------------------------------- */

double ef_json_field_number(const ef_json_field *field, const void *record) {
  const void *place = (const char *)record + field->offset;
  switch (field->kind) {
  case EF_FIELD_REAL:
    return *(const double *)place;
  case EF_FIELD_SIZE:
    return (double)*(const size_t *)place;
  case EF_FIELD_UNITS:
    return (double)*(const int64_t *)place;
  default:
    return 0;
  }
}

void ef_json_field_set(const ef_json_field *field, void *record, double value) {
  void *place = (char *)record + field->offset;
  if (field->kind == EF_FIELD_REAL) *(double *)place = value;
  if (field->kind == EF_FIELD_SIZE) *(size_t *)place = (size_t)value;
  if (field->kind == EF_FIELD_UNITS) *(int64_t *)place = (int64_t)value;
}

double ef_json_field_default(const ef_json_field *field, const void *record) {
  if (field->like == EF_NOT_LIKE) return field->fallback;
  return *(const double *)(const void *)((const char *)record + field->like);
}

void ef_json_fields_default(const ef_json_field *table, void *record) {
  for (const ef_json_field *f = table; f->name; f++)
    ef_json_field_set(f, record, ef_json_field_default(f, record));
}

ef_status ef_json_fields_check(const ef_path *at, const ef_json_field *table, const void *record) {
  for (const ef_json_field *f = table; f->name; f++) {
    if (f->kind == EF_FIELD_TEXT) {
      const char *text = *(char *const *)(const void *)((const char *)record + f->offset);
      EF_TRY(EF_PATH_CHECK(at, f->name, text || !f->required, "is missing"));
    } else if (f->kind != EF_FIELD_OTHER) {
      EF_TRY(ef_range_check(at, f->name, f->range, ef_json_field_number(f, record)));
    }
  }
  return EF_OK;
}
