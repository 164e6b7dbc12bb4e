/* The two looks that the server takes at any dense model: the public holdout, and the validation text by
 * domain.
 */
#pragma once

#include "train/evaluate.h"
#include "train/run.h"

/* The stream that guards and selection look at, and how many of its windows (0: all): the public holdout, or
 * some of the public text itself where none is held out. Local. */
const ef_stream *ef_run_look_at(const ef_run *run, const ef_stream *holdout, size_t *most);

/* holdout: nat per token on the public holdout (on the public text itself if none is held out). validation
 * (domains) or NULL: quality by domain. EF_MACHINE. Local. */
ef_status ef_run_measure(const ef_run *run, const ef_model *model, double *holdout, ef_quality *validation);

/* nat per token on the holdout of one domain; on the whole holdout if that domain has none. EF_MACHINE.
 * Local. */
ef_status ef_run_domain_loss(const ef_run *run, const ef_model *model, size_t domain, double *loss);

/* Sum over the domains. */
ef_quality ef_quality_total(const ef_quality *by_domain, size_t domains);
