#include "par/par_internal.h"

#include "base/memory.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CHUNK = 1 << 30 };

ef_status ef_mpi(int code, const char *what) {
  if (code == MPI_SUCCESS) return EF_OK;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  if (MPI_Error_string(code, text, &length) != MPI_SUCCESS) snprintf(text, sizeof text, "MPI error %d", code);
  return ef_fail(EF_MACHINE, __FILE__, __LINE__, "%s: %s", what, text);
}

static ef_status start_mpi(int *argc, char ***argv, ef_par *par) {
  int started = 0;
  EF_TRY(ef_mpi(MPI_Initialized(&started), "MPI_Initialized"));
  if (started) return EF_OK;
  EF_TRY(ef_mpi(MPI_Init(argc, argv), "MPI_Init"));
  par->finalizes = true;
  return EF_OK;
}

static ef_status duplicate(ef_par *par) {
  EF_TRY(ef_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &par->world), "MPI_Comm_dup"));
  EF_TRY(ef_mpi(MPI_Comm_set_errhandler(par->world, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"));
  EF_TRY(ef_mpi(MPI_Comm_rank(par->world, &par->rank), "MPI_Comm_rank"));
  EF_TRY(ef_mpi(MPI_Comm_size(par->world, &par->size), "MPI_Comm_size"));
  return ef_mpi(MPI_Comm_split_type(par->world, MPI_COMM_TYPE_SHARED, par->rank, MPI_INFO_NULL, &par->node),
                "MPI_Comm_split_type");
}

ef_status ef_par_start(int *argc, char ***argv, ef_par *par) {
  *par = (ef_par){.world = MPI_COMM_NULL, .node = MPI_COMM_NULL, .chunk = FIRST_CHUNK};
  EF_TRY(start_mpi(argc, argv, par));
  EF_TRY(duplicate(par));
  /* A rank that writes to one that has died shall be told so by MPI, not die of the pipe. */
  if (par->size > 1) signal(SIGPIPE, SIG_IGN);
  return ef_agree(par, ef_par_lists(par));
}

ef_status ef_par_lists(ef_par *par) {
  size_t size = (size_t)par->size;
  /* MPI_Request is a pointer in Open MPI. NOLINTNEXTLINE(bugprone-sizeof-expression) */
  EF_TRY(EF_NEW(par->requests, 2 * size));
  for (size_t i = 0; i < 2 * size; i++) par->requests[i] = MPI_REQUEST_NULL;
  EF_TRY(EF_NEW(par->numbers, 4 * size));
  return ef_nodes_find(par);
}

void ef_par_finish(ef_par *par) {
  ef_free(par->requests);
  ef_free(par->numbers);
  ef_free(par->nodes.leader);
  ef_free(par->nodes.order);
  ef_staging_free(par->staging);
  if (par->node != MPI_COMM_NULL) MPI_Comm_free(&par->node);
  if (par->world != MPI_COMM_NULL) MPI_Comm_free(&par->world);
  if (par->finalizes) MPI_Finalize();
  *par = (ef_par){.world = MPI_COMM_NULL, .node = MPI_COMM_NULL};
}

_Noreturn void ef_par_abort(ef_par *par, int exit_code) {
  MPI_Abort(par->world == MPI_COMM_NULL ? MPI_COMM_WORLD : par->world, exit_code);
  _Exit(exit_code);
}

ef_traffic ef_traffic_since(const ef_par *par, const ef_traffic *before) {
  const ef_traffic *now = &par->traffic;
  return (ef_traffic){.bytes = now->bytes - before->bytes,
                      .exchange_seconds = now->exchange_seconds - before->exchange_seconds,
                      .wait_seconds = now->wait_seconds - before->wait_seconds};
}

void ef_par_set_chunk(ef_par *par, size_t bytes) {
  par->chunk = bytes < 1 ? 1 : bytes > INT_MAX ? INT_MAX : bytes;
}
