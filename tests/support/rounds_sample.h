/* Federated rounds on a tiny run: its text, the common start of the bases, a start of the global model.
 */
#pragma once

#include "rivals/rounds.h"
#include "support/tiny_run.h"

enum { SAMPLE_HELD = 3 }; /* of 4 experts on a device when the model is pruned */

typedef struct rounds_sample {
  tiny_run t;
  ef_population population;
  ef_rounds_plan plan;
  ef_dims global;
  ef_devices devices;
  ef_ledger ledger;
  ef_rounds rounds;
} rounds_sample;

/* Two rounds of four steps; `overrides` (ended by NULL, or NULL) may say otherwise. pruned: FedJETS, else
 * FedAvg. Aborts on failure. Collective if `par` has several ranks; NULL: this rank alone. */
void rounds_sample_open(rounds_sample *s, ef_par *par, bool pruned, const char *const *overrides);
void rounds_sample_close(rounds_sample *s);

/* The rounds, from what the folder holds; results of an earlier call are dropped. Collective. */
ef_status rounds_sample_run(rounds_sample *s);

/* The global model of the part before the rounds (-1) or after round `round`. Aborts on failure. Local. */
ef_model rounds_sample_model(const rounds_sample *s, int round);
