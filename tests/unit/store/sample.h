/* A small file with every type and layout, for the tests of store/. */
#pragma once

#include "store/h5.h"

#include <stdint.h>

enum { SAMPLE_ROWS = 700, SAMPLE_COLUMNS = 500 };

static const char sample_deck[] = "run:\n  name: sample\n  seed: 7\n";

/* Pure functions of the index; the values of the file are checked against them. */
float sample_weight(size_t i);
int64_t sample_token(size_t i);

/* Writes the datasets into an open file; on a collective one, dataset k comes from rank k mod `ranks`. */
ef_status sample_fill(ef_h5 *file, int rank, int ranks);

/* True if every dataset and attribute of an open file has the sample's values. */
bool sample_equal(ef_h5 *file);

/* Writes the whole sample serially. */
ef_status sample_write(const char *path);

extern const ef_h5_header sample_header;
