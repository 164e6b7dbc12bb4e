/* The k largest of n numbers. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* index, value (k): the k largest of x (n), by descending value, ties by lower index; 0 < k <= n. Local. */
void ef_top_k(size_t n, size_t k, const float *x, int32_t *index, float *value);
