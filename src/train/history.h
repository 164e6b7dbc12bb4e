/* What a trained unit measured at each of its steps: becomes series in its part file and in run.h5.
 */
#pragma once

#include "store/h5.h"
#include <stddef.h>

enum {
  EF_HISTORY_CE,
  EF_HISTORY_KL,
  EF_HISTORY_FM,
  EF_HISTORY_HOLDOUT,
  EF_HISTORY_EXITS, /* mean over the early exits of their cross-entropy; a file has it if there is one */
  EF_HISTORY_COLUMNS
};

typedef struct ef_history {
  size_t count, capacity;
  float (*rows)[EF_HISTORY_COLUMNS]; /* (capacity) nats per token; FM as its loss; NAN where there is none;
                                        owned */
} ef_history;

/* All numbers are NAN at first. EF_MACHINE. Local. */
ef_status ef_history_create(size_t capacity, ef_history *history);
void ef_history_free(ef_history *history);
const char *ef_history_name(size_t column); /* "ce", "kl", "fm", "holdout", "exits" */

/* The rows that are there as /series/history, plotted under this title; nothing for an empty history.
 * `passes`: this rank gives the data (one rank of a collective file; true in a serial file). Collective in a
 * collective file. */
ef_status ef_history_write(ef_h5 *file, const ef_history *history, bool passes, const char *title);
/* Reads history->count rows. EF_CHECKPOINT. Local. */
ef_status ef_history_read(ef_h5 *file, ef_history *history);
