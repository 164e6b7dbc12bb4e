/* The parts of run.h5 that show what crossed between devices and server, and which device shaped which
 * expert.
 */
#pragma once

#include "report/rows.h"
#include "store/h5.h"

/* NXdata group /ledger: up_bytes and down_bytes of each device by class of message, (devices,classes), and
 * the names of the
 * classes, formula_bytes of both directions; nothing without devices. EF_MACHINE. Local. */
ef_status ef_report_write_ledger(const ef_report *report, ef_h5 *file);

/* NXdata group /lineage as the checkpoint at `path` has it; nothing if it has none. EF_CHECKPOINT,
 * EF_MACHINE. Local. */
ef_status ef_report_copy_lineage(const char *path, ef_h5 *file);
