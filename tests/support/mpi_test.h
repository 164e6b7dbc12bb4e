/* A multi-rank Criterion test: MPI starts in the worker of the test, and finalises only if the body came to
 * its end (a rank that failed must not wait for the others). Register each case in mpi/cases.cmake. */
#pragma once

#include <criterion/criterion.h>
#include <mpi.h>
#include <signal.h>
#include <sys/prctl.h>

static int mpi_rank, mpi_size, mpi_done;

static void mpi_up(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  MPI_Init(NULL, NULL);
  MPI_Comm_rank(MPI_COMM_WORLD, &mpi_rank);
  MPI_Comm_size(MPI_COMM_WORLD, &mpi_size);
}

static void mpi_down(void) {
  if (mpi_done) MPI_Finalize();
}

/* True on every rank if `ok` holds on every rank: reduce first, assert then. */
static inline int mpi_all(int ok) {
  int all = 0;
  MPI_Allreduce(&ok, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  return all;
}

#define MPI_TEST(suite, name)                                                                                \
  static void suite##_##name##_body(void);                                                                   \
  Test(suite, name, .init = mpi_up, .fini = mpi_down) {                                                      \
    suite##_##name##_body();                                                                                 \
    mpi_done = 1;                                                                                            \
  }                                                                                                          \
  static void suite##_##name##_body(void)
