/* Durations on both sides of every change of unit. */
#include "base/duration.h"

#include <criterion/criterion.h>

typedef struct sample {
  double seconds;
  const char *watched, *about;
} sample;

static const sample samples[] = {
    {0.0, "0 s", "0 s"},
    {0.0123, "0 s", "0.0123 s"},
    {12.5, "13 s", "12.5 s"},
    {89.94, "90 s", "89.9 s"},
    {90.0, "90 s", "1.5 min"},
    {99.4, "99 s", "1.7 min"},
    {99.6, "1 min 40 s", "1.7 min"},
    {444.0, "7 min 24 s", "7.4 min"},
    {569.0, "9 min 29 s", "9.5 min"},
    {571.0, "9 min 31 s", "10 min"},
    {751.0, "12 min 31 s", "13 min"},
    {5369.0, "89 min 29 s", "89 min"},
    {5371.0, "89 min 31 s", "1 h 30 min"},
    {5999.0, "99 min 59 s", "1 h 40 min"},
    {5999.6, "1 h 40 min", "1 h 40 min"},
    {7259.0, "2 h 00 min", "2 h 01 min"}, /* 2 h 0 min 59 s: what is watched has not yet passed the minute */
    {360000.0, "100 h 00 min", "100 h 00 min"},
};

Test(duration, in_the_unit_that_fits) {
  char text[EF_DURATION_BYTES];
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
    const sample *s = &samples[i];
    cr_expect_str_eq(ef_duration(s->seconds, text), s->watched, "%g s: %s", s->seconds, text);
    cr_expect_str_eq(ef_duration_about(s->seconds, text), s->about, "%g s: %s", s->seconds, text);
  }
}
