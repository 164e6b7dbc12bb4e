/* The ways of an all-to-all (par.h, ef_route), each as a pair of begin and end. Read by swap*.c only.
 */
#pragma once

#include "par/par.h"

/* Adds what the pairs hand to MPI to the traffic. */
void ef_pairs_count(ef_par *par, const ef_pair *pairs);

ef_status ef_pairwise_begin(ef_par *par, int tag, const ef_pair *pairs);
ef_status ef_pairwise_end(ef_par *par, int tag, const ef_pair *pairs);

ef_status ef_vector_begin(ef_par *par, const ef_pair *pairs);
ef_status ef_vector_end(ef_par *par);

ef_status ef_by_node_begin(ef_par *par, int tag, const ef_pair *pairs);
ef_status ef_by_node_end(ef_par *par, int tag, const ef_pair *pairs);
