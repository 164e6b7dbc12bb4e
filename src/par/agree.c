#include "base/clock.h"
#include "par/par.h"

#include <stdio.h>
#include <string.h>

/* What a failing rank tells the others. */
typedef struct notice {
  int status;
  char message[2048], place[128];
} notice;

static ef_status reduce_int(ef_par *par, int mine, MPI_Op op, int *all) {
  *all = mine;
  if (par->size == 1) return EF_OK;
  double start = ef_clock();
  ef_status status = ef_mpi(MPI_Allreduce(&mine, all, 1, MPI_INT, op, par->world), "MPI_Allreduce");
  par->traffic.wait_seconds += ef_clock() - start;
  return status;
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
  int alike = 0;
  int same = mine.status == theirs.status && strcmp(mine.message, theirs.message) == 0;
  EF_TRY(reduce_int(par, same, MPI_MIN, &alike));
  ef_message_set(theirs.message, theirs.place);
  return alike ? (ef_status)theirs.status : ef_context((ef_status)theirs.status, "rank %d", from);
}

ef_status ef_agree(ef_par *par, ef_status status) {
  if (par->size == 1) return status;
  int lowest = par->size;
  EF_TRY(reduce_int(par, status == EF_OK ? par->size : par->rank, MPI_MIN, &lowest));
  return lowest == par->size ? EF_OK : adopt(par, lowest, status);
}

ef_status ef_any(ef_par *par, bool flag, bool *any) {
  int all = 0;
  EF_TRY(reduce_int(par, flag, MPI_MAX, &all));
  *any = all != 0;
  return EF_OK;
}

ef_status ef_most(ef_par *par, int64_t mine, int64_t *most) {
  *most = mine;
  if (par->size == 1) return EF_OK;
  double start = ef_clock();
  ef_status status = ef_mpi(MPI_Allreduce(&mine, most, 1, MPI_INT64_T, MPI_MAX, par->world), "MPI_Allreduce");
  par->traffic.wait_seconds += ef_clock() - start;
  return status;
}

ef_status ef_barrier(ef_par *par) {
  if (par->size == 1) return EF_OK;
  double start = ef_clock();
  ef_status status = ef_mpi(MPI_Barrier(par->world), "MPI_Barrier");
  par->traffic.wait_seconds += ef_clock() - start;
  return status;
}
