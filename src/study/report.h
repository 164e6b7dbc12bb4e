/* What a market study says: tables for people, report.md, and one JSON object for programs.
 */
#pragma once

#include "study/study.h"
#include <jansson.h>
#include <stdio.h>

/* Where AERIA stands among the mechanisms that are truthful under every coin (benchmarks left out, itself
 * always in): 1 is best, equals share a place. */
typedef struct ef_standing {
  size_t place, of;
  const char *best;       /* name of the first of the others, NULL if there is none */
  double own, best_value; /* AERIA's figure and that of `best` */
} ef_standing;

/* By this column of ef_summary_row ("ratio_mean", "ratio_min"). False if AERIA was not run or the column is
 * NaN for it. Local. */
bool ef_study_standing(const ef_study *study, const ef_study_case *c, const char *column,
                       ef_standing *standing);

/* One table a workload. EF_MACHINE. Local. */
ef_status ef_market_report_tables(const ef_study *study, FILE *out);

/* Writes report.md; `command` is what made it. EF_MACHINE. Local. */
ef_status ef_market_report_write(const ef_study *study, const char *command, const char *path);

/* {"slots", "seed", "aeria", "workloads": [{"name", "capacity", "place", "mechanisms": [{"name", ...}]}],
 * "sweeps": [...], "synthetic": [...], "files": [...]}; NaN is null. A new reference, NULL when memory is
 * short. `files` are paths, `count` of them. Local. */
json_t *ef_market_report_json(const ef_study *study, const char *const *files, size_t count);
