/* What is in an HDF5 file of edgefuse, and what differs between two: plain results for cli/ to print.
 */
#pragma once

#include "store/h5.h"
#include <stdio.h>

/* Prints header, attributes and every dataset with shape, bytes, mean, standard deviation, least and greatest
 * value; with `json` one JSON object instead. With `verify` every checksum is read. Local. */
ef_status ef_inspect(const char *path, bool verify, bool json, FILE *out);

/* Compares two files by meaning: deck (line by line), attributes of the state, lineage, and tensor by tensor
 * the largest difference in ULP. EF_OK when equal, EF_DIFFERS when not. Shown, but no difference: attributes
 * "ranks" and "code_*", and the deck's run.keep, run.checkpoint_every and run.time_limit. Local. */
ef_status ef_diff(const char *a, const char *b, bool json, FILE *out);
