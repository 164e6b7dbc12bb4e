#include "doctor/hdf5.h"

#include "base/clock.h"
#include "base/memory.h"
#include "store/h5.h"
#include <string.h>

/* A dataset of 1 MiB for each of some ranks, spread over all. */
enum { MOST_WRITERS = 16, COUNT = 1 << 18, NAME_BYTES = 32 };

void ef_check_mpi(const ef_par_about *about, ef_diagnosis *d) {
  if (!about->started) return;
  ef_diagnosis_add(d, EF_HEALTH_OK, "MPI", "", "%s, standard %d.%d, thread level %s", about->library,
                   about->version, about->subversion, about->threads);
}

bool ef_check_hdf5(const ef_h5_about *about, ef_diagnosis *d) {
  static const char name[] = "HDF5";
  const unsigned *b = about->built, *l = about->linked;
  if (!about->parallel) {
    ef_diagnosis_add(d, EF_HEALTH_FAIL, name, "build edgefuse with libhdf5-openmpi-dev",
                     "%u.%u.%u, built without MPI", b[0], b[1], b[2]);
    return false;
  }
  if (memcmp(about->built, about->linked, sizeof about->built) != 0) {
    ef_diagnosis_add(d, EF_HEALTH_FAIL, name,
                     "build edgefuse anew, or set LD_LIBRARY_PATH to the library of the build",
                     "built against %u.%u.%u, runs with %u.%u.%u", b[0], b[1], b[2], l[0], l[1], l[2]);
    return false;
  }
  ef_diagnosis_add(d, EF_HEALTH_OK, name, "", "%u.%u.%u, built and running, parallel", l[0], l[1], l[2]);
  return true;
}

/* ---- the file ------------------------------------------------------------------------------------------ */

static int writers_of(const ef_par *par) { return par->size < MOST_WRITERS ? par->size : MOST_WRITERS; }

/* The rank that owns dataset `w`. */
static int owner_of(const ef_par *par, int w) { return (int)((int64_t)w * par->size / writers_of(par)); }

static ef_h5_array array_of(int w, char name[NAME_BYTES]) {
  snprintf(name, NAME_BYTES, "/writer_%02d", w);
  return (ef_h5_array){.path = name,
                       .type = EF_H5_I32,
                       .rank = 1,
                       .shape = {COUNT},
                       .description = "numbers of a known row",
                       .units = "1",
                       .dims = "row"};
}

static int32_t value(int w, size_t i) { return (int32_t)((uint32_t)i * 2654435761u + (uint32_t)w); }

static ef_status write_file(ef_par *par, const ef_probe *probe, int32_t *row) {
  ef_h5 *file = NULL;
  ef_h5_header header = {.kind = "probe", .deck = "", .ranks = par->size};
  EF_TRY(ef_h5_create(probe->path, par->world, &header, &file));
  ef_status status = EF_OK;
  for (int w = 0; status == EF_OK && w < writers_of(par); w++) {
    char name[NAME_BYTES];
    ef_h5_array array = array_of(w, name);
    bool mine = owner_of(par, w) == par->rank;
    for (size_t i = 0; mine && i < COUNT; i++) row[i] = value(w, i);
    status = ef_h5_write(file, &array, mine ? row : NULL);
  }
  if (status == EF_OK) return ef_h5_commit(file);
  ef_h5_close(file);
  return status;
}

static ef_status read_file(const ef_par *par, const ef_probe *probe, int32_t *row) {
  ef_h5 *file = NULL;
  EF_TRY(ef_h5_open(probe->path, "probe", &file));
  ef_status status = EF_OK;
  size_t wrong = 0;
  for (int w = 0; status == EF_OK && w < writers_of(par); w++) {
    char name[NAME_BYTES];
    ef_h5_array array = array_of(w, name);
    status = ef_h5_read(file, &array, row);
    for (size_t i = 0; status == EF_OK && i < COUNT; i++) wrong += row[i] != value(w, i);
  }
  ef_h5_close(file);
  if (status != EF_OK) return status;
  return EF_CHECK(wrong == 0, EF_MACHINE, "%s: %zu numbers are not those that were written", probe->path,
                  wrong);
}

static ef_status write_and_read(ef_par *par, const ef_probe *probe, int32_t *row) {
  EF_TRY(write_file(par, probe, row));
  return ef_agree(par, read_file(par, probe, row));
}

static void report(const ef_par *par, const ef_probe *probe, ef_status status, double seconds,
                   ef_diagnosis *d) {
  static const char name[] = "parallel HDF5";
  if (status != EF_OK) {
    ef_diagnosis_add(d, EF_HEALTH_FAIL, name,
                     "try another MPI-IO: OMPI_MCA_io=romio321 or OMPI_MCA_io=ompio; or another file system",
                     "%s", ef_message());
    return;
  }
  ef_diagnosis_add(d, EF_HEALTH_OK, name, "",
                   "%s: %d rank%s wrote %.1f MB together, all read them back, %.2f s", probe->folder,
                   par->size, par->size == 1 ? "" : "s",
                   (double)(writers_of(par) * COUNT) * sizeof(int32_t) / 1e6, seconds);
}

ef_status ef_check_parallel_hdf5(ef_par *par, const ef_probe *probe, ef_diagnosis *d) {
  int32_t *row = NULL;
  EF_TRY(ef_agree(par, EF_NEW(row, COUNT)));
  double started = ef_clock();
  ef_status status = write_and_read(par, probe, row);
  ef_free(row);
  EF_TRY(ef_barrier(par)); /* nobody reads any more */
  if (!ef_par_root(par)) return EF_OK;
  report(par, probe, status, ef_clock() - started, d);
  ef_probe_remove(probe);
  return EF_OK;
}
