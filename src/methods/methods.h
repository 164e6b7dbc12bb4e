/* The methods that train a global model from a federation: one table, one file each, the same outcome and
 * report.
 */
#pragma once

#include "fusion/tune.h"
#include "methods/clearing.h"

/* What a method leaves behind for the report, the same on all ranks (the ledger on the root). */
typedef struct ef_outcome {
  ef_population population;
  ef_devices devices;
  ef_ledger ledger;
  ef_clusters clusters;
  ef_bases bases;
  ef_tuned tuned;         /* the global model */
  ef_tuned public_only;   /* the control; steps 0 if it was not asked for */
  ef_clearing_run market; /* the clearing at the end; not done if the deck does not want it */
} ef_outcome;

typedef struct ef_method {
  const char *name, *help;
  ef_status (*run)(ef_run *run, ef_outcome *outcome); /* Collective */
} ef_method;

/* Table of all methods, ended by a NULL name; a method by name, or NULL. Local. */
extern const ef_method ef_methods[];
const ef_method *ef_method_find(const char *name);
const char *ef_method_names(void); /* "deepfusion, ..." */

/* DeepFusion (arXiv 2602.14301), phases I to III. Collective. */
ef_status ef_deepfusion(ef_run *run, ef_outcome *outcome);

void ef_outcome_free(ef_outcome *outcome);
