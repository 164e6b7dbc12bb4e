/* How the shipped workloads are described: convolutional networks as rows of a table, and the policies that
 * all of the paper's networks share. Private.
 */
#pragma once

#include "market/networks.h"

typedef enum ef_unit_kind {
  EF_UNIT_CONV,
  EF_UNIT_POOL,
  EF_UNIT_FC,         /* fully connected, over all elements */
  EF_UNIT_BASIC,      /* residual block: two 3x3, a 1x1 shortcut where the shape changes */
  EF_UNIT_BOTTLENECK, /* residual block: 1x1, 3x3 (with the stride), 1x1 to four times the width */
  EF_UNIT_INVERTED,   /* 1x1 to `expand` times the channels (left out at 1), 3x3 by channel, 1x1 */
  EF_UNIT_CLASSIFIER  /* global average pool and fully connected */
} ef_unit_kind;

/* One row: `repeat` layers, the first with the stride, named "<name><first>", "<name><first+1>", ...; with
 * first = 0 one layer, named as it stands. */
typedef struct ef_unit {
  const char *name; /* NULL ends a table */
  ef_unit_kind kind;
  int out; /* channels; of a bottleneck: of its inner convolutions */
  int kernel, stride, pad;
  int expand;
  int first, repeat;
} ef_unit;

/* An exit behind the layer of this name: the network's own end, or a head of global average pool and fully
 * connected (aeria.md, section 6). */
typedef struct ef_unit_exit {
  const char *layer; /* NULL ends a table */
  double accuracy;   /* per cent */
  const char *source;
} ef_unit_exit;

typedef struct ef_architecture {
  const char *name, *source;
  const ef_unit *units;
  const ef_unit_exit *exits;
  bool has_policies;
  double accuracy_change; /* of the paper's multi-exit form against the full model, per cent of it */
} ef_architecture;

/* The workload of an image classifier with 224 x 224 x 3 input and 1,000 classes. EF_INPUT for bytes that are
 * not above 0, EF_MACHINE. Local. */
ef_status ef_architecture_make(const ef_architecture *a, double bytes_per_element, ef_workload *w);

extern const ef_architecture ef_alexnet, ef_vgg16, ef_resnet34, ef_resnet50, ef_mobilenet_v2;

/* One forward pass of BART-base. Local. */
ef_status ef_bart_make(double bytes_per_element, ef_workload *w);

/* Adds the confidence policies: thresholds 1, 0.9, 0.8, 0.7, 0.6 let 0, 18, 28, 38 and 48 per cent of the
 * samples leave early (the paper's range for BART, SOURCED; RECONSTRUCTION: as a straight line of the
 * threshold, in equal parts over the early exits, and for all networks). The accuracy goes in a straight line
 * of that share from the last exit's to (1 + change/100) times it at 48 per cent. The workload has its exits.
 * Local. */
ef_status ef_network_add_policies(ef_workload *w, double change);

/* What the `source` of a workload says about them. */
#define EF_POLICY_SOURCE(change)                                                                             \
  "; policies: reconstruction, a straight line through the accuracy of the paper (arXiv "                    \
  "2503.04521), " change " % against the full model, where 48 % of the samples leave early"

/* Copies of texts and the numbers of layers and exits into a zeroed workload. Local. */
ef_status ef_network_begin(ef_workload *w, const char *name, const char *source, size_t layers, size_t exits);
