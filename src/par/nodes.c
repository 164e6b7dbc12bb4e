#include "base/memory.h"
#include "par/par_internal.h"

/* Ranks by the leaders of their nodes, ascending, and where this rank stands among them. */
static void sort_ranks(ef_par *par) {
  ef_nodes *n = &par->nodes;
  int at = 0, mine = n->leader[par->rank];
  n->count = n->members = n->index = 0;
  for (int leader = 0; leader < par->size; leader++) {
    if (n->leader[leader] != leader) continue;
    n->count++;
    if (leader == mine) n->first = at;
    for (int r = leader; r < par->size; r++) {
      if (n->leader[r] != leader) continue;
      n->order[at++] = r;
      n->members += leader == mine;
      n->index += leader == mine && r < par->rank;
    }
  }
}

ef_status ef_nodes_find(ef_par *par) {
  int leader = par->rank;
  EF_TRY(EF_NEW(par->nodes.leader, (size_t)par->size));
  EF_TRY(EF_NEW(par->nodes.order, (size_t)par->size));
  EF_TRY(ef_mpi(MPI_Bcast(&leader, 1, MPI_INT, 0, par->node), "MPI_Bcast"));
  EF_TRY(
      ef_mpi(MPI_Allgather(&leader, 1, MPI_INT, par->nodes.leader, 1, MPI_INT, par->world), "MPI_Allgather"));
  sort_ranks(par);
  return EF_OK;
}

void ef_par_set_nodes(ef_par *par, int ranks) {
  for (int r = 0; r < par->size; r++) par->nodes.leader[r] = r - r % ranks;
  ef_staging_free(par->staging);
  par->staging = NULL;
  sort_ranks(par);
}
