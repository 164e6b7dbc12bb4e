#include "doctor/start.h"

#include "doctor/launch.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The others leave the word to the first. */
enum { PATIENCE_S = 20, FIRST_S = 2 };

static bool as_json;

static void late(void *ctx, const char *stage) {
  (void)ctx;
  if (ef_launch_facts_of(1, ef_env).procid > 0) {
    sleep(FIRST_S);
    _Exit(ef_status_exit_code(EF_MACHINE));
  }
  ef_diagnosis found = {.silent = as_json};
  ef_diagnosis_add(
      &found, EF_HEALTH_FAIL, stage,
      "the ranks do not find each other: one that never started, host names that do not resolve, a "
      "firewall, or a wrong interface (OMPI_MCA_btl_tcp_if_include, OMPI_MCA_oob_tcp_if_include)",
      "MPI has not started after %d s", PATIENCE_S);
  if (as_json) (void)ef_diagnosis_json(&found, 0, stdout);
  (void)ef_diagnosis_verdict(&found);
  fprintf(stderr, "edgefuse: %s\n", ef_message());
  fflush(NULL);
  _Exit(ef_status_exit_code(EF_MACHINE));
}

ef_watch *ef_start_watch(bool json) {
  ef_watch *watch = NULL;
  as_json = json;
  if (ef_watch_create(PATIENCE_S, late, NULL, &watch) != EF_OK) return NULL;
  ef_watch_begin(watch, "start of MPI");
  return watch;
}
