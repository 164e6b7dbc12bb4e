/* Durations for people, in the unit that fits them. */
#pragma once

enum { EF_DURATION_BYTES = 32 };

/* A duration that is watched, to the second: "70 s" below 100 s, "12 min 31 s" below 100 min, then
 * "1 h 40 min". `text` (EF_DURATION_BYTES) is written and returned; seconds >= 0, finite. Pure. */
const char *ef_duration(double seconds, char *text);

/* One that is estimated, to two or three digits: "12.5 s" below 90 s, "7.4 min" and "42 min" below 90 min,
 * then "1 h 30 min" to the nearest minute. As above. */
const char *ef_duration_about(double seconds, char *text);
