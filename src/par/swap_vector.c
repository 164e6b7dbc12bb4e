#include "par/swap_internal.h"

#include <limits.h>

/* Where the first of all messages stands, and each one's place behind it. */
static ef_status place(int size, int rank, const ef_pair *pairs, bool sends, int *counts, int *places,
                       const char **base) {
  *base = NULL;
  for (int r = 0; r < size; r++) {
    const char *at = sends ? pairs[r].send : pairs[r].recv;
    size_t bytes = sends ? pairs[r].send_bytes : pairs[r].recv_bytes;
    if (r != rank && bytes > 0 && (!*base || at < *base)) *base = at;
  }
  for (int r = 0; r < size; r++) {
    const char *at = sends ? pairs[r].send : pairs[r].recv;
    size_t bytes = r == rank ? 0 : sends ? pairs[r].send_bytes : pairs[r].recv_bytes;
    size_t behind = bytes > 0 ? (size_t)(at - *base) : 0;
    EF_TRY(EF_CHECK(bytes <= INT_MAX && behind <= INT_MAX, EF_FAULT,
                    "an all-to-all in one call: %zu bytes, %zu behind the first", bytes, behind));
    counts[r] = (int)bytes;
    places[r] = (int)behind;
  }
  return EF_OK;
}

ef_status ef_vector_begin(ef_par *par, const ef_pair *pairs) {
  int size = par->size, *numbers = par->numbers;
  const char *out, *in;
  ef_pairs_count(par, pairs);
  EF_TRY(place(size, par->rank, pairs, true, numbers, numbers + size, &out));
  EF_TRY(place(size, par->rank, pairs, false, numbers + 2 * size, numbers + 3 * size, &in));
  return ef_mpi(MPI_Ialltoallv(out, numbers, numbers + size, MPI_BYTE, (void *)in, numbers + 2 * size,
                               numbers + 3 * size, MPI_BYTE, par->world, &par->requests[0]),
                "MPI_Ialltoallv");
}

ef_status ef_vector_end(ef_par *par) {
  return ef_mpi(MPI_Wait(&par->requests[0], MPI_STATUS_IGNORE), "MPI_Wait");
}
