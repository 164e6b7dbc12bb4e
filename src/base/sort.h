/* Sorting numbers, by the C library. */
#pragma once

#include <stddef.h>

/* Sorts x (n), no NaN among them, from the least to the greatest. Local. */
void ef_sort_ascending(double *x, size_t n);
