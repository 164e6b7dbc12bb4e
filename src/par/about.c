#include "par/about.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The first words of the library's own text, which goes on with its build. */
static ef_status library_of(ef_par_about *about) {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  EF_TRY(ef_mpi(MPI_Get_library_version(text, &length), "MPI_Get_library_version"));
  text[strcspn(text, ",\n")] = '\0';
  snprintf(about->library, sizeof about->library, "%.*s", (int)sizeof about->library - 1, text);
  return ef_mpi(MPI_Get_version(&about->version, &about->subversion), "MPI_Get_version");
}

static const char *level_name(int level) {
  if (level == MPI_THREAD_SINGLE) return "single";
  if (level == MPI_THREAD_FUNNELED) return "funneled";
  return level == MPI_THREAD_SERIALIZED ? "serialized" : "multiple";
}

ef_status ef_par_about_get(ef_par *par, ef_par_about *about) {
  int started = 0, level = MPI_THREAD_SINGLE;
  *about = (ef_par_about){.node = par->rank};
  EF_TRY(library_of(about));
  if (gethostname(about->host, sizeof about->host - 1) != 0)
    snprintf(about->host, sizeof about->host, "unknown");
  EF_TRY(ef_mpi(MPI_Initialized(&started), "MPI_Initialized"));
  about->started = started;
  about->threads = "none";
  if (!started) return EF_OK;
  EF_TRY(ef_mpi(MPI_Query_thread(&level), "MPI_Query_thread"));
  about->threads = level_name(level);
  if (par->size > 1) about->node = par->nodes.leader[par->rank];
  return EF_OK;
}
