#include "store/safetensors_internal.h"

#include "base/memory.h"
#include "store/dtype.h"
#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The format's own limit of a header. */
static const uint64_t header_most = 100000000;

/* Where the JSON ends and the data begin; the file is already mapped. */
static ef_status find_header(const ef_st_shard *shard, size_t *length) {
  EF_TRY(EF_CHECK(shard->size >= 8, EF_INPUT, "%s: %zu bytes, too short for a safetensors file", shard->path,
                  shard->size));
  uint64_t n = 0;
  for (int i = 7; i >= 0; i--) n = n << 8 | shard->map[i];
  EF_TRY(EF_CHECK(n <= header_most, EF_INPUT, "%s: header of %" PRIu64 " bytes, more than the format allows",
                  shard->path, n));
  EF_TRY(EF_CHECK(n <= shard->size - 8, EF_INPUT,
                  "%s: header of %" PRIu64 " bytes in a file of %zu: cut short, or not safetensors",
                  shard->path, n, shard->size));
  *length = (size_t)n;
  return EF_OK;
}

static ef_status new_entry(ef_st *reader, ef_st_entry **entry) {
  if (reader->count == reader->capacity) {
    size_t more = reader->capacity ? 2 * reader->capacity : 64;
    ef_st_entry *grown = ef_realloc(reader->entries, more, sizeof *grown);
    EF_TRY(EF_CHECK(grown, EF_MACHINE, "out of memory: table of %zu tensors", more));
    reader->entries = grown;
    reader->capacity = more;
  }
  *entry = &reader->entries[reader->count++];
  **entry = (ef_st_entry){0};
  return EF_OK;
}

/* A JSON integer that is no offset or extent gives SIZE_MAX, which no check lets pass. */
static size_t natural(const json_t *value) {
  if (!json_is_integer(value) || json_integer_value(value) < 0) return SIZE_MAX;
  return (size_t)json_integer_value(value);
}

static ef_status parse_shape(const char *path, const json_t *shape, ef_st_tensor *tensor) {
  size_t rank = json_array_size(shape);
  EF_TRY(EF_CHECK(json_is_array(shape) && rank <= 8, EF_INPUT,
                  "%s: %s: the shape is no list of at most 8 numbers", path, tensor->name));
  tensor->rank = rank;
  tensor->count = 1;
  for (size_t d = 0; d < rank; d++) {
    size_t n = natural(json_array_get(shape, d));
    EF_TRY(EF_CHECK(n != SIZE_MAX, EF_INPUT, "%s: %s: dimension %zu of the shape is no natural number", path,
                    tensor->name, d));
    EF_TRY(EF_CHECK(n == 0 || tensor->count <= SIZE_MAX / 8 / n, EF_INPUT, "%s: %s: the shape is too large",
                    path, tensor->name));
    tensor->shape[d] = n;
    tensor->count *= n;
  }
  return EF_OK;
}

static ef_status parse_type(const char *path, const json_t *type, ef_st_tensor *tensor, size_t *unit) {
  const char *name = json_string_value(type);
  EF_TRY(EF_CHECK(name, EF_INPUT, "%s: %s: no dtype", path, tensor->name));
  *unit = ef_dtype_bytes(name, &tensor->dtype);
  return EF_CHECK(*unit > 0, EF_INPUT, "%s: %s: unknown dtype \"%.20s\"", path, tensor->name, name);
}

/* `data` bytes follow the header; begin stays relative to them until the table is checked. */
static ef_status parse_offsets(const char *path, const json_t *offsets, size_t unit, size_t data,
                               ef_st_entry *entry) {
  const ef_st_tensor *tensor = &entry->tensor;
  size_t begin = natural(json_array_get(offsets, 0)), end = natural(json_array_get(offsets, 1));
  EF_TRY(EF_CHECK(json_array_size(offsets) == 2 && begin != SIZE_MAX && end != SIZE_MAX, EF_INPUT,
                  "%s: %s: data_offsets are no two natural numbers", path, tensor->name));
  EF_TRY(EF_CHECK(begin <= end, EF_INPUT, "%s: %s: data_offsets [%zu, %zu] run backwards", path, tensor->name,
                  begin, end));
  EF_TRY(EF_CHECK(end <= data, EF_INPUT,
                  "%s: %s: data_offsets [%zu, %zu] pass the end of the data (%zu bytes)", path, tensor->name,
                  begin, end, data));
  EF_TRY(EF_CHECK(end - begin == tensor->count * unit, EF_INPUT,
                  "%s: %s: %zu bytes between the data_offsets, but the shape needs %zu", path, tensor->name,
                  end - begin, tensor->count * unit));
  entry->begin = begin;
  entry->bytes = end - begin;
  return EF_OK;
}

