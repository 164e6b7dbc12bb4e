/* edgefuse: arguments, MPI, one command, one exit. Only this file ends the process. */
#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "par/stop.h"
#include "par/subset.h"
#include <malloc.h>
#include <mpi.h>
#include <stdio.h>

/* A freed block of this size goes back to the system at once, so that the resident peak is that of the plan;
 * glibc would raise its threshold as blocks are freed. */
enum { BIG_BLOCK = 1 << 17 };

/* The release build tolerates a leak with a warning; in a debug build it is a fault. */
static ef_status check_balance(size_t blocks_before) {
  size_t blocks = ef_memory_blocks();
  if (blocks == blocks_before) return EF_OK;
#ifdef NDEBUG
  ef_warn("%zu blocks of memory were not given back", blocks - blocks_before);
  return EF_OK;
#else
  return ef_fail(EF_FAULT, __FILE__, __LINE__, "%zu blocks of memory (%zu bytes) were not given back",
                 blocks - blocks_before, ef_memory_bytes());
#endif
}

static void print_error(const ef_par *par, ef_status status, bool alone) {
  const char *message = ef_message()[0] ? ef_message() : ef_status_text(status);
  ef_log_erase();
  if (alone && par->size > 1) {
    fprintf(stderr, "edgefuse: rank %d: %s\n", par->rank, message);
  } else {
    fprintf(stderr, "edgefuse: %s\n", message);
  }
  if (ef_log_on(EF_LOG_VERBOSE)) fprintf(stderr, "edgefuse: raised at %s\n", ef_message_place());
}

int main(int argc, char **argv) {
  mallopt(M_MMAP_THRESHOLD, BIG_BLOCK);
  if (ef_cli_stranded(argc, argv)) return ef_status_exit_code(EF_MACHINE);
  ef_stop_hold();
  ef_par par = {0};
  ef_watch *watch = ef_cli_watch_start(argc, argv);
  ef_status status = ef_par_start(&argc, &argv, &par);
  ef_watch_free(watch);
  if (status != EF_OK) {
    fprintf(stderr, "edgefuse: %s\n", ef_message());
    return ef_status_exit_code(status);
  }
  size_t blocks = ef_memory_blocks();
  ef_cli cli = {.par = &par};
  ef_log_setup(EF_LOG_INFO, ef_par_root(&par));
  status = ef_cli_run(&cli, argc, argv);
  ef_cli_free(&cli);
  if (fflush(stdout) != 0 && status == EF_OK) {
    status = ef_fail(EF_MACHINE, __FILE__, __LINE__, "standard output could not be written");
  }
  if (status == EF_OK) status = check_balance(blocks);

  int first = par.rank;
  /* the communicator is no one else's, so that no collective of the command is met */
  bool met = ef_par_meet(MPI_COMM_WORLD, par.rank, par.size, status, &first);
  if (status != EF_OK && !cli.silent && (!met || first == par.rank))
    print_error(&par, status, !met || first != 0);
  int code = ef_status_exit_code(status);
  if (!met) ef_par_abort(&par, code);
  ef_par_finish(&par);
  return code;
}
