#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static ef_log_level log_level = EF_LOG_INFO;
static bool log_speaks = true;
static bool line_open; /* of the terminal, by ef_log_rewrite */

void ef_log_setup(ef_log_level level, bool speaks) {
  log_level = level;
  log_speaks = speaks;
}

bool ef_log_on(ef_log_level level) { return level <= log_level && (log_speaks || log_level == EF_LOG_DEBUG); }

void ef_log_rewrite(const char *line) {
  fprintf(stderr, "\r%s\033[K", line);
  line_open = true;
}

void ef_log_erase(void) {
  if (line_open) fputs("\r\033[K", stderr);
  line_open = false;
}

static void print_line(const char *prefix, const char *fmt, va_list args) {
  char line[2048];
  vsnprintf(line, sizeof line, fmt, args);
  ef_log_erase();
  fprintf(stderr, "%s%s\n", prefix, line);
}

void ef_log(ef_log_level level, const char *fmt, ...) {
  if (!ef_log_on(level)) return;
  va_list args;
  va_start(args, fmt);
  print_line("", fmt, args);
  va_end(args);
}

void ef_warn(const char *fmt, ...) {
  if (!ef_log_on(EF_LOG_INFO)) return;
  va_list args;
  va_start(args, fmt);
  print_line("edgefuse: warning: ", fmt, args);
  va_end(args);
}
