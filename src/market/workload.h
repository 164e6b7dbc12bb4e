/* A workload: what one request of a multi-exit model costs, layer by layer, and what its exits are worth.
 *
 * Layers l = 1..L run in order; exit e stands behind `after` of them and has a head of its own. A policy is a
 * confidence threshold: the share of samples that leave at each exit under it, and the accuracy that was
 * measured (the paper's scheme). Without policies a user's exit is fixed in advance (aeria.md, section 2).
 * Two kinds: one forward pass, or autoregressive (a prompt, then token by token; market/demand.h).
 */
#pragma once

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Cost of one layer. A forward pass uses flops and out_bytes, of one request of complexity 1. In an
 * autoregressive workload all numbers are those of one token: */
typedef struct ef_layer_cost {
  char *name;             /* owned */
  double flops;           /* FLOPs that do not depend on the context */
  double out_bytes;       /* activations that leave the layer */
  double attention_flops; /* FLOPs per position of the context; autoregressive only */
  double weight_bytes;    /* read for one token: the active parameters; autoregressive only */
  double prefill_bytes;   /* parameters read once for the whole prompt (all experts that it meets) */
  double cache_bytes;     /* key-value cache of one position; autoregressive only */
} ef_layer_cost;

typedef struct ef_exit {
  size_t after;      /* layers run before the head, 0..L, ascending; the last exit need not be at L */
  double head_flops; /* of the head, per request (autoregressive: per token) */
  double head_bytes; /* parameters read by the head; autoregressive only */
  double accuracy;   /* of a sample that leaves here, in the unit that users ask in (0..1 or per cent) */
  char *source;      /* where the accuracy comes from, or NULL; owned */
} ef_exit;

typedef struct ef_policy {
  double threshold; /* confidence that lets a sample leave */
  double accuracy;  /* measured under it */
  double *leave;    /* (exits) share of all samples that leaves at each exit, sum 1; owned */
} ef_policy;

typedef struct ef_workload {
  char *name;
  bool autoregressive;
  double input_bytes;                           /* of a request; autoregressive: of one prompt token */
  double prompt_tokens, decode_tokens;          /* of a request of complexity 1; autoregressive only */
  size_t layer_count, exit_count, policy_count; /* no policies: fixed mode */
  ef_layer_cost *layers;
  ef_exit *exits;
  ef_policy *policies;
  char *source;          /* where the table comes from, or NULL */
  char *checkpoint;      /* hash of the model that was profiled, hexadecimal, or NULL */
  double measured_flops; /* speed of the machine that profiled it, FLOP/s; 0: not measured */
} ef_workload;

/* Frees what it owns and zeroes it. Local. */
void ef_workload_free(ef_workload *w);

/* EF_INPUT with the JSON path of the first fault ("workloads[0].exits[2].layer: ..."), `where` being the
 * path of the workload: no layers or exits, a negative or non-finite number, exits out of order (equal layers
 * are fine) or behind the last layer, accuracies that are no numbers, leave shares outside 0..1 or that do
 * not sum to 1 within 1e-9, an autoregressive workload without prompt or with less than one token to decode.
 * Local. */
ef_status ef_workload_check(const ef_workload *w, const char *where);

/* Reads PATH (JSON, the object of aeria.md section 8, optional "schema": "aeria-workload/1"); EF_INPUT names
 * file and JSON path. ef_workload_write makes the file (17 digits), whole or not at all. Local. */
ef_status ef_workload_read(const char *path, ef_workload *w);
ef_status ef_workload_write(const ef_workload *w, const char *path);
/* The same text on a stream, without checks; EF_INPUT for a string that is no UTF-8. Local. */
ef_status ef_workload_print(const ef_workload *w, FILE *out);
