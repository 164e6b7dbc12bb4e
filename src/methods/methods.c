#include "methods/methods.h"

#include <string.h>

const ef_method ef_methods[] = {
    {"deepfusion", "one upload per device, knowledge clusters, view-aligned distillation, merge, tuning",
     ef_deepfusion},
    {NULL, NULL, NULL},
};

const ef_method *ef_method_find(const char *name) {
  for (const ef_method *m = ef_methods; m->name; m++) {
    if (strcmp(m->name, name) == 0) return m;
  }
  return NULL;
}

const char *ef_method_names(void) { return "deepfusion"; }

void ef_outcome_free(ef_outcome *outcome) {
  ef_population_free(&outcome->population);
  ef_devices_free(&outcome->devices);
  ef_ledger_free(&outcome->ledger);
  ef_clusters_free(&outcome->clusters);
  ef_bases_free(&outcome->bases);
  ef_tuned_free(&outcome->tuned);
  ef_tuned_free(&outcome->public_only);
  ef_clearing_free(&outcome->market);
}
