/* The reference tensors of one model: a reader of safetensors for these trusted files alone, so that parity
 * does not rest on the program's own reader. Every function asserts on failure.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

typedef struct oracle {
  char *bytes;      /* the whole file */
  const char *data; /* behind the header */
  json_t *header;
} oracle;

/* The whole file, ended with a NUL; freed with free(). */
char *oracle_text(const char *path);

oracle oracle_open(const char *path);
void oracle_close(oracle *o);

/* Copies the tensor (F32, or I64) into fresh memory, freed with free(); `*count` elements. */
float *oracle_floats(const oracle *o, const char *name, size_t *count);
int32_t *oracle_ints(const oracle *o, const char *name, size_t *count);

/* Extent `axis` of a tensor. */
size_t oracle_extent(const oracle *o, const char *name, size_t axis);
