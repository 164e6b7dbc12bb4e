/* A JSON object with one very long array, parsed piece by piece: a tree of a million users would need more
 * than a gigabyte, one of a single user some hundred bytes. Private.
 *
 * Brackets and strings alone are followed here; every byte is then judged by the parser, in the element it
 * belongs to or in the object without the array.
 */
#pragma once

#include "base/status.h"
#include <jansson.h>
#include <stddef.h>

typedef struct ef_json_split {
  const char *text; /* borrowed */
  size_t bytes;
  size_t from, to; /* bytes between the brackets of the array */
  size_t count;    /* elements */
  size_t next;     /* where the next element begins */
} ef_json_split;

/* Looks for the array `field` of the outermost object, in one pass. Without one, or if the text ends within
 * it, the array is empty and stays part of the object. Local. */
ef_json_split ef_json_split_make(const char *text, size_t bytes, const char *field);

/* The object with an empty array in place of the long one. EF_INPUT with line and column. Local. */
ef_status ef_json_split_rest(const ef_json_split *split, json_t **object);

/* The next element; call it `count` times. EF_INPUT with line and column. Local. */
ef_status ef_json_split_next(ef_json_split *split, json_t **element);
