/* The teachers of the merged model (extended recipe): the proxies, or all models that the devices uploaded
 * (ensemble.teachers), as in ensemble distillation (Lin et al., "Ensemble distillation for robust model
 * fusion in federated learning", NeurIPS 2020). On each window their distributions are mixed with weights
 * softmax(-sharpness * loss of the teacher on that window - holdout_sharpness * its loss on the public
 * holdout), the former being the sum over the window's scored tokens divided by T. A window says who knows
 * such text, and little of who is the better model: so sharp that weak teachers go, the weights of windows
 * leave one teacher alone. The mean of a cluster's weights forgets what its members alone know; the mixture
 * does not.
 */
#pragma once

#include "fusion/proxy.h"

typedef struct ef_mentor {
  ef_model model;
  size_t entry; /* of federation.families */
  double cost;  /* holdout_sharpness * its loss on the public holdout; 0 where there is none */
  float *final; /* (B*T,D) its last hidden states on the current batch */
} ef_mentor;

typedef struct ef_mentors {
  size_t count, entries, B, T, V;
  double sharpness;
  const ef_kernels *kernels;
  ef_mentor *mentors; /* (count) owned */
  ef_pass **passes;   /* (entries) one for all teachers of an entry; NULL: it has none; owned */
  float *row_losses;  /* (B*T) owned */
  double *weights;    /* (B,count) of the current batch; owned */
  float *scratch;     /* one block of rows; owned */
} ef_mentors;

/* True if every upload teaches, not the proxies. Pure. */
bool ef_mentors_are_uploads(const ef_deck *deck);

/* Loads every teacher on this rank, for micro-batches (B,T). EF_MACHINE. Local. */
ef_status ef_mentors_create(const ef_run *run, const ef_population *population, const ef_clusters *clusters,
                            size_t B, size_t T, ef_mentors *mentors);
void ef_mentors_free(ef_mentors *mentors);

/* Runs the teachers on a micro-batch and weighs them. Local. */
ef_status ef_mentors_begin(ef_mentors *mentors, const int32_t *ids, const int32_t *targets);

/* Logarithm of the mixture (rows,V) on rows [row, row+rows) of that micro-batch. Local. */
void ef_mentors_mixture(ef_mentors *mentors, size_t row, size_t rows, float *out);

/* FLOPs of all teachers on one token. Pure. */
double ef_mentors_flops(const ef_mentors *mentors);
