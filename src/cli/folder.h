/* Where a run goes when the user names no folder.
 */
#pragma once

#include <stddef.h>

/* `out`, or, when it is NULL, runs/<name of the deck without its ending>. Local. */
void ef_cli_run_folder(const char *out, const char *deck, char *folder, size_t size);
