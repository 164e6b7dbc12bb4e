/* Three calls of MPI as real libraries make them, where SMPI's own cost the simulation the cube of the ranks:
 * no messages of no bytes in an all-to-all, and waits one after the other, for those under way alone, which
 * end at the same simulated time. They stand before SMPI's at link time (-Bsymbolic).
 */
#include "base/memory.h"
#include "par/par.h"

/* The all-to-all under way, one at a time as in par/par.h; SMPI keeps one copy of these for each rank. */
static MPI_Request *posted; /* as long as the process */
static size_t count, room;

static bool reserve(size_t wanted) {
  if (room >= wanted) return true;
  ef_free(posted);
  posted = ef_alloc(wanted, sizeof(*posted)); /* NOLINT(bugprone-sizeof-expression) */
  room = posted ? wanted : 0;
  return posted != NULL;
}

int MPI_Ialltoallv(const void *send, const int *send_counts, const int *send_places, MPI_Datatype send_type,
                   void *recv, const int *recv_counts, const int *recv_places, MPI_Datatype recv_type,
                   MPI_Comm comm, MPI_Request *request) {
  int rank, size, code = MPI_SUCCESS;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  count = 0;
  if (!reserve(2 * (size_t)size)) return MPI_ERR_NO_MEM;
  for (int i = 1; i < size && code == MPI_SUCCESS; i++) {
    int from = (rank + size - i) % size;
    if (recv_counts[from] == 0) continue;
    code = MPI_Irecv((char *)recv + recv_places[from], recv_counts[from], recv_type, from, 0, comm,
                     &posted[count++]);
  }
  for (int i = 1; i < size && code == MPI_SUCCESS; i++) {
    int to = (rank + i) % size;
    if (send_counts[to] == 0) continue;
    code = MPI_Isend((const char *)send + send_places[to], send_counts[to], send_type, to, 0, comm,
                     &posted[count++]);
  }
  *request = count > 0 ? posted[0] : MPI_REQUEST_NULL;
  return code;
}

int MPI_Waitall(int requests, MPI_Request *request, MPI_Status *statuses) {
  int code = MPI_SUCCESS;
  (void)statuses;
  for (int i = 0; i < requests && code == MPI_SUCCESS; i++) {
    if (request[i] != MPI_REQUEST_NULL) code = PMPI_Wait(&request[i], MPI_STATUS_IGNORE);
  }
  return code;
}

int MPI_Wait(MPI_Request *request, MPI_Status *status) {
  if (count == 0 || *request != posted[0]) return PMPI_Wait(request, status);
  *request = MPI_REQUEST_NULL;
  int code = MPI_Waitall((int)count, posted, MPI_STATUSES_IGNORE);
  count = 0;
  return code;
}
