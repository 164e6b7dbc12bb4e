#include "store/safetensors.h"

#include "base/file.h"
#include "base/memory.h"
#include "store/dtype.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, BLOCK = 65536 };

static size_t count_of(const ef_st_write *tensor) {
  size_t n = 1;
  for (size_t d = 0; d < tensor->rank; d++) n *= tensor->shape[d];
  return n;
}

static ef_status describe(const ef_st_write *tensor, size_t *offset, json_t *header) {
  bool known = tensor->dtype == EF_DT_F32 || tensor->dtype == EF_DT_BF16 || tensor->dtype == EF_DT_F16;
  EF_TRY(EF_CHECK(known && tensor->rank <= 8, EF_FAULT, "%s: bad dtype or rank", tensor->name));
  EF_TRY(EF_CHECK(!json_object_get(header, tensor->name), EF_FAULT, "%s: named twice", tensor->name));
  ef_dtype dtype;
  const char *type = ef_dtype_name(tensor->dtype);
  size_t end = *offset + count_of(tensor) * ef_dtype_bytes(type, &dtype);
  json_t *shape = json_array();
  for (size_t d = 0; d < tensor->rank; d++)
    json_array_append_new(shape, json_integer((json_int_t)tensor->shape[d]));
  json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", type, "shape", shape, "data_offsets",
                            (json_int_t)*offset, (json_int_t)end);
  *offset = end;
  return EF_CHECK(entry && json_object_set_new(header, tensor->name, entry) == 0, EF_FAULT,
                  "%s: no UTF-8 name, or memory is short", tensor->name);
}

/* The header as text, padded with spaces so that the data are aligned to eight bytes. */
static ef_status make_header(const ef_st_write *tensors, size_t count, char **text, size_t *length) {
  /* Loaders of the transformers library refuse a file that does not name its format. */
  json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
  char *dump = NULL;
  size_t offset = 0;
  ef_status status;
  EF_GO(EF_CHECK(header, EF_MACHINE, "out of memory"));
  for (size_t i = 0; i < count; i++) EF_GO(describe(&tensors[i], &offset, header));
  dump = json_dumps(header, JSON_COMPACT);
  EF_GO(EF_CHECK(dump, EF_MACHINE, "out of memory: header"));
  size_t n = strlen(dump);
  *length = (n + 7) / 8 * 8;
  *text = ef_alloc(*length, 1);
  status =
      *text ? EF_OK : ef_fail(EF_MACHINE, __FILE__, __LINE__, "out of memory: header of %zu bytes", *length);
  if (!*text) goto done;
  memset(*text, ' ', *length);
  memcpy(*text, dump, n);
done:
  free(dump);
  json_decref(header);
  return status;
}

static bool put_block(const float *x, size_t n, ef_dtype dtype, uint16_t *narrow, FILE *stream) {
  if (dtype == EF_DT_F32) return fwrite(x, 4, n, stream) == n;
  for (size_t i = 0; i < n; i++)
    narrow[i] = dtype == EF_DT_BF16 ? ef_bf16_from_f32(x[i]) : ef_f16_from_f32(x[i]);
  return fwrite(narrow, 2, n, stream) == n;
}

static bool put_tensor(const ef_st_write *tensor, uint16_t *narrow, FILE *stream) {
  size_t count = count_of(tensor);
  bool ok = true;
  for (size_t i = 0; i < count && ok; i += BLOCK) {
    size_t n = count - i < BLOCK ? count - i : BLOCK;
    ok = put_block(tensor->data + i, n, tensor->dtype, narrow, stream);
  }
  return ok;
}

static bool put_all(const ef_st_write *tensors, size_t count, const char *header, size_t length,
                    uint16_t *narrow, FILE *stream) {
  unsigned char prefix[8];
  for (int i = 0; i < 8; i++) prefix[i] = (unsigned char)((uint64_t)length >> 8 * i);
  bool ok = fwrite(prefix, 1, 8, stream) == 8 && fwrite(header, 1, length, stream) == length;
  for (size_t i = 0; i < count && ok; i++) ok = put_tensor(&tensors[i], narrow, stream);
  return ok;
}

static ef_status write_temporary(const char *path, const ef_st_write *tensors, size_t count) {
  char *header = NULL;
  uint16_t *narrow = NULL;
  FILE *stream = NULL;
  size_t length = 0;
  ef_status status;
  EF_GO(make_header(tensors, count, &header, &length));
  EF_GO(EF_NEW(narrow, BLOCK));
  stream = fopen(path, "wb");
  EF_GO(EF_CHECK(stream, EF_MACHINE, "cannot be created: %s", strerror(errno)));
  bool whole = put_all(tensors, count, header, length, narrow, stream);
  whole = fclose(stream) == 0 && whole;
  status = EF_CHECK(whole, EF_MACHINE, "could not be written: %s", strerror(errno));
done:
  ef_free(narrow);
  ef_free(header);
  return status;
}

ef_status ef_st_save(const char *path, const ef_st_write *tensors, size_t count) {
  char temporary[PATH_BYTES];
  int n = snprintf(temporary, sizeof temporary, "%s.tmp", path);
  EF_TRY(EF_CHECK(n > 0 && n < PATH_BYTES, EF_MACHINE, "%.60s...: path too long", path));
  ef_status status = write_temporary(temporary, tensors, count);
  if (status != EF_OK) ef_context(status, "%s", path);
  if (status == EF_OK) status = ef_file_commit(temporary, path);
  if (status != EF_OK) unlink(temporary);
  return status;
}
