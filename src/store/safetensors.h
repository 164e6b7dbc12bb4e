/* safetensors files: eight bytes of header length, a JSON header, the tensors' bytes. Read with distrust:
 * every offset, shape and name is checked before use.
 *
 * A reader covers one file, or a folder with "model.safetensors" or a sharded "model.safetensors.index.json".
 * Tensors are converted to float32 (from F32, BF16, F16; exact) or int64 / int32 (I64, I32).
 */
#pragma once

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

typedef enum ef_dtype {
  EF_DT_F32,
  EF_DT_BF16,
  EF_DT_F16,
  EF_DT_F64,
  EF_DT_I64,
  EF_DT_I32,
  EF_DT_OTHER
} ef_dtype;

typedef struct ef_st_tensor {
  const char *name; /* owned by the reader */
  ef_dtype dtype;
  size_t rank, shape[8], count;
} ef_st_tensor;

typedef struct ef_st ef_st; /* opaque reader; maps the files read-only */

/* Opens PATH, a file or a folder. EF_INPUT: a lying header length, JSON that does not parse, offsets that
 * overlap, leave gaps or pass the end, shapes that contradict offsets, an index that names a missing file or
 * tensor, a tensor in two shards. Local. */
ef_status ef_st_open(const char *path, ef_st **reader);
void ef_st_close(ef_st *reader);

size_t ef_st_count(const ef_st *reader);
const ef_st_tensor *ef_st_at(const ef_st *reader, size_t i); /* in the order of names */
const ef_st_tensor *ef_st_find(const ef_st *reader, const char *name);

/* Converts a floating tensor to float32, an integer one to int64. EF_INPUT for other types and, with
 * finite_only, for the first NaN or infinity (its index is named). Local. */
ef_status ef_st_read_f32(const ef_st *reader, const ef_st_tensor *tensor, bool finite_only, float *out);
ef_status ef_st_read_i64(const ef_st *reader, const ef_st_tensor *tensor, int64_t *out);

/* The stored bytes themselves and their number: for byte-exact comparison. Local. */
const void *ef_st_bytes(const ef_st *reader, const ef_st_tensor *tensor, size_t *size);

/* Writes tensors to PATH (temporary name, fsync, rename); data is float32 and is rounded to `dtype` to
 * nearest even (F32, BF16, F16; exact for values that came from that type). Local. */
typedef struct ef_st_write {
  const char *name;
  ef_dtype dtype;
  size_t rank, shape[8];
  const float *data;
} ef_st_write;
ef_status ef_st_save(const char *path, const ef_st_write *tensors, size_t count);

const char *ef_dtype_name(ef_dtype dtype); /* "F32" ... */
bool ef_dtype_find(const char *name, ef_dtype *dtype);

/* float32 to bfloat16 bits, nearest even (NaN stays NaN), and back; the same for IEEE half. Local. */
uint16_t ef_bf16_from_f32(float x);
float ef_bf16_to_f32(uint16_t bits);
/* n numbers as bfloat16 in a message of 2 n bytes, anywhere in memory, and back. Local. */
void ef_bf16_pack(size_t n, const float *x, unsigned char *message);
void ef_bf16_unpack(size_t n, const unsigned char *message, float *x);
uint16_t ef_f16_from_f32(float x);
float ef_f16_to_f32(uint16_t bits);
