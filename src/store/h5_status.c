#include "store/h5_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES = 1024, PLACE_BYTES = 128 };

static herr_t keep_deepest(unsigned n, const H5E_error2_t *error, void *text) {
  if (n == 0) snprintf(text, TEXT_BYTES, "%s", error->desc ? error->desc : "");
  return 0;
}

/* HDF5 reports system errors as "time = ..., error message = 'No space left on device', ...": the quoted part
 * is what the user needs, and addresses and times would differ from run to run. */
static void shorten(char *text) {
  static const char key[] = "error message = '";
  char *begin = strstr(text, key);
  if (begin) {
    begin += sizeof key - 1;
    size_t n = strcspn(begin, "'");
    memmove(text, begin, n);
    text[n] = '\0';
  }
  for (char *p = text; *p; p++) {
    if (iscntrl((unsigned char)*p)) *p = ' ';
  }
}

ef_status ef_h5_raise(ef_status status, const char *file, int line, const char *fmt, ...) {
  char deepest[TEXT_BYTES] = "", text[TEXT_BYTES];
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_deepest, deepest);
  H5Eclear2(H5E_DEFAULT);
  shorten(deepest);
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  return ef_fail(status, file, line, "%s%s%s", text, deepest[0] ? ": " : "", deepest);
}

void ef_h5_silence(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

typedef struct verdict {
  int status;
  char text[TEXT_BYTES], place[PLACE_BYTES];
} verdict;

static ef_status spread(MPI_Comm comm, int rank, int from, ef_status status) {
  verdict v = {.status = (int)status};
  if (rank == from) {
    snprintf(v.text, sizeof v.text, "%.*s", TEXT_BYTES - 1, ef_message());
    snprintf(v.place, sizeof v.place, "%s", ef_message_place());
  }
  if (MPI_Bcast(&v, (int)sizeof v, MPI_BYTE, from, comm) != MPI_SUCCESS) {
    return ef_fail(EF_MACHINE, __FILE__, __LINE__, "MPI broadcast of an error failed");
  }
  if (rank == from) return status;
  char text[TEXT_BYTES + 32];
  bool named = strncmp(v.text, "rank ", 5) == 0; /* agreed on before */
  if (named) {
    snprintf(text, sizeof text, "%s", v.text);
  } else {
    snprintf(text, sizeof text, "rank %d: %s", from, v.text);
  }
  ef_message_set(text, v.place);
  return (ef_status)v.status;
}

ef_status ef_h5_agree(MPI_Comm comm, ef_status status) {
  if (comm == MPI_COMM_NULL) return status;
  int rank = 0, ranks = 1, lowest = 0;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &ranks);
  int mine = status == EF_OK ? ranks : rank;
  int rc = MPI_Allreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, comm);
  EF_TRY(EF_CHECK(rc == MPI_SUCCESS, EF_MACHINE, "MPI all-reduce of a status failed"));
  return lowest == ranks ? EF_OK : spread(comm, rank, lowest, status);
}

/* What a driver kept to itself. */
static ef_status kept_error(const ef_h5 *file) {
  int error = file->comm == MPI_COMM_NULL ? file->error : ef_h5_mpio_error();
  return EF_CHECK(error == 0, EF_MACHINE, "%s: cannot be written: %s", file->path, strerror(error));
}

ef_status ef_h5_settle(const ef_h5 *file, ef_status status) {
  return ef_h5_agree(file->comm, status == EF_OK ? kept_error(file) : status);
}
