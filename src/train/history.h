/* What a trained unit measured at each of its steps: becomes series in its part file and in run.h5.
 */
#pragma once

#include "base/status.h"
#include <stddef.h>

enum { EF_HISTORY_CE, EF_HISTORY_KL, EF_HISTORY_FM, EF_HISTORY_HOLDOUT, EF_HISTORY_COLUMNS };

typedef struct ef_history {
  size_t count, capacity;
  float (*rows)[EF_HISTORY_COLUMNS]; /* (capacity) nats per token; FM as its loss; NAN where there is none;
                                        owned */
} ef_history;

ef_status ef_history_create(size_t capacity, ef_history *history);
void ef_history_free(ef_history *history);
const char *ef_history_name(size_t column); /* "ce", "kl", "fm", "holdout" */
