/* A watchdog for what may hang: a thread that looks at the clock while the rank is inside a collective call.
 */
#pragma once

#include "base/status.h"

typedef struct ef_watch ef_watch; /* opaque */

/* Starts the thread. When a stage takes longer than `seconds`, it calls late(ctx, stage), which must end the
 * process; meanwhile ef_watch_begin and ef_watch_end do not return. EF_MACHINE. Local. */
ef_status ef_watch_create(double seconds, void (*late)(void *ctx, const char *stage), void *ctx,
                          ef_watch **watch);
/* NULL is accepted. Local. */
void ef_watch_free(ef_watch *watch);

/* A stage begins, and ends; `stage` is a literal. Local. */
void ef_watch_begin(ef_watch *watch, const char *stage);
void ef_watch_end(ef_watch *watch);
