#include "base/duration.h"

#include <math.h>
#include <stdio.h>

static void in_hours(unsigned long minutes, char *text) {
  snprintf(text, EF_DURATION_BYTES, "%lu h %02lu min", minutes / 60, minutes % 60);
}

const char *ef_duration(double seconds, char *text) {
  unsigned long whole = (unsigned long)(seconds + 0.5);
  if (whole < 100) {
    snprintf(text, EF_DURATION_BYTES, "%lu s", whole);
  } else if (whole < 6000) {
    snprintf(text, EF_DURATION_BYTES, "%lu min %02lu s", whole / 60, whole % 60);
  } else {
    in_hours(whole / 60, text);
  }
  return text;
}

const char *ef_duration_about(double seconds, char *text) {
  double minutes = floor(seconds / 60.0 + 0.5);
  if (seconds < 90.0) {
    snprintf(text, EF_DURATION_BYTES, "%.3g s", seconds);
  } else if (minutes < 90.0) {
    snprintf(text, EF_DURATION_BYTES, "%.*f min", minutes < 10.0 ? 1 : 0, seconds / 60.0);
  } else {
    in_hours((unsigned long)minutes, text);
  }
  return text;
}
