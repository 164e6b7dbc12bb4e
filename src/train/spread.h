/* Evaluation of a model whose experts are spread over ranks: windows in batches, batch u on rank u % size,
 * sums in the order of the batches, so that they have the same bits on any number of ranks.
 */
#pragma once

#include "step/exchange.h"
#include "train/documents.h"

typedef struct ef_spread {
  ef_par *par;
  const ef_model *model; /* the shard, borrowed */
  ef_exchange *exchange;
  ef_evaluator evaluator;
  uint8_t *row_hits; /* (B*T) of the evaluator; owned */
  int64_t
      *load; /* (MoE layers, E) tokens of each expert in the last evaluation, of this rank's batches; owned */
} ef_spread;

/* EF_MACHINE. Collective. */
ef_status ef_spread_create(ef_par *par, const ef_kernels *kernels, const ef_model *shard, size_t B, size_t T,
                           ef_spread *spread);
void ef_spread_free(ef_spread *spread);

/* As ef_evaluate, the same result on all ranks. Collective. */
ef_status ef_spread_evaluate(ef_spread *spread, const ef_stream *stream, size_t most, ef_quality *quality);

/* As ef_spread_evaluate of all windows, and adds to each document of the stream what its tokens gave; the
 * same result on all ranks. Beside the sums it takes what one batch a rank can be cut into. Collective. */
ef_status ef_spread_documents(ef_spread *spread, const ef_stream *stream, ef_documents *documents,
                              ef_quality *quality);

/* Tokens that each expert received in the last evaluation, over all ranks: load (MoE layers, E). Collective.
 */
ef_status ef_spread_load(const ef_spread *spread, size_t *load);
