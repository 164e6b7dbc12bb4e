/* What the files of diff share: two opened files and the report that grows. Private to store/.
 */
#pragma once

#include "store/h5_internal.h"
#include <jansson.h>
#include <stdio.h>

typedef struct ef_pair {
  ef_h5 *a, *b;
  json_t *in_a, *in_b; /* attributes of all objects; owned */
  json_t *report;      /* what diff --json prints; owned, its lists below borrowed */
  json_t *deck, *keys, *attributes, *tensors;
  size_t compared;
  bool differs; /* something that counts as a result */
} ef_pair;

/* Fills "deck" (line by line) and "keys" (key by key): {"key", "a", "b", "counts"}, null where a file has no
 * such key; keys that only steer how a run is run do not count. EF_CHECKPOINT, EF_MACHINE. Local. */
ef_status ef_diff_deck(ef_pair *pair);

/* "lineage": {"equal", "experts", "changes": [{"expert", "device", "a", "b"}]}, experts: how many have other
 * shares, null if the tables have other shapes; null if neither file has a lineage. Local. */
ef_status ef_diff_lineage(ef_pair *pair);

/* "random": {"equal", "a": {...}, "b": {...}}: what the random numbers to come are made of. Local. */
void ef_diff_random(ef_pair *pair);

/* Prints the report for people. Local. */
void ef_diff_print(const ef_pair *pair, FILE *out);
