/* The guard backend: a debugging wrapper around another backend.
 *
 * Each operation first checks its preconditions (sizes that fit, indices in range, no overlap), fills what it
 * is to overwrite with a marked NaN, calls the inner backend and looks whether a mark is left. A violation
 * ends the process by abort() with one line on stderr that names the operation, the argument and the index.
 * Local, no state, no allocation. Also here: buffers with canaries, for tests. */
#pragma once

#include "kernels/kernels.h"

/* The guard around blas ("guard") and around the reference ("guard:ref"). */
const ef_kernels *ef_kernels_guard_blas(void);
const ef_kernels *ef_kernels_guard_ref(void);

/* A buffer of `bytes` bytes (0 is allowed) between two strips of known bytes, filled with 0xff: NaN as float,
 * -1 as an integer. Aligned to 64. Aborts if there is no memory. The caller frees it with ef_guard_free. */
void *ef_guard_alloc(size_t bytes);

/* Byte offset of the first canary that was overwritten, relative to the buffer: negative in front of it, at
 * least `bytes` behind it; 0 if both strips are whole. */
ptrdiff_t ef_guard_check(const void *buffer);

/* Frees a buffer of ef_guard_alloc (NULL is allowed); aborts with a message if a canary was overwritten. */
void ef_guard_free(void *buffer);
