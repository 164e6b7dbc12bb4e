#include "store/safetensors_internal.h"

#include "base/file.h"
#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* ---- files -------------------------------------------------------------------------------------------- */

static ef_status map_file(ef_st_shard *shard) {
  struct stat info;
  int fd = open(shard->path, O_RDONLY | O_NONBLOCK);
  EF_TRY(EF_CHECK(fd >= 0, EF_INPUT, "%s: %s", shard->path, strerror(errno)));
  bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  void *map = MAP_FAILED;
  if (regular && info.st_size > 0) map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  int error = errno;
  close(fd);
  EF_TRY(EF_CHECK(regular, EF_INPUT, "%s: not a regular file", shard->path));
  EF_TRY(EF_CHECK(info.st_size > 0, EF_INPUT, "%s: empty, no safetensors file", shard->path));
  EF_TRY(EF_CHECK(map != MAP_FAILED, EF_MACHINE, "%s: mmap: %s", shard->path, strerror(error)));
  shard->map = map;
  shard->size = (size_t)info.st_size;
  return EF_OK;
}

/* Adds and parses one file; `folder` NULL: `name` is the whole path. */
static ef_status add_shard(ef_st *reader, const char *folder, const char *name) {
  char path[PATH_BYTES];
  int n =
      folder ? snprintf(path, sizeof path, "%s/%s", folder, name) : snprintf(path, sizeof path, "%s", name);
  EF_TRY(EF_CHECK(n < PATH_BYTES, EF_INPUT, "%.60s...: path too long", path));
  ef_st_shard *grown = ef_realloc(reader->shards, reader->shard_count + 1, sizeof *grown);
  if (!grown) return ef_fail(EF_MACHINE, __FILE__, __LINE__, "%s: out of memory", path);
  reader->shards = grown;
  ef_st_shard *shard = &grown[reader->shard_count];
  EF_TRY(EF_CHECK(shard->path = ef_strdup(path), EF_MACHINE, "%s: out of memory", path));
  const char *slash = strrchr(shard->path, '/');
  shard->name = slash ? slash + 1 : shard->path;
  reader->shard_count++;
  EF_TRY(map_file(shard));
  return ef_st_parse(reader, reader->shard_count - 1);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const ef_st_entry *)a)->tensor.name, ((const ef_st_entry *)b)->tensor.name);
}

static ef_status sort_names(ef_st *reader) {
  if (reader->count > 1) qsort(reader->entries, reader->count, sizeof *reader->entries, by_name);
  for (size_t i = 1; i < reader->count; i++) {
    const ef_st_entry *a = &reader->entries[i - 1], *b = a + 1;
    EF_TRY(EF_CHECK(by_name(a, b) != 0, EF_INPUT, "%s: %s is in %s too", reader->shards[a->shard].path,
                    a->tensor.name, reader->shards[b->shard].name));
  }
  return EF_OK;
}

/* ---- sharded folders ---------------------------------------------------------------------------------- */

static bool plain_name(const char *name) {
  return name && name[0] && name[0] != '.' && !strpbrk(name, "/\\");
}

static bool has_shard(const ef_st *reader, const char *name) {
  for (size_t i = 0; i < reader->shard_count; i++) {
    if (strcmp(reader->shards[i].name, name) == 0) return true;
  }
  return false;
}

static ef_status add_shards(ef_st *reader, const char *folder, const char *index, json_t *map) {
  const char *tensor;
  json_t *value;
  json_object_foreach(map, tensor, value) {
    const char *name = json_string_value(value);
    EF_TRY(EF_CHECK(plain_name(name), EF_INPUT, "%s: %s: \"%.60s\" is no plain file name", index, tensor,
                    name ? name : ""));
    if (has_shard(reader, name)) continue;
    ef_status status = add_shard(reader, folder, name);
    if (status != EF_OK) return ef_context(status, "%s", index);
  }
  return EF_OK;
}

/* Index and shards must name the same tensors in the same files. */
static ef_status check_index(const ef_st *reader, const char *index, json_t *map) {
  const char *name;
  json_t *value;
  json_object_foreach(map, name, value) {
    const ef_st_entry *entry = (const ef_st_entry *)ef_st_find(reader, name);
    EF_TRY(EF_CHECK(entry && strcmp(reader->shards[entry->shard].name, json_string_value(value)) == 0,
                    EF_INPUT, "%s: %s is not in %s, where the index says it is", index, name,
                    json_string_value(value)));
  }
  for (size_t i = 0; i < reader->count; i++) {
    const ef_st_entry *e = &reader->entries[i];
    EF_TRY(EF_CHECK(json_object_get(map, e->tensor.name), EF_INPUT, "%s: %s of %s is missing in the index",
                    index, e->tensor.name, reader->shards[e->shard].name));
  }
  return EF_OK;
}

static ef_status open_index(ef_st *reader, const char *folder, const char *index) {
  char *text = NULL;
  size_t size = 0;
  json_t *root = NULL;
  json_error_t error;
  ef_status status;
  EF_GO(ef_file_read(index, EF_INPUT, &text, &size));
  root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  EF_GO(EF_CHECK(root, EF_INPUT, "%s: line %d: %s", index, error.line, error.text));
  json_t *map = json_object_get(root, "weight_map");
  EF_GO(EF_CHECK(json_object_size(map) > 0, EF_INPUT, "%s: no weight_map", index));
  EF_GO(add_shards(reader, folder, index, map));
  EF_GO(sort_names(reader));
  status = check_index(reader, index, map);
done:
  json_decref(root);
  ef_free(text);
  return status;
}

