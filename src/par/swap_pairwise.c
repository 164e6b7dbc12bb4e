#include "par/swap_internal.h"

/* Bytes of the piece that starts at `done` of a message; 0 at its end. */
static int piece(const ef_par *par, size_t bytes, size_t done) {
  if (done >= bytes) return 0;
  return (int)(bytes - done < par->chunk ? bytes - done : par->chunk);
}

/* Posts the pieces at `done` of all messages: first what is received, then what is sent, each rank starting
 * with its neighbour so that no rank is everyone's first. */
static ef_status post(ef_par *par, int tag, const ef_pair *pairs, size_t done) {
  for (int i = 1; i < par->size; i++) {
    int from = (par->rank + par->size - i) % par->size, n = piece(par, pairs[from].recv_bytes, done);
    if (n == 0) continue;
    EF_TRY(ef_mpi(
        MPI_Irecv((char *)pairs[from].recv + done, n, MPI_BYTE, from, tag, par->world, &par->requests[from]),
        "MPI_Irecv"));
  }
  for (int i = 1; i < par->size; i++) {
    int to = (par->rank + i) % par->size, n = piece(par, pairs[to].send_bytes, done);
    if (n == 0) continue;
    EF_TRY(ef_mpi(MPI_Isend((const char *)pairs[to].send + done, n, MPI_BYTE, to, tag, par->world,
                            &par->requests[par->size + to]),
                  "MPI_Isend"));
  }
  return EF_OK;
}

/* Length of the longest message of this rank. */
static size_t longest(const ef_par *par, const ef_pair *pairs) {
  size_t bytes = 0;
  for (int r = 0; r < par->size; r++) {
    if (r == par->rank) continue;
    if (pairs[r].send_bytes > bytes) bytes = pairs[r].send_bytes;
    if (pairs[r].recv_bytes > bytes) bytes = pairs[r].recv_bytes;
  }
  return bytes;
}

ef_status ef_pairwise_begin(ef_par *par, int tag, const ef_pair *pairs) {
  ef_pairs_count(par, pairs);
  return post(par, tag, pairs, 0);
}

ef_status ef_pairwise_end(ef_par *par, int tag, const ef_pair *pairs) {
  size_t bytes = longest(par, pairs);
  for (size_t done = 0; done < bytes;) {
    EF_TRY(ef_mpi(MPI_Waitall(2 * par->size, par->requests, MPI_STATUSES_IGNORE), "MPI_Waitall"));
    done += par->chunk;
    EF_TRY(post(par, tag, pairs, done));
  }
  return EF_OK;
}
