/* Collective writing whose failed writes are not told to HDF5, as in h5_driver.c. A write may fail on one
 * rank alone; HDF5 then leaves its own collective calls there and the ranks wait for each other at different
 * places for ever, at the latest when the file is closed. So the calls that HDF5 makes come here first, by
 * MPI's profiling interface; the first error is kept, and ef_h5_settle makes it the failure of all ranks.
 */
#include "store/h5_internal.h"

#include <errno.h>
#include <stdlib.h>

static int kept;

/* Each rank writes tensors of its own, so there is nothing to gather first; and where it does gather, in
 * `vulcan`, ompio leaves the other ranks waiting if the rank that writes cannot. Read when the first file is
 * opened. */
void ef_h5_mpio_prepare(void) { setenv("OMPI_MCA_fcoll", "individual", 0); }

int ef_h5_mpio_error(void) {
  int error = kept;
  kept = 0;
  return error;
}

/* HDF5 always asks for the status and counts the bytes that it tells; ompio may tell of a failure there
 * alone. */
static int pretend(int rc, int count, MPI_Datatype type, MPI_Status *status) {
  int reason = errno, size = 0, told = 0;
  PMPI_Type_size(type, &size);
  if (rc == MPI_SUCCESS) PMPI_Get_elements(status, MPI_BYTE, &told);
  if (rc == MPI_SUCCESS && told == size * count) return MPI_SUCCESS;
  if (kept == 0) kept = reason ? reason : EIO;
  return PMPI_Status_set_elements(status, MPI_BYTE, size * count);
}

int MPI_File_write_at(MPI_File file, MPI_Offset offset, const void *data, int count, MPI_Datatype type,
                      MPI_Status *status) {
  errno = 0;
  return pretend(PMPI_File_write_at(file, offset, data, count, type, status), count, type, status);
}

int MPI_File_write_at_all(MPI_File file, MPI_Offset offset, const void *data, int count, MPI_Datatype type,
                          MPI_Status *status) {
  errno = 0;
  return pretend(PMPI_File_write_at_all(file, offset, data, count, type, status), count, type, status);
}
