/* The devices of a run: which model each trains, which private documents it holds, which fail to upload.
 */
#pragma once

#include "federation/partition.h"
#include "model/dims.h"
#include "train/run.h"

typedef struct ef_population {
  size_t devices, entries;
  ef_dims *dims;          /* (entries) model of each entry of federation.families; owned */
  int32_t *entry;         /* (devices) entry that the device drew; owned */
  bool *fails;            /* (devices) will not upload, by the deck; owned */
  ef_partition partition; /* documents of each device */
} ef_population;

/* A pure function of deck and token index, the same on all ranks. EF_DECK (a device to fail that is none,
 * dims that do not fit), EF_INPUT, EF_MACHINE. Local. */
ef_status ef_population_make(const ef_run *run, ef_population *population);
void ef_population_free(ef_population *population);

/* Peak learning rate of the models of an entry of federation.families. */
static inline double ef_population_lr(const ef_deck *deck, size_t entry) {
  double own = deck->federation.families[entry].lr;
  return own > 0.0 ? own : deck->federation.lr;
}

/* Documents of a device. */
static inline size_t ef_population_documents(const ef_population *p, size_t device,
                                             const size_t **documents) {
  *documents = p->partition.documents + p->partition.first[device];
  return p->partition.first[device + 1] - p->partition.first[device];
}
