/* The part of run.h5 that shows what the global model makes of each document of the validation text. */
#pragma once

#include "report/rows.h"
#include "store/h5.h"

/* NXdata group /validation: nll, tokens, hits, document and domain of every document, and the names of the
 * domains; nothing if the documents were not scored (ef_tuned). EF_MACHINE. Local. */
ef_status ef_report_write_documents(const ef_report *report, ef_h5 *file);
