#include "base/clock.h"
#include "par/par.h"

#include <stdio.h>
#include <string.h>

/* What a failing rank tells the others. */
typedef struct notice {
  int status;
  char message[2048], place[128];
} notice;

/* A call that began at `start` and in which ranks wait for each other. */
static ef_status waited(ef_par *par, double start, ef_status status) {
  par->traffic.wait_seconds += ef_clock() - start;
  return status;
}

static ef_status reduce(ef_par *par, int64_t mine, MPI_Op op, int64_t *all) {
  *all = mine;
  if (par->size == 1) return EF_OK;
  double start = ef_clock();
  return waited(par, start,
                ef_mpi(MPI_Allreduce(&mine, all, 1, MPI_INT64_T, op, par->world), "MPI_Allreduce"));
}

static notice notice_of(ef_status status) {
  notice n = {.status = (int)status};
  snprintf(n.message, sizeof n.message, "%s", ef_message());
  snprintf(n.place, sizeof n.place, "%s", ef_message_place());
  return n;
}

/* Takes over the notice of rank `from`; the lowest rank that failed. */
static ef_status adopt(ef_par *par, int from, ef_status status) {
  notice mine = notice_of(status), theirs = mine;
  EF_TRY(ef_bcast(par, from, &theirs, sizeof theirs));
  int64_t alike = 0;
  bool same = mine.status == theirs.status && strcmp(mine.message, theirs.message) == 0;
  EF_TRY(reduce(par, same, MPI_MIN, &alike));
  ef_message_set(theirs.message, theirs.place);
  return alike ? (ef_status)theirs.status : ef_context((ef_status)theirs.status, "rank %d", from);
}

ef_status ef_agree(ef_par *par, ef_status status) {
  if (par->size == 1) return status;
  int64_t lowest = par->size;
  EF_TRY(reduce(par, status == EF_OK ? par->size : par->rank, MPI_MIN, &lowest));
  return lowest == par->size ? EF_OK : adopt(par, (int)lowest, status);
}

ef_status ef_any(ef_par *par, bool flag, bool *any) {
  int64_t all = 0;
  EF_TRY(ef_most(par, flag, &all));
  *any = all != 0;
  return EF_OK;
}

ef_status ef_most(ef_par *par, int64_t mine, int64_t *most) { return reduce(par, mine, MPI_MAX, most); }

ef_status ef_barrier(ef_par *par) {
  if (par->size == 1) return EF_OK;
  double start = ef_clock();
  return waited(par, start, ef_mpi(MPI_Barrier(par->world), "MPI_Barrier"));
}
