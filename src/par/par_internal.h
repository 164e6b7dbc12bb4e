/* What the starts of a communicator share.
 */
#pragma once

#include "par/par.h"

/* Lists by rank, and the nodes; released by ef_par_finish. EF_MACHINE. Collective. */
ef_status ef_par_lists(ef_par *par);
/* Fills par->nodes. EF_MACHINE. Collective. */
ef_status ef_nodes_find(ef_par *par);

void ef_staging_free(ef_staging *staging);
