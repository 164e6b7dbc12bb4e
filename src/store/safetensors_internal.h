/* Private to store/: the mapped files of a safetensors reader and the table of its tensors. */
#pragma once

#include "store/safetensors.h"

/* One mapped file. */
typedef struct ef_st_shard {
  char *path;         /* counted memory */
  const char *name;   /* the part of `path` after the last slash */
  unsigned char *map; /* read-only pages */
  size_t size;
} ef_st_shard;

typedef struct ef_st_entry {
  ef_st_tensor tensor;        /* first member: a tensor handed out is an entry */
  char *name;                 /* that of the tensor, counted memory */
  size_t shard, begin, bytes; /* begin counts from the start of the file */
} ef_st_entry;

struct ef_st {
  ef_st_shard *shards;
  size_t shard_count;
  ef_st_entry *entries; /* in the order of names once opened */
  size_t count, capacity;
};

/* Parses the header of a mapped shard and appends its tensors: every length, offset and shape is checked
 * against the size of the file and against each other. EF_INPUT names file and tensor. Local. */
ef_status ef_st_parse(ef_st *reader, size_t shard);
