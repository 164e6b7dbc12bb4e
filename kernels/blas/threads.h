/* What OpenBLAS the program runs with, which is chosen when it starts: flavours share one library name.
 */
#pragma once

/* Threads that a product uses in this process. Local. */
int ef_blas_threads(void);

/* "serial", "pthread" or "openmp". Local. */
const char *ef_blas_flavour(void);
