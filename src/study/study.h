/* A market study: the simulation that a deck describes, for each of its workloads, and its sweeps. One set of
 * traces, mechanisms and coins for all of them.
 */
#pragma once

#include "deck/deck.h"
#include "market/simulate.h"

enum { EF_STUDY_NAME = 64 };

/* One workload. */
typedef struct ef_study_case {
  char name[EF_STUDY_NAME]; /* unique in the study, letters, digits and -_. only: the name of an HDF5 group */
  ef_workload workload;     /* owned */
  ef_simulation simulation; /* owned; bids are recorded */
} ef_study_case;

/* One setting that is moved over its points. */
typedef struct ef_study_sweep {
  const ef_sweep *sweep;   /* borrowed from ef_sweeps */
  ef_summary_row *summary; /* (cases, points, mechanisms), owned */
} ef_study_sweep;

typedef struct ef_study {
  const ef_deck *deck; /* borrowed */
  size_t case_count, sweep_count, mechanism_count;
  ef_study_case *cases;            /* owned */
  ef_study_sweep *sweeps;          /* owned */
  const ef_mechanism **mechanisms; /* (mechanism_count), owned array */
  ef_scenario scenario;            /* what the workloads share; its traces are owned, its workload is empty */
} ef_study;

/* The setting of the deck's section `market`, its traces read or generated, its workload empty; the caller
 * frees the traces with ef_scenario_traces_free. EF_INPUT for a faulty file, EF_MACHINE. Local. */
ef_status ef_study_scenario(const ef_deck *deck, ef_scenario *scenario);

/* Reads workloads and traces and runs everything; says on the log how far it is. EF_DECK for an unknown
 * workload, mechanism or two workloads of one name, EF_INPUT for a faulty file (with its line), EF_MACHINE.
 * Nothing is written. The deck stays in use until ef_study_free. Local. */
ef_status ef_study_run(const ef_deck *deck, ef_study *study);
void ef_study_free(ef_study *study);

/* The mechanism that the deck's variant of AERIA is, "aeria-t". Local. */
const char *ef_study_aeria(const ef_study *study);

/* One trace of the study with its place in the deck. */
typedef struct ef_study_trace {
  const char *name, *description, *units;
  const char *file; /* as the deck names it; empty: generated */
  const ef_trace *trace;
} ef_study_trace;
enum { EF_STUDY_TRACES = 4 };
ef_study_trace ef_study_trace_at(const ef_study *study, size_t i);

/* "yes", "under consensus", "no": whether a mechanism is truthful in the bid, and has one price. Local. */
const char *ef_truth_text(ef_truth truth);
const char *ef_price_text(ef_price price);

/* ---- the figures of a row, for tables and files ---------------------------------------------------------
 */

typedef struct ef_study_column {
  const char *name, *description, *units;
  size_t offset; /* of a double in the row */
} ef_study_column;

/* Columns of ef_summary_row, ended by a NULL name; measured seconds are not among them. */
extern const ef_study_column ef_summary_columns[];
/* Columns of ef_slot_row likewise; its flags are envy and consensus. */
extern const ef_study_column ef_slot_columns[];

static inline double ef_study_value(const void *row, const ef_study_column *column) {
  return *(const double *)(const void *)((const char *)row + column->offset);
}