/* Names end up in one-line messages and in paths of HDF5 files. */
static bool printable(const char *name) {
  for (const char *p = name; *p; p++) {
    if (iscntrl((unsigned char)*p)) return false;
  }
  return name[0] != '\0';
}

static ef_status parse_entry(ef_st *reader, size_t shard, size_t data, const char *name,
                             const json_t *value) {
  const char *path = reader->shards[shard].path;
  ef_st_entry *entry = NULL;
  size_t unit = 0;
  EF_TRY(EF_CHECK(printable(name), EF_INPUT, "%s: a tensor name is empty or has control characters", path));
  EF_TRY(EF_CHECK(json_is_object(value), EF_INPUT, "%s: %s: no JSON object", path, name));
  EF_TRY(new_entry(reader, &entry));
  entry->shard = shard;
  entry->tensor.name = entry->name = ef_strdup(name);
  EF_TRY(EF_CHECK(entry->name, EF_MACHINE, "%s: out of memory", path));
  EF_TRY(parse_type(path, json_object_get(value, "dtype"), &entry->tensor, &unit));
  EF_TRY(parse_shape(path, json_object_get(value, "shape"), &entry->tensor));
  return parse_offsets(path, json_object_get(value, "data_offsets"), unit, data, entry);
}

static ef_status check_metadata(const char *path, json_t *metadata) {
  const char *key;
  json_t *value;
  EF_TRY(EF_CHECK(json_is_object(metadata), EF_INPUT, "%s: __metadata__ is no JSON object", path));
  json_object_foreach(metadata, key, value) {
    EF_TRY(EF_CHECK(json_is_string(value), EF_INPUT, "%s: __metadata__: \"%.40s\" is no text", path, key));
  }
  return EF_OK;
}

static ef_status parse_json(const ef_st_shard *shard, size_t length, json_t **header) {
  json_error_t error;
  const char *text = (const char *)shard->map + 8;
  EF_TRY(EF_CHECK(length > 0 && text[0] == '{', EF_INPUT, "%s: the header is no JSON object", shard->path));
  *header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
  return EF_CHECK(*header, EF_INPUT, "%s: header, byte %d: %s", shard->path, error.position, error.text);
}

static int by_offset(const void *a, const void *b) {
  const ef_st_entry *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
  return strcmp(x->tensor.name, y->tensor.name);
}

/* The tensors must tile the data: no overlap, no gap, nothing behind the last. */
static ef_status check_tiling(const char *path, const ef_st_entry *entries, size_t count, size_t data) {
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    const ef_st_entry *e = &entries[i];
    EF_TRY(EF_CHECK(e->begin >= at, EF_INPUT, "%s: %s and %s overlap", path,
                    entries[i > 0 ? i - 1 : 0].tensor.name, e->tensor.name));
    EF_TRY(EF_CHECK(e->begin == at, EF_INPUT, "%s: %zu bytes before %s belong to no tensor", path,
                    e->begin - at, e->tensor.name));
    at += e->bytes;
  }
  return EF_CHECK(at == data, EF_INPUT, "%s: %zu bytes behind the last tensor", path, data - at);
}

ef_status ef_st_parse(ef_st *reader, size_t shard_index) {
  const ef_st_shard *shard = &reader->shards[shard_index];
  size_t length = 0, first = reader->count;
  json_t *header = NULL, *value;
  const char *name;
  ef_status status;
  EF_GO(find_header(shard, &length));
  EF_GO(parse_json(shard, length, &header));
  size_t data = shard->size - 8 - length;
  json_object_foreach(header, name, value) {
    if (strcmp(name, "__metadata__") == 0) {
      EF_GO(check_metadata(shard->path, value));
    } else {
      EF_GO(parse_entry(reader, shard_index, data, name, value));
    }
  }
  if (reader->count > first) {
    qsort(reader->entries + first, reader->count - first, sizeof *reader->entries, by_offset);
  }
  EF_GO(check_tiling(shard->path, reader->entries + first, reader->count - first, data));
  for (size_t i = first; i < reader->count; i++) reader->entries[i].begin += 8 + length;
done:
  json_decref(header);
  return status;
}
