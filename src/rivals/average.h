/* The average of local models (McMahan et al. 2017, and deepfusion.md section 7 for pruned ones): a shared
 * tensor over all devices, an expert and its row of the router over the devices that hold it.
 *
 * Sums are in double, weight * value, in the order of the calls: the caller adds the devices in one order on
 * any number of ranks. The average of one model is that model, bit for bit.
 */
#pragma once

#include "model/model.h"

typedef struct ef_average {
  ef_dims dims;   /* of the global model */
  ef_table table; /* of the global model; owned */
  double *sum;    /* (table.floats) weighted sums, laid out as its block; owned */
  double *weight; /* (1 + MoE layers * E) sums of the weights: of the shared tensors, then of expert e of the
                     m-th MoE layer at 1 + m*E + e; owned */
  size_t added;   /* models so far */
} ef_average;

/* Of models with these dims, or pruned from them (rivals/pruned.h). EF_MACHINE. ef_average_free accepts a
 * zeroed struct. Local. */
ef_status ef_average_create(const ef_dims *global, ef_average *average);
void ef_average_free(ef_average *average);

/* Adds a local model with weight > 0. order (MoE layers,E) as in ef_pruned_take: which experts its own are,
 * NULL for a whole model in the global order. EF_FAULT for a model of other dims or another weight. Local. */
ef_status ef_average_add(ef_average *average, const ef_model *local, const int32_t *order, double weight);

/* Writes the averages into `global`, all experts held; an expert that no device held keeps the value that it
 * has there, so does its row of the router, and all the rest if no model was added. Local. */
void ef_average_finish(const ef_average *average, ef_model *global);
