/* For tests of whole commands, as LD_PRELOAD: something happens to one rank at one call of a kind.
 *
 * EDGEFUSE_FAULT=RANK:CALL:NUMBER:ACTION; several with commas.
 *   CALL    step (a product of matrices, so any place of a training), write (to a regular file), rename (of a
 *           file onto its final name NAME.h5), collective (a collective write of MPI-IO), fsync, start (of
 * MPI) NUMBER  from 1: the call of this kind at which it happens ACTION  kill (SIGKILL), half (half of the
 * bytes are written, then SIGKILL), full (no space from this write on), late (a second of sleep), hang (for
 * ever)
 *
 * EDGEFUSE_FAULT_COUNTS=FILE: FILE.RANK keeps the number of calls of each kind, also when the rank is killed.
 * EDGEFUSE_BLAS_THREADS: the threads that OpenBLAS seems to have.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LATE_S = 1, FOREVER_S = 600, MOST_FAULTS = 8 };

typedef enum call { STEP, WRITE, RENAME, COLLECTIVE, FSYNC, START, CALLS } call;
static const char *const call_names[CALLS] = {"step", "write", "rename", "collective", "fsync", "start"};

typedef struct fault {
  call call;
  long number;
  char action[16];
} fault;

static fault faults[MOST_FAULTS];
static int fault_count;
static bool disk_full;
static long own_counts[CALLS], *counts = own_counts;

/* ---- what is asked for --------------------------------------------------------------------------------- */

static const char *rank_name(void) {
  const char *rank = getenv("OMPI_COMM_WORLD_RANK");
  return rank ? rank : "0";
}

static void read_fault(const char *text) {
  char rank[16], name[16];
  fault f = {.call = STEP};
  if (sscanf(text, "%15[^:]:%15[^:]:%ld:%15s", rank, name, &f.number, f.action) != 4) abort();
  while (f.call < CALLS && strcmp(call_names[f.call], name) != 0) f.call++;
  if (f.call == CALLS || fault_count == MOST_FAULTS) abort();
  if (strcmp(rank, rank_name()) == 0) faults[fault_count++] = f;
}

/* Counters in a mapped file outlive the process. */
static void map_counts(const char *stem) {
  char path[4096];
  snprintf(path, sizeof path, "%s.%s", stem, rank_name());
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (fd < 0 || ftruncate(fd, sizeof own_counts) != 0) abort();
  void *mapped = mmap(NULL, sizeof own_counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) abort();
  counts = mapped;
  close(fd);
}

__attribute__((constructor)) static void begin(void) {
  const char *wanted = getenv("EDGEFUSE_FAULT"), *stem = getenv("EDGEFUSE_FAULT_COUNTS");
  char text[1024];
  if (!getenv("OMPI_COMM_WORLD_RANK")) return; /* the shell and mpirun */
  if (stem) map_counts(stem);
  snprintf(text, sizeof text, "%s", wanted ? wanted : "");
  char *rest = NULL;
  for (char *one = strtok_r(text, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) read_fault(one);
}

/* The fault of this call, or NULL; sleeps and deaths happen here. */
static const fault *happens(call which) {
  long number = ++counts[which];
  for (int i = 0; i < fault_count; i++) {
    const fault *f = &faults[i];
    if (f->call != which || f->number != number) continue;
    if (strcmp(f->action, "kill") == 0) raise(SIGKILL);
    if (strcmp(f->action, "late") == 0) sleep(LATE_S);
    if (strcmp(f->action, "hang") == 0) sleep(FOREVER_S);
    if (strcmp(f->action, "full") == 0) disk_full = true;
    return f;
  }
  return NULL;
}

static void *next(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) abort();
  return found;
}

/* ---- writes -------------------------------------------------------------------------------------------- */

static bool is_file(int fd) {
  struct stat s;
  return fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
}

/* Before a write: true if it must fail. *half: write half of it and die. */
static bool fails(int fd, bool *half) {
  *half = false;
  if (!is_file(fd)) return false;
  const fault *f = happens(WRITE);
  *half = f && strcmp(f->action, "half") == 0;
  if (disk_full) errno = ENOSPC;
  return disk_full;
}

ssize_t write(int fd, const void *data, size_t n) {
  bool half;
  if (fails(fd, &half)) return -1;
  ssize_t done = syscall(SYS_write, fd, data, half ? n / 2 : n);
  if (half) raise(SIGKILL);
  return done;
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
  bool half;
  if (fails(fd, &half)) return -1;
  ssize_t done = syscall(SYS_pwrite64, fd, data, half ? n / 2 : n, at);
  if (half) raise(SIGKILL);
  return done;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return pwrite64(fd, data, n, at); }

ssize_t pwritev64(int fd, const struct iovec *data, int n, off64_t at) {
  bool half;
  if (fails(fd, &half)) return -1;
  ssize_t done = syscall(SYS_pwritev, fd, data, half ? (n + 1) / 2 : n, at, 0);
  if (half) raise(SIGKILL);
  return done;
}

ssize_t pwritev(int fd, const struct iovec *data, int n, off_t at) { return pwritev64(fd, data, n, at); }

/* The program has an MPI_File_write_at_all of its own, which comes here. */
int PMPI_File_write_at_all(MPI_File file, MPI_Offset offset, const void *data, int count, MPI_Datatype type,
                           MPI_Status *status) {
  static int (*real)(MPI_File, MPI_Offset, const void *, int, MPI_Datatype, MPI_Status *);
  if (!real) *(void **)&real = next("PMPI_File_write_at_all");
  happens(COLLECTIVE);
  return real(file, offset, data, count, type, status);
}

int fsync(int fd) {
  happens(FSYNC);
  return (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to) {
  size_t n = strlen(to);
  if (n > 3 && strcmp(to + n - 3, ".h5") == 0) happens(RENAME);
  return (int)syscall(SYS_rename, from, to);
}

int MPI_Init(int *argc, char ***argv) {
  happens(START);
  return PMPI_Init(argc, argv);
}

/* ---- computation --------------------------------------------------------------------------------------- */

/* The prototype of cblas.h with its enumerations as what they are. */
void cblas_sgemm(int order, int a, int b, int m, int n, int k, float alpha, const float *A, int lda,
                 const float *B, int ldb, float beta, float *C, int ldc) {
  static void (*real)(int, int, int, int, int, int, float, const float *, int, const float *, int, float,
                      float *, int);
  if (!real) *(void **)&real = next("cblas_sgemm");
  happens(STEP);
  real(order, a, b, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc);
}

int openblas_get_num_threads(void);
int openblas_get_num_threads(void) {
  const char *threads = getenv("EDGEFUSE_BLAS_THREADS");
  return threads ? atoi(threads) : 1;
}
