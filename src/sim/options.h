/* Options of edgefuse-sim: the model, the step and the simulated network, all numbers.
 */
#pragma once

#include "step/step_time.h"

typedef struct ef_sim_options {
  double layers, width, heads, vocabulary, experts, top_k, expert_width; /* of the model */
  double batch, context, micro_batches; /* of a step; micro_batches 0: one on every rank */
  double steps;                         /* that are measured, after one that chooses routes and buffers */
  double adam_seconds;                  /* of AdamW, per float */
  ef_interconnect network;              /* as in the platform file: for the prediction alone */
} ef_sim_options;

/* From "--name value" pairs, names with - for _; what is not named keeps its default. EF_INPUT. Local. */
ef_status ef_sim_options_read(int argc, char **argv, ef_sim_options *options);

/* Of these options on so many ranks. EF_INPUT. Local. */
ef_status ef_sim_dims(const ef_sim_options *options, ef_dims *dims);
ef_step_shape ef_sim_shape(const ef_sim_options *options, int ranks);
