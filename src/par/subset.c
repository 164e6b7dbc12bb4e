#include "par/subset.h"
#include "par/par_internal.h"

#include "base/memory.h"
#include <stdio.h>
#include <unistd.h>

/* How long a rank that failed waits for the others before it concludes that they cannot come. */
enum { PATIENCE_MS = 5000, LOOK_MS = 2 };

bool ef_par_meet(MPI_Comm comm, int rank, int size, ef_status status, int *first) {
  int mine = status == EF_OK ? size : rank, waited = 0, here = 0;
  MPI_Request request;
  /* NOLINTBEGIN(clang-analyzer-optin.mpi.MPI-Checker): a request that is given up ends with the job */
  if (MPI_Iallreduce(&mine, first, 1, MPI_INT, MPI_MIN, comm, &request) != MPI_SUCCESS) return false;
  for (;;) {
    if (MPI_Test(&request, &here, MPI_STATUS_IGNORE) != MPI_SUCCESS) return false;
    if (here) return true;
    if (status != EF_OK && waited >= PATIENCE_MS) return false;
    usleep(LOOK_MS * 1000);
    waited += LOOK_MS;
  }
  /* NOLINTEND(clang-analyzer-optin.mpi.MPI-Checker) */
}

/* What the others take over from the rank that failed. */
typedef struct notice {
  int status;
  char message[2048], place[128];
} notice;

ef_status ef_par_rejoin(ef_par *par, ef_status status) {
  int first = par->size;
  if (par->size == 1) return status;
  if (!ef_par_meet(par->world, par->rank, par->size, status, &first))
    return status != EF_OK ? status : ef_fail(EF_MACHINE, __FILE__, __LINE__, "the ranks cannot meet");
  if (first == par->size) return EF_OK;
  notice n = {.status = (int)status};
  snprintf(n.message, sizeof n.message, "%s", ef_message());
  snprintf(n.place, sizeof n.place, "%s", ef_message_place());
  EF_TRY(ef_bcast(par, first, &n, sizeof n));
  ef_message_set(n.message, n.place);
  return (ef_status)n.status;
}

static ef_status split(const ef_par *par, int ranks, ef_par *part) {
  int color = par->rank < ranks ? 0 : MPI_UNDEFINED;
  EF_TRY(ef_mpi(MPI_Comm_split(par->world, color, par->rank, &part->world), "MPI_Comm_split"));
  if (part->world == MPI_COMM_NULL) return EF_OK;
  EF_TRY(ef_mpi(MPI_Comm_set_errhandler(part->world, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"));
  EF_TRY(ef_mpi(MPI_Comm_split_type(part->world, MPI_COMM_TYPE_SHARED, par->rank, MPI_INFO_NULL, &part->node),
                "MPI_Comm_split_type"));
  return ef_par_lists(part);
}

ef_status ef_par_subset(ef_par *par, int ranks, ef_par *part) {
  *part = ef_par_alone();
  if (par->size == 1) return EF_OK;
  part->rank = par->rank;
  part->size = ranks;
  part->chunk = par->chunk;
  return ef_agree(par, split(par, ranks, part));
}
