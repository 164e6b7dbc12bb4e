#include "market/files/json_write.h"

#include "base/file.h"
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, NUMBER_BYTES = 40 };

void ef_json_put_number(FILE *out, double value) {
  char text[NUMBER_BYTES];
  snprintf(text, sizeof text, "%.15g", value);
  if (strtod(text, NULL) != value) snprintf(text, sizeof text, "%.17g", value);
  fputs(text, out);
}

ef_status ef_json_put_string(FILE *out, const char *text) {
  json_t *string = json_string(text);
  if (!string) return ef_fail(EF_INPUT, __FILE__, __LINE__, "\"%.40s\" is no UTF-8", text);
  json_dumpf(string, out, JSON_ENCODE_ANY);
  json_decref(string);
  return EF_OK;
}

void ef_json_put_name(FILE *out, const char *name, bool *any) {
  fprintf(out, "%s\"%s\": ", *any ? ", " : "", name);
  *any = true;
}

ef_status ef_json_put_fields(FILE *out, const ef_json_field *table, const void *record, bool *any) {
  for (const ef_json_field *f = table; f->name; f++) {
    if (f->kind == EF_FIELD_OTHER) continue;
    if (f->kind == EF_FIELD_TEXT) {
      const char *text = *(char *const *)(const void *)((const char *)record + f->offset);
      if (!text) continue;
      ef_json_put_name(out, f->name, any);
      EF_TRY(ef_json_put_string(out, text));
      continue;
    }
    double value = ef_json_field_number(f, record), usual = ef_json_field_default(f, record);
    if (!f->required && value == usual && signbit(value) == signbit(usual)) continue;
    ef_json_put_name(out, f->name, any);
    ef_json_put_number(out, value);
  }
  return EF_OK;
}

static ef_status put_temporary(const char *temporary, ef_status (*put)(const void *what, FILE *out),
                               const void *what) {
  FILE *out = fopen(temporary, "wb");
  if (!out) return ef_fail(EF_MACHINE, __FILE__, __LINE__, "%s: %s", temporary, strerror(errno));
  ef_status status = put(what, out);
  bool whole = ferror(out) == 0;
  whole = fclose(out) == 0 && whole;
  EF_TRY(status);
  return EF_CHECK(whole, EF_MACHINE, "%s: could not be written: %s", temporary, strerror(errno));
}

ef_status ef_json_write_file(const char *path, ef_status (*put)(const void *what, FILE *out),
                             const void *what) {
  char temporary[PATH_BYTES];
  int n = snprintf(temporary, sizeof temporary, "%s.tmp", path);
  EF_TRY(EF_CHECK(n > 0 && n < PATH_BYTES, EF_MACHINE, "%.60s...: path too long", path));
  ef_status status = put_temporary(temporary, put, what);
  if (status == EF_OK) status = ef_file_commit(temporary, path);
  if (status != EF_OK) unlink(temporary);
  return status;
}
