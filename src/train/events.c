#include "train/events.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 4096 };

ef_status ef_event(const ef_run *run, const char *event, const char *fields, ...) {
  if (!ef_par_root(run->par)) return EF_OK;
  char inside[LINE_BYTES], path[LINE_BYTES];
  va_list args;
  va_start(args, fields);
  vsnprintf(inside, sizeof inside, fields, args);
  va_end(args);
  ef_run_path(run, path, sizeof path, "metrics.jsonl");
  FILE *log = fopen(path, "a");
  if (!log) return ef_fail(EF_MACHINE, __FILE__, __LINE__, "%s: %s", path, strerror(errno));
  bool whole = fprintf(log, "{\"event\": \"%s\"%s%s}\n", event, inside[0] ? ", " : "", inside) > 0;
  whole = fclose(log) == 0 && whole;
  return EF_CHECK(whole, EF_MACHINE, "%s: could not be written: %s", path, strerror(errno));
}

ef_lap ef_lap_begin(const ef_run *run) { return (ef_lap){ef_clock(), run->par->traffic}; }

enum { TOKENS, FLOPS, STEPS, BYTES, COMPUTE, EXCHANGE, WAIT, FACTS };

/* What this rank tells of its phase. */
static void fill_facts(const ef_run *run, const ef_lap *lap, double seconds, const ef_effort *effort,
                       double *facts) {
  ef_traffic t = ef_traffic_since(run->par, &lap->before);
  facts[TOKENS] = effort->tokens;
  facts[FLOPS] = effort->flops;
  facts[STEPS] = effort->steps;
  facts[BYTES] = (double)t.bytes;
  facts[COMPUTE] = seconds - t.exchange_seconds - t.wait_seconds;
  facts[EXCHANGE] = t.exchange_seconds;
  facts[WAIT] = t.wait_seconds;
}

static ef_status write_phase(const ef_run *run, const char *name, ef_place place, double seconds,
                             const double *sum, double slowest) {
  double ranks = (double)run->par->size;
  return ef_event(
      run, "phase",
      "\"name\": \"%s\", \"place\": \"%s\", \"seconds\": %.6f, \"tokens\": %.0f, \"flops\": %.6e, "
      "\"steps\": %.0f, \"compute_seconds\": %.6f, \"slowest_seconds\": %.6f, "
      "\"exchange_seconds\": %.6f, \"wait_seconds\": %.6f, \"exchange_bytes\": %.0f",
      name, ef_place_name(place), seconds, sum[TOKENS], sum[FLOPS], sum[STEPS], sum[COMPUTE] / ranks, slowest,
      sum[EXCHANGE] / ranks, sum[WAIT] / ranks, sum[BYTES]);
}

ef_status ef_event_phase(ef_run *run, const char *name, ef_place place, const ef_lap *lap,
                         const ef_effort *effort) {
  size_t ranks = (size_t)run->par->size;
  double seconds = ef_clock() - lap->started, slowest = 0.0, mine[FACTS], sum[FACTS] = {0}, *all = NULL;
  ef_status status = EF_OK;
  fill_facts(run, lap, seconds, effort, mine);
  EF_GO(EF_NEW(all, FACTS * ranks));
  EF_GO(ef_allgather_f64(run->par, mine, FACTS, all));
  for (size_t i = 0; i < FACTS * ranks; i++) sum[i % FACTS] += all[i];
  for (size_t r = 0; r < ranks; r++) slowest = fmax(slowest, all[FACTS * r + COMPUTE]);
  run->gained += sum[STEPS];
  ef_progress_end(run, name, seconds);
  if (ef_par_root(run->par)) ef_log(EF_LOG_INFO, "%-24s %8.1f s  %10.0f tokens", name, seconds, sum[TOKENS]);
  EF_GO(write_phase(run, name, place, seconds, sum, slowest));
done:
  ef_free(all);
  return ef_agree(run->par, status);
}
