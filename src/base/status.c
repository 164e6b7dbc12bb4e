#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES = 2048, PLACE_BYTES = 128 };

static _Thread_local char message[MESSAGE_BYTES];
static _Thread_local char place[PLACE_BYTES];

static const struct {
  const char *name;
  int code;
  const char *text;
} table[EF_STATUS_COUNT] = {
#define EF_ERROR(name, code, text) {#name, code, text},
#include "base/errors.def"
#undef EF_ERROR
};

const char *ef_status_name(ef_status status) { return table[status].name; }
int ef_status_exit_code(ef_status status) { return table[status].code; }
const char *ef_status_text(ef_status status) { return table[status].text; }

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

ef_status ef_fail(ef_status status, const char *file, int line, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  vsnprintf(message, sizeof message, fmt, args);
  va_end(args);
  snprintf(place, sizeof place, "%s:%d", base_name(file), line);
  return status;
}

ef_status ef_context(ef_status status, const char *fmt, ...) {
  char inner[MESSAGE_BYTES];
  memcpy(inner, message, sizeof inner);
  va_list args;
  va_start(args, fmt);
  int n = vsnprintf(message, sizeof message, fmt, args);
  va_end(args);
  if (n >= 0 && (size_t)n < sizeof message) {
    size_t room = sizeof message - (size_t)n;
    snprintf(message + n, room, ": %.*s", (int)room, inner);
  }
  return status;
}

const char *ef_message(void) { return message; }
const char *ef_message_place(void) { return place; }

void ef_message_set(const char *text, const char *where) {
  snprintf(message, sizeof message, "%s", text);
  snprintf(place, sizeof place, "%s", where);
}

_Noreturn void ef_assert_failed(const char *cond, const char *file, int line) {
  fprintf(stderr, "edgefuse: %s:%d: assertion failed: %s\n", base_name(file), line, cond);
  abort();
}
