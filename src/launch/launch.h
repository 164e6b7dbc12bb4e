/* From a deck to a finished run folder: text, method, report. What `edgefuse train` does.
 */
#pragma once

#include "plan/plan.h"

typedef struct ef_launch {
  const ef_deck *deck;
  const ef_method *method;
  const char *folder;             /* run folder, made if it is not there */
  bool resume;                    /* go on with what the folder holds */
  ef_layout layout;               /* what ef_launch_plan plans for; 0 ranks: this launch */
  const ef_interconnect *network; /* of that plan; NULL: EF_PLAN_INTERCONNECT. Borrowed */
  bool json;                      /* results on standard output as one JSON object */
  ef_stop_wish *wish;             /* a stop asked for in advance; NULL: none. Borrowed */
} ef_launch;

/* Reads and cuts the text into FOLDER/tokens, unless the same text settings made it before. Collective. */
ef_status ef_launch_prepare(ef_par *par, const ef_deck *deck, const char *folder);

/* The whole run. EF_STOPPED after a clean stop with a checkpoint; EF_USAGE when the folder holds a run and
 * resume was not asked for; EF_CHECKPOINT when it holds another run. Collective. */
ef_status ef_launch_run(ef_par *par, const ef_launch *launch);

/* Checks deck and text and prints the plan; the folder is not made (the text is cut into a temporary one).
 * Collective. */
ef_status ef_launch_plan(ef_par *par, const ef_launch *launch);

/* The plan itself, on this rank alone, of launch->layout; `timed`: with its seconds. Local. */
ef_status ef_launch_plan_make(const ef_launch *launch, bool timed, ef_plan *plan);
