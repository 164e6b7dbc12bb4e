#include "cli/folder.h"

#include <stdio.h>
#include <string.h>

void ef_cli_run_folder(const char *out, const char *deck, char *folder, size_t size) {
  if (out) {
    snprintf(folder, size, "%s", out);
    return;
  }
  const char *slash = strrchr(deck, '/'), *name = slash ? slash + 1 : deck, *dot = strrchr(name, '.');
  snprintf(folder, size, "runs/%.*s", dot && dot != name ? (int)(dot - name) : (int)strlen(name), name);
}
