/* The market that ends a training: the global model becomes a workload, every device a user that asks for its
 * inference, and the root clears the auction (AERIA's phases I and II on the ranks of the run).
 *
 * Each rank draws its own devices' requests and finds their least demands; bids and demands are gathered, the
 * root solves and audits, and the outcome comes back to all ranks. Everything but the measured speed follows
 * from seed, deck and model: it has the same bits on any number of ranks.
 */
#pragma once

#include "federation/device.h"
#include "market/audit.h"
#include "market/simulate.h"
#include "market/solve.h"
#include "train/confidence.h"

typedef struct ef_clearing_run {
  bool done;                 /* false: market.clear is false, or there is no validation text */
  char checkpoint[4096];     /* whose model was profiled */
  size_t tokens;             /* of validation text behind the profile */
  ef_instance instance;      /* rules, the workload of the model, one provider, the devices; owned */
  ef_demand *demands;        /* (devices), owned */
  ef_user_outcome *users;    /* (devices) what each device got; on all ranks; owned */
  ef_market_outcome outcome; /* root only */
  ef_audit audit;            /* root only */
  bool audited;              /* false: nobody entered the market */
} ef_clearing_run;

/* Whether the deck's traces and settings of the market are good, so that no training ends in vain. EF_INPUT
 * names the file or the setting. Local. */
ef_status ef_clearing_check(const ef_deck *deck);

/* Profiles the model of the newest checkpoint on the validation text, clears and audits; every device is a
 * user, also one whose upload failed. owner (devices): the rank on which each device bids. The root writes
 * workload.json and market.json (the instance, with its coins: edgefuse market solve and audit take it) into
 * the run folder. Without validation text nothing is cleared, and a warning says so. EF_CHECKPOINT, EF_INPUT,
 * EF_MACHINE. Collective. */
ef_status ef_clearing_make(ef_run *run, size_t devices, const int *owner, ef_clearing_run *clearing);
void ef_clearing_free(ef_clearing_run *clearing);
