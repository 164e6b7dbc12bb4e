/* Time, for reports and progress only: no result depends on it. */
#pragma once

/* Seconds of a monotonic clock. Local. */
double ef_clock(void);

/* Highest resident bytes of this process so far (getrusage). Local. */
long long ef_peak_rss(void);