static ef_status open_folder(ef_st *reader, const char *folder) {
  char path[PATH_BYTES];
  int n = snprintf(path, sizeof path, "%s/model.safetensors", folder);
  EF_TRY(EF_CHECK(n + 16 < PATH_BYTES, EF_INPUT, "%.60s...: path too long", folder));
  if (ef_file_exists(path)) {
    EF_TRY(add_shard(reader, NULL, path));
    return sort_names(reader);
  }
  snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
  EF_TRY(EF_CHECK(ef_file_exists(path), EF_INPUT, "%s: neither model.safetensors nor its index is there",
                  folder));
  return open_index(reader, folder, path);
}

/* ---- the reader --------------------------------------------------------------------------------------- */

ef_status ef_st_open(const char *path, ef_st **out) {
  *out = NULL;
  struct stat info;
  ef_st *reader = NULL;
  ef_status status;
  EF_GO(EF_CHECK(stat(path, &info) == 0, EF_INPUT, "%s: %s", path, strerror(errno)));
  EF_GO(EF_NEW(reader, 1));
  if (S_ISDIR(info.st_mode)) {
    EF_GO(open_folder(reader, path));
  } else {
    EF_GO(add_shard(reader, NULL, path));
    EF_GO(sort_names(reader));
  }
  *out = reader;
  return EF_OK;
done:
  ef_st_close(reader);
  return status;
}

void ef_st_close(ef_st *reader) {
  if (!reader) return;
  for (size_t i = 0; i < reader->count; i++) ef_free(reader->entries[i].name);
  for (size_t i = 0; i < reader->shard_count; i++) {
    ef_st_shard *shard = &reader->shards[i];
    if (shard->map) munmap(shard->map, shard->size);
    ef_free(shard->path);
  }
  ef_free(reader->entries);
  ef_free(reader->shards);
  ef_free(reader);
}

size_t ef_st_count(const ef_st *reader) { return reader->count; }

const ef_st_tensor *ef_st_at(const ef_st *reader, size_t i) {
  return i < reader->count ? &reader->entries[i].tensor : NULL;
}

const ef_st_tensor *ef_st_find(const ef_st *reader, const char *name) {
  ef_st_entry key = {.tensor.name = name};
  if (reader->count == 0) return NULL;
  const ef_st_entry *entry = bsearch(&key, reader->entries, reader->count, sizeof key, by_name);
  return entry ? &entry->tensor : NULL;
}

/* ---- conversion --------------------------------------------------------------------------------------- */

const void *ef_st_bytes(const ef_st *reader, const ef_st_tensor *tensor, size_t *size) {
  const ef_st_entry *entry = (const ef_st_entry *)tensor;
  *size = entry->bytes;
  return reader->shards[entry->shard].map + entry->begin;
}

static ef_status wrong_type(const ef_st *reader, const ef_st_tensor *tensor, const char *wanted) {
  const ef_st_entry *entry = (const ef_st_entry *)tensor;
  return ef_fail(EF_INPUT, __FILE__, __LINE__, "%s: %s: dtype %s, not %s", reader->shards[entry->shard].path,
                 tensor->name, ef_dtype_name(tensor->dtype), wanted);
}

static void convert16(const unsigned char *raw, size_t n, float (*widen)(uint16_t), float *out) {
  for (size_t i = 0; i < n; i++) {
    uint16_t bits;
    memcpy(&bits, raw + 2 * i, sizeof bits);
    out[i] = widen(bits);
  }
}

static void convert64(const unsigned char *raw, size_t n, float *out) {
  for (size_t i = 0; i < n; i++) {
    double x;
    memcpy(&x, raw + 8 * i, sizeof x);
    out[i] = (float)x;
  }
}

ef_status ef_st_read_f32(const ef_st *reader, const ef_st_tensor *tensor, bool finite_only, float *out) {
  size_t size, n = tensor->count;
  const unsigned char *raw = ef_st_bytes(reader, tensor, &size);
  switch (tensor->dtype) {
  case EF_DT_F32:
    memcpy(out, raw, size);
    break;
  case EF_DT_BF16:
    convert16(raw, n, ef_bf16_to_f32, out);
    break;
  case EF_DT_F16:
    convert16(raw, n, ef_f16_to_f32, out);
    break;
  case EF_DT_F64:
    convert64(raw, n, out);
    break;
  default:
    return wrong_type(reader, tensor, "a floating type");
  }
  for (size_t i = 0; i < n && finite_only; i++) {
    EF_TRY(EF_CHECK(isfinite(out[i]), EF_INPUT, "%s: %s: element %zu is not finite",
                    reader->shards[((const ef_st_entry *)tensor)->shard].path, tensor->name, i));
  }
  return EF_OK;
}

ef_status ef_st_read_i64(const ef_st *reader, const ef_st_tensor *tensor, int64_t *out) {
  size_t size;
  const unsigned char *raw = ef_st_bytes(reader, tensor, &size);
  if (tensor->dtype == EF_DT_I64) {
    memcpy(out, raw, size);
    return EF_OK;
  }
  if (tensor->dtype != EF_DT_I32) return wrong_type(reader, tensor, "I64 or I32");
  for (size_t i = 0; i < tensor->count; i++) {
    int32_t x;
    memcpy(&x, raw + 4 * i, sizeof x);
    out[i] = x;
  }
  return EF_OK;
}
