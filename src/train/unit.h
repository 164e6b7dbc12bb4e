/* Numbers of the units of work: the name of a random stream and of a part file, never a rank.
 */
#pragma once

#include <stdint.h>

typedef enum ef_unit_kind {
  EF_UNIT_FAMILY = 1,  /* common start of a family entry */
  EF_UNIT_BASE_START,  /* common start of the bases */
  EF_UNIT_DEVICE,      /* local training */
  EF_UNIT_MEAN,        /* mean of a cluster's uploads */
  EF_UNIT_PROXY,       /* that mean after the guard: the teacher */
  EF_UNIT_BASE,        /* distillation of a base */
  EF_UNIT_MERGED,      /* a Mixture-of-Experts before tuning: 0 of the bases, 1 of copies of their start */
  EF_UNIT_TUNE,        /* tuning of the merged model */
  EF_UNIT_PUBLIC_ONLY, /* the control without devices */
  EF_UNIT_SERVER,      /* a global model trained on public text before the devices take part */
  EF_UNIT_LOCAL,       /* a model on a device in a round: round * devices + device */
  EF_UNIT_ROUND,       /* the global model after a round */
  EF_UNIT_LOGITS,  /* logits of public text: round * (devices + 1) + device, the server behind the devices */
  EF_UNIT_TARGETS, /* those chosen as targets in a round */
  EF_UNIT_GENERATED, /* text sampled from a proxy */
  EF_UNIT_ANSWERS,   /* what the teachers of the merged model say about a piece of the text */
  EF_UNIT_KIND_COUNT
} ef_unit_kind;

/* "family", "device", ...: the first part of a part file's name. Pure. */
const char *ef_unit_name(ef_unit_kind kind);

static inline uint64_t ef_unit(ef_unit_kind kind, uint64_t index) { return (uint64_t)kind << 32 | index; }
