/* What two finished runs left, compared as `diff` compares files: the newest checkpoint, every series, and
 * the market.
 */
#pragma once

#include "base/status.h"
#include <jansson.h>

/* Appends one object for each pair of files to `files`: what diff --json says of it. *equal is true if all
 * are alike; texts for people go to standard output unless `silent`. EF_CHECKPOINT: a file is missing or
 * damaged. Local. */
ef_status ef_compare_runs(const char *a, const char *b, bool silent, json_t *files, bool *equal);
