/* For doctor.sh, as LD_PRELOAD: on the rank that EDGEFUSE_HANG_RANK names, a collective write of MPI-IO or
 * fsync (EDGEFUSE_HANG_CALL=write or fsync) never comes back, as on a file system that is gone. And OpenBLAS
 * seems to have EDGEFUSE_BLAS_THREADS threads.
 */
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FOREVER_S = 600 };

int openblas_get_num_threads(void);

static void hang(const char *call) {
  const char *chosen = getenv("EDGEFUSE_HANG_CALL"), *rank = getenv("EDGEFUSE_HANG_RANK");
  const char *own = getenv("OMPI_COMM_WORLD_RANK");
  if (chosen && strcmp(chosen, call) == 0 && rank && own && strcmp(rank, own) == 0) sleep(FOREVER_S);
}

int MPI_File_write_at_all(MPI_File file, MPI_Offset offset, const void *data, int count, MPI_Datatype type,
                          MPI_Status *status) {
  hang("write");
  return PMPI_File_write_at_all(file, offset, data, count, type, status);
}

int fsync(int fd) {
  hang("fsync");
  return (int)syscall(SYS_fsync, fd);
}

int openblas_get_num_threads(void) {
  const char *threads = getenv("EDGEFUSE_BLAS_THREADS");
  return threads ? atoi(threads) : 1;
}
