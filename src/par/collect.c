#include "base/clock.h"
#include "base/memory.h"
#include "par/par.h"

#include <string.h>

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* A call that moved data and that began at `start`: `bytes` of them went to other ranks. */
static void count(ef_par *par, double start, size_t bytes) {
  par->traffic.bytes += bytes;
  par->traffic.exchange_seconds += ef_clock() - start;
}

ef_status ef_bcast(ef_par *par, int from, void *data, size_t bytes) {
  if (par->size == 1) return EF_OK;
  double start = ef_clock();
  for (size_t done = 0; done < bytes;) {
    size_t n = smaller(bytes - done, par->chunk);
    EF_TRY(ef_mpi(MPI_Bcast((char *)data + done, (int)n, MPI_BYTE, from, par->world), "MPI_Bcast"));
    done += n;
  }
  count(par, start, par->rank == from ? bytes * (size_t)(par->size - 1) : 0);
  return EF_OK;
}

ef_status ef_bcast_block(ef_par *par, int from, void **data, size_t *bytes) {
  uint64_t size = *bytes;
  EF_TRY(ef_bcast(par, from, &size, sizeof size));
  ef_status status = EF_OK;
  char *block = *data;
  if (par->rank != from) status = EF_NEW(block, (size_t)size);
  status = ef_agree(par, status);
  if (status == EF_OK) status = ef_bcast(par, from, block, (size_t)size);
  if (status != EF_OK) {
    if (par->rank != from) ef_free(block);
    return status;
  }
  *data = block;
  *bytes = (size_t)size;
  return EF_OK;
}

ef_status ef_send(ef_par *par, int to, int tag, const void *data, size_t bytes) {
  double start = ef_clock();
  for (size_t done = 0; done < bytes;) {
    size_t n = smaller(bytes - done, par->chunk);
    EF_TRY(ef_mpi(MPI_Send((const char *)data + done, (int)n, MPI_BYTE, to, tag, par->world), "MPI_Send"));
    done += n;
  }
  count(par, start, bytes);
  return EF_OK;
}

ef_status ef_recv(ef_par *par, int from, int tag, void *data, size_t bytes) {
  double start = ef_clock();
  for (size_t done = 0; done < bytes;) {
    size_t n = smaller(bytes - done, par->chunk);
    MPI_Status got;
    int received = 0;
    EF_TRY(ef_mpi(MPI_Recv((char *)data + done, (int)n, MPI_BYTE, from, tag, par->world, &got), "MPI_Recv"));
    EF_TRY(ef_mpi(MPI_Get_count(&got, MPI_BYTE, &received), "MPI_Get_count"));
    EF_TRY(EF_CHECK(received == (int)n, EF_FAULT,
                    "message from rank %d, tag %d: %d bytes where %zu were expected", from, tag, received,
                    n));
    done += n;
  }
  count(par, start, 0);
  return EF_OK;
}

/* Every rank's `bytes` to all; one broadcast per rank where one call could not count them. */
static ef_status allgather(ef_par *par, const void *mine, size_t bytes, void *all) {
  memmove((char *)all + (size_t)par->rank * bytes, mine, bytes);
  if (par->size == 1 || bytes == 0) return EF_OK;
  if (bytes <= par->chunk / (size_t)par->size) {
    int n = (int)bytes;
    double start = ef_clock();
    EF_TRY(ef_mpi(MPI_Allgather(MPI_IN_PLACE, n, MPI_BYTE, all, n, MPI_BYTE, par->world), "MPI_Allgather"));
    count(par, start, bytes * (size_t)(par->size - 1));
    return EF_OK;
  }
  for (int r = 0; r < par->size; r++) EF_TRY(ef_bcast(par, r, (char *)all + (size_t)r * bytes, bytes));
  return EF_OK;
}

ef_status ef_allgather_i64(ef_par *par, const int64_t *mine, size_t count, int64_t *all) {
  return allgather(par, mine, count * sizeof *mine, all);
}

ef_status ef_allgather_f64(ef_par *par, const double *mine, size_t count, double *all) {
  return allgather(par, mine, count * sizeof *mine, all);
}
