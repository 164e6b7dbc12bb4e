#include "base/clock.h"

#include <sys/resource.h>
#include <time.h>

static double seconds_of(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double ef_clock(void) { return seconds_of(CLOCK_MONOTONIC); }
double ef_clock_cpu(void) { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

long long ef_peak_rss(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (long long)usage.ru_maxrss * 1024;
}
