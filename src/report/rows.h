/* What the report says, computed once from outcome, deck and event log: the table of models, the phases, the
 * traffic, the plan's error and the verdict. json.c and md.c only write it down.
 */
#pragma once

#include "methods/methods.h"

/* One model of the table: devices, stages, the result, the control. */
typedef struct ef_row {
  char name[48];
  bool is_device;
  size_t index;                /* of the device */
  const ef_quality *by_domain; /* (domains) borrowed from the outcome */
  ef_quality all;              /* pooled over the domains; bytes 0 unless all text of each was scored */
  ef_cost cost;                /* outcome.h; a device's steps are its own */
} ef_row;

/* A phase, summed over all starts of the run. */
typedef struct ef_phase_total {
  char name[48];
  ef_place place; /* EF_PLACE_COUNT: the log does not tell */
  double seconds, tokens, flops;
  /* events.h: means over ranks, the slowest rank, and the bytes of all. 0: an older log. */
  double compute_seconds, slowest_seconds, exchange_seconds, wait_seconds, exchange_bytes;
} ef_phase_total;

/* A phase as the first start of the run planned it (ef_plan_span). Against what the run did: the plan's
 * seconds are scaled to the work that was done, so that early stopping is no error of it. */
typedef struct ef_planned {
  char name[48], events[64];
  double flops, seconds;     /* by the plan, at most */
  double expected, measured; /* seconds for the work done; seconds of the log */
} ef_planned;

/* All phases of one place, summed over all starts; NAN if the log has phases of no known place. */
typedef struct ef_effort_total {
  double seconds, tokens, flops, steps;
} ef_effort_total;

/* Differences in log-perplexity over all domains, nat per token; negative: the global model is better. NAN
 * where the other is missing. */
typedef struct ef_verdict {
  double public_only, best_device;
  char sentence[512];
} ef_verdict;

typedef struct ef_report {
  const ef_run *run; /* borrowed, as method and outcome */
  const ef_method *method;
  const ef_outcome *outcome;
  size_t domains;
  ef_row *rows; /* (row_count) owned */
  size_t row_count;
  const ef_row *result, *public_only, *best_device; /* into rows; NULL: there is none */
  ef_phase_total *phases;                           /* (phase_count) owned */
  size_t phase_count;
  ef_effort_total effort[EF_PLACE_COUNT];
  uint64_t up_bytes, down_bytes;        /* by the ledger */
  size_t split_tokens[EF_SPLIT_COUNT];  /* tokens of public, private and validation text */
  double sgemm_peak;                    /* GFLOP/s of one rank */
  double planned_bytes, measured_bytes; /* resident peak of this start; NAN: not known */
  ef_planned *planned;                  /* (planned_count) owned */
  size_t planned_count;
  ef_verdict verdict;
  char identity[33]; /* of deck, seed and text */
} ef_report;

/* The table, its controls and the verdict; traffic and text. Nothing is measured. EF_MACHINE. Local. */
ef_status ef_report_make(const ef_run *run, const ef_method *method, const ef_outcome *outcome,
                         ef_report *report);
void ef_report_free(ef_report *report);

/* The ledger counts what the closed formula of the method says. Pure. */
bool ef_report_bytes_agree(const ef_report *report);

/* The verdict on three log-perplexities over all domains; NAN: not known. Pure. */
ef_verdict ef_report_verdict(const char *method, double tuned, double public_only, double best_device,
                             size_t device);

/* Sum over domains; the bytes count only if all text of every domain was scored. Pure. */
ef_quality ef_report_pool(const ef_quality *by_domain, size_t domains);

/* Reads metrics.jsonl: adds up the events "phase" by name, in order of first appearance, and by place; takes
 * the planned bytes of the last event "plan", the planned phases of the last one that has some. Lines that
 * are torn (a killed run) are passed over. EF_MACHINE. Local. */
ef_status ef_report_log(ef_report *report);

/* GFLOP/s of a square product of side `n` with these kernels: median of 5. EF_MACHINE. Local. */
ef_status ef_report_peak(const ef_kernels *kernels, size_t n, double *gflops);

/* Writes report.json, report.md and run.h5 into the run folder. EF_MACHINE. Local. */
ef_status ef_report_write_json(const ef_report *report);
ef_status ef_report_write_md(const ef_report *report);
ef_status ef_report_write_series(const ef_report *report);

/* "llama", the family of a device or of an entry of the deck. Local. */
const char *ef_report_family(const ef_report *report, size_t entry);
