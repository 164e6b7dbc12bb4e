/* What is in an HDF5 file of edgefuse, and what differs between two: plain results for cli/ to print.
 */
#pragma once

#include "store/h5.h"
#include <stdio.h>

/* Prints what the file is, its deck and its tree: every group, and every dataset with shape, bytes, units,
 * mean, standard deviation, least and greatest value and description; then, where the file has them, the load
 * of its experts, the lineage and the byte ledger (meaning.h). With `json` one JSON object instead. With
 * `verify` every checksum is read. EF_CHECKPOINT, EF_MACHINE. Local. */
ef_status ef_inspect(const char *path, bool verify, bool json, FILE *out);

/* Reads every checksum of each file and prints a line a file: whole, or what is wrong with it. With `json`
 * one JSON object instead, {"files": [{"file", "whole", "reason"}]}. EF_CHECKPOINT if any is not whole.
 * Local. */
ef_status ef_verify_files(size_t count, const char *const *paths, bool json, FILE *out);

/* Compares two files by meaning: deck (key by key), attributes of the state, what the random numbers to come
 * are made of, lineage, and tensor by tensor the largest difference in ULP, its place and how many elements
 * differ. EF_OK when equal, EF_DIFFERS when not. Shown, but no difference: attributes "ranks" and "code_*",
 * the deck's run.keep, run.checkpoint_every and run.time_limit, and datasets of measured times. Local. */
ef_status ef_diff(const char *a, const char *b, bool json, FILE *out);
