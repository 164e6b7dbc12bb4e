/* Sorting numbers, by the C library, and their medians. */
#pragma once

#include <stddef.h>

/* Sorts x (n), no NaN among them, from the least to the greatest. Local. */
void ef_sort_ascending(double *x, size_t n);

/* Median of x (n), n > 0, no NaN among them; sorts x. Of an even number it is the mean of the middle two.
 * Local. */
double ef_median(double *x, size_t n);
