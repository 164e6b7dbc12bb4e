#include "train/events.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include <errno.h>
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

ef_status ef_event_phase(ef_run *run, const char *name, ef_place place, double started,
                         const ef_effort *effort) {
  size_t ranks = (size_t)run->par->size;
  double seconds = ef_clock() - started, mine[3] = {effort->tokens, effort->flops, effort->steps},
         *all = NULL;
  double sum[3] = {0.0, 0.0, 0.0};
  ef_status status = EF_OK;
  EF_GO(EF_NEW(all, 3 * ranks));
  EF_GO(ef_allgather_f64(run->par, mine, 3, all));
  for (size_t i = 0; i < 3 * ranks; i++) sum[i % 3] += all[i];
  run->gained += sum[2];
  ef_progress_end(run, name, seconds);
  if (ef_par_root(run->par)) ef_log(EF_LOG_INFO, "%-24s %8.1f s  %10.0f tokens", name, seconds, sum[0]);
  EF_GO(ef_event(run, "phase",
                 "\"name\": \"%s\", \"place\": \"%s\", \"seconds\": %.6f, \"tokens\": %.0f, \"flops\": %.6e, "
                 "\"steps\": %.0f",
                 name, ef_place_name(place), seconds, sum[0], sum[1], sum[2]));
done:
  ef_free(all);
  return ef_agree(run->par, status);
}
