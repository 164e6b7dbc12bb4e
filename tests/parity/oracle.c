#include "oracle.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *oracle_text(const char *path) {
  FILE *f = fopen(path, "rb");
  cr_assert(f, "%s does not open", path);
  fseek(f, 0, SEEK_END);
  size_t size = (size_t)ftell(f);
  rewind(f);
  char *text = malloc(size + 1);
  cr_assert_eq(fread(text, 1, size, f), size);
  text[size] = '\0';
  fclose(f);
  return text;
}

oracle oracle_open(const char *path) {
  oracle o = {.bytes = oracle_text(path)};
  uint64_t length;
  memcpy(&length, o.bytes, sizeof length);
  o.header = json_loadb(o.bytes + sizeof length, length, 0, NULL);
  cr_assert(o.header, "%s has no header", path);
  o.data = o.bytes + sizeof length + length;
  return o;
}

void oracle_close(oracle *o) {
  json_decref(o->header);
  free(o->bytes);
}

/* First byte and number of bytes of a tensor of this type. */
static const char *find(const oracle *o, const char *name, const char *dtype, size_t *bytes) {
  const json_t *entry = json_object_get(o->header, name), *range = json_object_get(entry, "data_offsets");
  cr_assert(entry, "no tensor %s", name);
  cr_assert_str_eq(json_string_value(json_object_get(entry, "dtype")), dtype);
  size_t begin = (size_t)json_integer_value(json_array_get(range, 0));
  *bytes = (size_t)json_integer_value(json_array_get(range, 1)) - begin;
  return o->data + begin;
}

float *oracle_floats(const oracle *o, const char *name, size_t *count) {
  size_t bytes;
  const char *at = find(o, name, "F32", &bytes);
  float *x = malloc(bytes + 1);
  memcpy(x, at, bytes);
  if (count) *count = bytes / sizeof *x;
  return x;
}

int32_t *oracle_ints(const oracle *o, const char *name, size_t *count) {
  size_t bytes;
  const char *at = find(o, name, "I64", &bytes);
  size_t n = bytes / sizeof(int64_t);
  int32_t *x = malloc(n * sizeof *x + 1);
  for (size_t i = 0; i < n; i++) {
    int64_t value;
    memcpy(&value, at + i * sizeof value, sizeof value);
    x[i] = (int32_t)value;
  }
  if (count) *count = n;
  return x;
}

size_t oracle_extent(const oracle *o, const char *name, size_t axis) {
  const json_t *shape = json_object_get(json_object_get(o->header, name), "shape");
  return (size_t)json_integer_value(json_array_get(shape, axis));
}
