/* What fedavg and fedjets share: the server trains the global model on public text, devices train it on their
 * own in rounds, and the server trains it once more.
 */
#pragma once

#include "methods/outcome.h"

/* held: routed experts of a layer on a device, global.experts for the whole model; common: they are chosen by
 * the common expert. EF_DECK before anything is trained if `held` does not fit the model, or no device can
 * train. Collective. */
ef_status ef_global_rounds(ef_run *run, ef_outcome *outcome, size_t held, bool common);
