/* The part of run.h5 that shows where the views of bases and teachers meet. */
#pragma once

#include "report/rows.h"
#include "store/h5.h"

/* NXdata groups /cka/base_00000 and, where there is attention, /attention_mass/base_00000, each with datasets
 * before and after (fusion/views.h) and the layers that the stages end at; for the bases that had a teacher.
 * EF_MACHINE. Local. */
ef_status ef_report_write_views(const ef_report *report, ef_h5 *file);
