#include "methods/outcome.h"

#include "base/memory.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

ef_status ef_outcome_open(const ef_run *run, ef_outcome *o) {
  ef_dims base;
  EF_TRY(ef_global_dims(run, &o->global, &base));
  EF_TRY(ef_population_make(run, &o->population));
  return ef_ledger_create(o->population.devices, &o->ledger);
}

void ef_outcome_free(ef_outcome *o) {
  ef_population_free(&o->population);
  ef_devices_free(&o->devices);
  ef_ledger_free(&o->ledger);
  ef_clusters_free(&o->clusters);
  ef_bases_free(&o->bases);
  for (size_t i = 0; i < o->stage_count; i++) ef_free(o->stages[i].by_domain);
  ef_free(o->stages);
  ef_tuned_free(&o->tuned);
  ef_tuned_free(&o->public_only);
  ef_clearing_free(&o->market);
}

ef_status ef_outcome_stage(const ef_run *run, ef_outcome *o, const ef_quality *by_domain, const ef_cost *cost,
                           const char *fmt, ...) {
  size_t domains = run->tokens.domain_count;
  ef_stage stage = {.cost = *cost};
  va_list list;
  va_start(list, fmt);
  vsnprintf(stage.name, sizeof stage.name, fmt, list);
  va_end(list);
  ef_stage *grown = ef_realloc(o->stages, o->stage_count + 1, sizeof *grown);
  EF_TRY(EF_CHECK(grown, EF_MACHINE, "out of memory: %zu stages", o->stage_count + 1));
  o->stages = grown;
  EF_TRY(EF_NEW(stage.by_domain, domains));
  memcpy(stage.by_domain, by_domain, domains * sizeof *by_domain);
  o->stages[o->stage_count++] = stage;
  return EF_OK;
}
