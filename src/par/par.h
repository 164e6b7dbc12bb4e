/* MPI behind one struct: communicators, agreement on errors, and collectives whose results do not depend on
 * the number of ranks. The only folder (beside store/ and main.c) that sees MPI.
 *
 * Rank 0 is the root. Every rank runs one thread. All functions marked Collective are called by all ranks of
 * the world in the same order. MPI failures are EF_MACHINE.
 */
#pragma once

#include "base/status.h"
#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

/* What talking to the others has taken this rank so far; what is left of a time span is its own work. */
typedef struct ef_traffic {
  uint64_t bytes;          /* handed to MPI for other ranks; agreement aside */
  double exchange_seconds; /* in calls that move data, until the other side is there too */
  double wait_seconds;     /* in agreement and barriers: for the slowest rank */
} ef_traffic;

/* Which ranks share memory. The leader of a node is its lowest rank. */
typedef struct ef_nodes {
  int count;
  int *leader;               /* (size) of the node of each rank; owned */
  int *order;                /* (size) ranks by node, nodes by leader; owned */
  int first, members, index; /* this node's place in the order and its ranks; this rank among them */
} ef_nodes;

typedef struct ef_staging ef_staging; /* of a swap in two levels: swap_by_node.c */

typedef struct ef_par {
  MPI_Comm world; /* duplicate of MPI_COMM_WORLD, errors returned; owned */
  MPI_Comm node;  /* ranks that share memory; owned */
  int rank, size;
  size_t chunk;          /* bytes of the largest message handed to MPI in one call */
  MPI_Request *requests; /* (2*size) of the swap under way, owned */
  int *numbers;          /* (4*size) of a swap in one call, owned */
  ef_nodes nodes;
  ef_staging *staging; /* owned; NULL: nothing was reserved */
  ef_traffic traffic;
  bool finalizes; /* MPI was started by ef_par_start */
} ef_par;

/* Starts MPI (if it is not started) and duplicates the communicators. EF_MACHINE. Collective. */
ef_status ef_par_start(int *argc, char ***argv, ef_par *par);
/* Frees, and finalises MPI if ef_par_start started it; called by every rank at a clean end. Collective. */
void ef_par_finish(ef_par *par);
/* Ends all ranks at once with this exit code: for a failure that the others do not know of. Local. */
_Noreturn void ef_par_abort(ef_par *par, int exit_code);

/* One rank on its own, without MPI: collectives over it are local. For work that a rank does for itself with
 * the code that ranks share. Needs no finish. */
static inline ef_par ef_par_alone(void) {
  return (ef_par){.world = MPI_COMM_NULL,
                  .node = MPI_COMM_NULL,
                  .size = 1,
                  .chunk = 1,
                  .nodes = {.count = 1, .members = 1}};
}

static inline bool ef_par_root(const ef_par *par) { return par->rank == 0; }

/* Turns an MPI return code into a status that keeps MPI's text. Local. */
ef_status ef_mpi(int code, const char *what);

/* Largest message handed to MPI in one call, 1 .. 2^31-1 bytes (the start value is 2^30); tests lower it, on
 * all ranks alike, to force the split. Local. */
void ef_par_set_chunk(ef_par *par, size_t bytes);

/* What was added since `before`, a copy of par->traffic. Local. */
ef_traffic ef_traffic_since(const ef_par *par, const ef_traffic *before);

/* Nodes of so many ranks each, in order, whatever shares memory, and no room reserved: for tests, on all
 * ranks alike. Local. */
void ef_par_set_nodes(ef_par *par, int ranks);

/* ---- agreement ---------------------------------------------------------------------------------------- */

/* All ranks leave with the same status: that of the lowest rank that failed, with its message ("rank 2: ..."
 * before it, unless all failed alike). Called before a collective that follows a step which may fail on some
 * ranks only. Collective. */
ef_status ef_agree(ef_par *par, ef_status status);

/* True on all ranks if `flag` is true on any. Collective. */
ef_status ef_any(ef_par *par, bool flag, bool *any);

/* The largest number of all ranks, on all. Collective. */
ef_status ef_most(ef_par *par, int64_t mine, int64_t *most);

ef_status ef_barrier(ef_par *par);

/* ---- data --------------------------------------------------------------------------------------------- */

/* `bytes` of data from the root (or `from`) to all; split above the chunk. Collective. */
ef_status ef_bcast(ef_par *par, int from, void *data, size_t bytes);
/* A block of unknown size: on `from` data and size are given, elsewhere counted memory is allocated (and
 * freed by the caller). Collective. */
ef_status ef_bcast_block(ef_par *par, int from, void **data, size_t *bytes);

/* Point to point, split above the chunk. Local to the two ranks. */
ef_status ef_send(ef_par *par, int to, int tag, const void *data, size_t bytes);
ef_status ef_recv(ef_par *par, int from, int tag, void *data, size_t bytes);

/* Every rank's `count` numbers to all, by rank: all (size*count). Collective. */
ef_status ef_allgather_i64(ef_par *par, const int64_t *mine, size_t count, int64_t *all);
ef_status ef_allgather_f64(ef_par *par, const double *mine, size_t count, double *all);

/* What this rank sends to and receives from one other rank. */
typedef struct ef_pair {
  const void *send;
  void *recv;
  size_t send_bytes, recv_bytes; /* what one side sends the other must expect; 0: no message */
} ef_pair;

/* How an all-to-all travels; what arrives is the same. */
typedef enum ef_route {
  EF_PAIRWISE, /* every rank to every other one */
  EF_VECTOR,  /* MPI_Ialltoallv; all that a rank sends, or receives, must lie within 2^31-1 bytes: EF_FAULT */
  EF_BY_NODE, /* what is for other nodes goes through the leaders of the nodes; room must be reserved */
  EF_ROUTE_COUNT
} ef_route;

const char *ef_route_name(ef_route route); /* "pairwise", "vector", "two-level" */

/* All-to-all of different sizes: pairs (size), the own entry is passed over. `begin` posts the messages and
 * `end` waits for them, so that computation may stand between; one swap at a time, with the same arguments in
 * both. Messages above the chunk are split (EF_VECTOR aside). Nothing is allocated. Collective. */
ef_status ef_swap_begin(ef_par *par, ef_route route, int tag, const ef_pair *pairs);
ef_status ef_swap_end(ef_par *par, ef_route route, int tag, const ef_pair *pairs);

/* Room for EF_BY_NODE, where no rank sends more than `rank_bytes` or receives more, and the ranks of a node
 * no more than `node_bytes` in both directions together. What is there stays, or grows. EF_MACHINE. Local. */
ef_status ef_swap_reserve(ef_par *par, size_t rank_bytes, size_t node_bytes);
