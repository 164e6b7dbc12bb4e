/* A model as a workload of the edge market: costs per layer from its dims, exits and confidence policies from
 * a measurement on text (train/confidence.h).
 */
#pragma once

#include "market/workload.h"
#include "train/confidence.h"

typedef struct ef_profile {
  const char *name;       /* of the workload */
  bool autoregressive;    /* a prompt, then token by token; else one forward pass */
  double prompt_tokens;   /* of a request; the tokens of a forward pass */
  double decode_tokens;   /* autoregressive only */
  const char *checkpoint; /* hash of the model (train/model_hash.h) */
  double measured_flops;  /* speed of this machine on this model, FLOP/s; 0: not measured */
} ef_profile;

/* Layers: those of the model; out_bytes are float32 activations, input_bytes 4 a token. Of the routed experts
 * the active ones count; a prompt reads as many as it can meet. Exits: the early ones, and the last head;
 * accuracy = token accuracy in 0..1 if every token left there. Policies: one for each threshold. The caller
 * frees `workload`. EF_MACHINE; EF_INPUT if no token was measured. Local. */
ef_status ef_profile_workload(const ef_dims *dims, const ef_confidence *confidence, const ef_profile *profile,
                              ef_workload *workload);

/* FLOP/s of the passes of the measurement: all layers and all heads, T tokens of context each. Local. */
double ef_profile_speed(const ef_dims *dims, const ef_confidence *confidence, size_t T);

/* The thresholds that are tried unless others are named: dense where language models are, and 1, which
 * nothing but certainty passes. */
enum { EF_PROFILE_THRESHOLDS = 10 };
extern const double ef_profile_thresholds[EF_PROFILE_THRESHOLDS];
