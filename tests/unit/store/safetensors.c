#include "store/safetensors.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static char folder[256], path[512];

static void up(void) {
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/x.safetensors", folder);
}

static void down(void) { test_remove_folder(folder); }

TestSuite(safetensors, .init = up, .fini = down, .timeout = 120);

/* Length, header and `data` zero bytes. */
static size_t put(const char *file, const char *header, size_t data) {
  size_t n = strlen(header), size = 8 + n + data;
  char *bytes = ef_alloc(size, 1);
  for (int i = 0; i < 8; i++) bytes[i] = (char)(n >> 8 * i);
  memcpy(bytes + 8, header, n);
  cr_assert_eq(ef_file_write(file, bytes, size), EF_OK);
  ef_free(bytes);
  return size;
}

static void refused_at(const char *where, const char *part) {
  ef_st *reader = NULL;
  size_t blocks = ef_memory_blocks();
  cr_assert_eq(ef_st_open(where, &reader), EF_INPUT, "expected: %s", part);
  cr_assert_null(reader);
  cr_assert(strstr(ef_message(), part), "no \"%s\" in: %s", part, ef_message());
  cr_assert(strstr(ef_message(), folder), "no path in: %s", ef_message());
  cr_assert_eq(ef_memory_blocks(), blocks);
}

static void refused(const char *header, size_t data, const char *part) {
  put(path, header, data);
  refused_at(path, part);
}

#define F32(name, shape, begin, end)                                                                         \
  "\"" name "\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" #begin "," #end "]}"

Test(safetensors, lying_headers) {
  refused_at(path, "No such file");
  cr_assert_eq(ef_file_write(path, "", 0), EF_OK);
  refused_at(path, "empty");
  cr_assert_eq(ef_file_write(path, "\1\0\0", 3), EF_OK);
  refused_at(path, "too short");
  cr_assert_eq(ef_file_write(path, "\377\377\377\377\377\377\377\377{}", 10), EF_OK);
  refused_at(path, "more than the format allows");
  cr_assert_eq(ef_file_write(path, "\3\0\0\0\0\0\0\0{}", 10), EF_OK);
  refused_at(path, "cut short");
  refused("", 0, "no JSON object");
  refused("[1]", 0, "no JSON object");
  refused("{\"a\":", 0, "header, byte");
  refused("{\"a\":{},\"a\":{}}", 0, "duplicate");
  refused("{\"__metadata__\":3}", 0, "__metadata__");
  refused("{\"__metadata__\":{\"k\":3}}", 0, "\"k\" is no text");
  refused("{\"a\\u0000b\":{}}", 0, "header, byte");
  refused("{\"a\\nb\":{}}", 0, "control characters");
  refused_at(folder, "neither model.safetensors nor its index");
}

Test(safetensors, lying_entries) {
  refused("{\"w\":3}", 0, "w: no JSON object");
  refused("{\"w\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "w: no dtype");
  refused("{\"w\":{\"dtype\":\"Q4\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "w: unknown dtype \"Q4\"");
  refused("{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "w: the shape is no list");
  refused("{" F32("w", "1,1,1,1,1,1,1,1,1", 0, 4) "}", 4, "w: the shape is no list of at most 8");
  refused("{" F32("w", "-1", 0, 4) "}", 4, "w: dimension 0 of the shape");
  refused("{" F32("w", "1.5", 0, 4) "}", 4, "w: dimension 0 of the shape");
  refused("{" F32("w", "4294967296,4294967296", 0, 4) "}", 4, "w: the shape is too large");
  refused("{" F32("w", "9223372036854775807", 0, 4) "}", 4, "w: the shape is too large");
  refused("{" F32("w", "99999999999999999999", 0, 4) "}", 4, "header, byte");
  refused("{" F32("w", "2", 0, 4) "}", 4, "w: 4 bytes between the data_offsets, but the shape needs 8");
  refused("{" F32("w", "1", 0, 8) "}", 4, "w: data_offsets [0, 8] pass the end");
  refused("{" F32("w", "1", 4, 0) "}", 4, "w: data_offsets [4, 0] run backwards");
  refused("{" F32("w", "1", -4, 0) "}", 4, "w: data_offsets are no two natural numbers");
  refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "w: data_offsets are no two");
}

Test(safetensors, lying_layout) {
  refused("{" F32("a", "2", 0, 8) "," F32("b", "2", 4, 12) "}", 12, "a and b overlap");
  refused("{" F32("a", "1", 0, 4) "," F32("b", "1", 8, 12) "}", 12, "4 bytes before b belong to no tensor");
  refused("{" F32("a", "1", 4, 8) "}", 8, "4 bytes before a belong to no tensor");
  refused("{" F32("a", "1", 0, 4) "}", 7, "3 bytes behind the last tensor");
  refused("{}", 1, "1 bytes behind the last tensor");
}

Test(safetensors, unordered_and_empty_tensors_are_fine) {
  ef_st *reader = NULL;
  put(path,
      "{\"__metadata__\":{\"format\":\"pt\"}," F32("z", "1", 0, 4) "," F32("e", "0,5", 4, 4) "," F32(
          "a", "2", 4, 12) "," F32("scalar", "", 12, 16) "}   ",
      16);
  cr_assert_eq(ef_st_open(path, &reader), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_st_count(reader), 4);
  cr_assert_str_eq(ef_st_at(reader, 0)->name, "a");
  cr_assert_str_eq(ef_st_at(reader, 3)->name, "z");
  cr_assert_null(ef_st_at(reader, 4));
  cr_assert_eq(ef_st_find(reader, "e")->count, 0);
  cr_assert_eq(ef_st_find(reader, "scalar")->count, 1);
  cr_assert_null(ef_st_find(reader, "none"));
  ef_st_close(reader);
  ef_st_close(NULL);
}

static void save(const char *file, const char *const *names, size_t count, ef_dtype dtype) {
  static float x[6] = {0.5f, -1.25f, 3.0f, 0x1p-20f, 65504.0f, -0.0f};
  ef_st_write tensors[4];
  for (size_t i = 0; i < count; i++) {
    tensors[i] = (ef_st_write){.name = names[i], .dtype = dtype, .rank = 2, .shape = {2, 3}, .data = x};
  }
  cr_assert_eq(ef_st_save(file, tensors, count), EF_OK, "%s", ef_message());
}

Test(safetensors, saved_values_come_back) {
  static const char *const names[] = {"b", "a \xc3\xa9 \"q\""};
  static const ef_dtype types[] = {EF_DT_F32, EF_DT_BF16, EF_DT_F16};
  static const float expected[3][6] = {{0.5f, -1.25f, 3.0f, 0x1p-20f, 65504.0f, -0.0f},
                                       {0.5f, -1.25f, 3.0f, 0x1p-20f, 65536.0f, -0.0f},
                                       {0.5f, -1.25f, 3.0f, 0x1p-20f, 65504.0f, -0.0f}};
  size_t blocks = ef_memory_blocks();
  for (int k = 0; k < 3; k++) {
    ef_st *reader = NULL;
    float out[6];
    save(path, names, 2, types[k]);
    cr_assert_eq(ef_st_open(path, &reader), EF_OK, "%s", ef_message());
    const ef_st_tensor *tensor = ef_st_find(reader, names[1]);
    cr_assert(tensor && tensor->rank == 2 && tensor->shape[1] == 3 && tensor->dtype == types[k]);
    cr_assert_eq(ef_st_read_f32(reader, tensor, true, out), EF_OK, "%s", ef_message());
    cr_assert_eq(memcmp(out, expected[k], sizeof out), 0, "type %d", k);
    size_t size;
    cr_assert_not_null(ef_st_bytes(reader, tensor, &size));
    cr_assert_eq(size, k == 0 ? 24 : 12);
    int64_t whole[6];
    cr_assert_eq(ef_st_read_i64(reader, tensor, whole), EF_INPUT);
    ef_st_close(reader);
  }
  cr_assert_eq(ef_memory_blocks(), blocks);
}

Test(safetensors, save_failures_leave_nothing) {
  static const char *const twice[] = {"a", "a"};
  float x[1] = {0};
  ef_st_write tensors[2];
  for (int i = 0; i < 2; i++)
    tensors[i] = (ef_st_write){.name = twice[i], .dtype = EF_DT_F32, .rank = 0, .data = x};
  cr_assert_eq(ef_st_save(path, tensors, 2), EF_FAULT);
  cr_assert(!ef_file_exists(path));
  char far[600];
  snprintf(far, sizeof far, "%s/none/x.safetensors", folder);
  cr_assert_eq(ef_st_save(far, tensors, 1), EF_MACHINE);
  cr_assert(strstr(ef_message(), "No such file"), "%s", ef_message());
}

Test(safetensors, integers_and_values_that_are_not_finite) {
  const char *header = "{\"i\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]},"
                       "\"j\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[16,20]},"
                       "\"f\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[20,28]},"
                       "\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[28,29]}}";
  char bytes[29];
  const int64_t i[2] = {INT64_MIN, 77};
  const int32_t j = -5;
  const float f[2] = {1.0f, INFINITY};
  memcpy(bytes, i, 16);
  memcpy(bytes + 16, &j, 4);
  memcpy(bytes + 20, f, 8);
  size_t size = put(path, header, 29);
  FILE *stream = fopen(path, "r+b");
  cr_assert(stream && fseek(stream, (long)size - 29, SEEK_SET) == 0 && fwrite(bytes, 1, 29, stream) == 29);
  fclose(stream);
  ef_st *reader = NULL;
  int64_t whole[2];
  float out[2];
  cr_assert_eq(ef_st_open(path, &reader), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_st_read_i64(reader, ef_st_find(reader, "i"), whole), EF_OK);
  cr_assert(whole[0] == INT64_MIN && whole[1] == 77);
  cr_assert_eq(ef_st_read_i64(reader, ef_st_find(reader, "j"), whole), EF_OK);
  cr_assert_eq(whole[0], -5);
  cr_assert_eq(ef_st_read_f32(reader, ef_st_find(reader, "f"), false, out), EF_OK);
  cr_assert_eq(ef_st_read_f32(reader, ef_st_find(reader, "f"), true, out), EF_INPUT);
  cr_assert(strstr(ef_message(), "f: element 1 is not finite"), "%s", ef_message());
  cr_assert_eq(ef_st_read_f32(reader, ef_st_find(reader, "u"), false, out), EF_INPUT);
  cr_assert_eq(ef_st_read_f32(reader, ef_st_find(reader, "i"), false, out), EF_INPUT);
  ef_st_close(reader);
}

/* ---- sharded folders ---------------------------------------------------------------------------------- */

static void put_index(const char *text) {
  char index[600];
  snprintf(index, sizeof index, "%s/model.safetensors.index.json", folder);
  cr_assert_eq(ef_file_write(index, text, strlen(text)), EF_OK);
}

static void put_shards(void) {
  static const char *const first[] = {"a", "b"}, *const second[] = {"c"};
  char file[600];
  snprintf(file, sizeof file, "%s/m-1.safetensors", folder);
  save(file, first, 2, EF_DT_F32);
  snprintf(file, sizeof file, "%s/m-2.safetensors", folder);
  save(file, second, 1, EF_DT_F32);
}

Test(safetensors, sharded_folder) {
  ef_st *reader = NULL;
  put_shards();
  put_index("{\"metadata\":{},\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-1.safetensors\","
            "\"c\":\"m-2.safetensors\"}}");
  cr_assert_eq(ef_st_open(folder, &reader), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_st_count(reader), 3);
  float out[6];
  cr_assert_eq(ef_st_read_f32(reader, ef_st_find(reader, "c"), true, out), EF_OK);
  cr_assert_eq(out[1], -1.25f);
  ef_st_close(reader);
}

Test(safetensors, lying_indexes) {
  put_shards();
  put_index("{");
  refused_at(folder, "line 1");
  put_index("[]");
  refused_at(folder, "no weight_map");
  put_index("{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}");
  refused_at(folder, "a: \"../m-1.safetensors\" is no plain file name");
  put_index("{\"weight_map\":{\"a\":\"/etc/passwd\"}}");
  refused_at(folder, "is no plain file name");
  put_index("{\"weight_map\":{\"a\":\"..\"}}");
  refused_at(folder, "is no plain file name");
  put_index("{\"weight_map\":{\"a\":3}}");
  refused_at(folder, "is no plain file name");
  put_index("{\"weight_map\":{\"a\":\"m-3.safetensors\"}}");
  refused_at(folder, "m-3.safetensors: No such file");
  put_index(
      "{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-1.safetensors\",\"d\":\"m-1.safetensors\"}}");
  refused_at(folder, "d is not in m-1.safetensors");
  put_index(
      "{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-1.safetensors\",\"c\":\"m-1.safetensors\"}}");
  refused_at(folder, "c is not in m-1.safetensors");
  put_index("{\"weight_map\":{\"a\":\"m-1.safetensors\"}}");
  refused_at(folder, "b of m-1.safetensors is missing in the index");
  static const char *const again[] = {"a"};
  char file[600];
  snprintf(file, sizeof file, "%s/m-2.safetensors", folder);
  save(file, again, 1, EF_DT_F32);
  put_index(
      "{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-1.safetensors\",\"c\":\"m-2.safetensors\"}}");
  refused_at(folder, "too");
}

/* ---- damage ------------------------------------------------------------------------------------------- */

/* Reads everything that opens; only EF_OK and EF_INPUT may come out, and no access outside the file
 * (sanitizer). */
static void survive(const char *bytes, size_t n) {
  ef_st *reader = NULL;
  FILE *stream = fopen(path, "wb");
  cr_assert(stream && fwrite(bytes, 1, n, stream) == n);
  fclose(stream);
  ef_status status = ef_st_open(path, &reader);
  cr_assert(status == EF_OK || status == EF_INPUT, "%s", ef_status_name(status));
  if (status != EF_OK) return;
  for (size_t i = 0; i < ef_st_count(reader); i++) {
    const ef_st_tensor *tensor = ef_st_at(reader, i);
    float *out = ef_alloc(tensor->count, 4);
    int64_t *whole = ef_alloc(tensor->count, 8);
    cr_assert(out && whole);
    ef_st_read_f32(reader, tensor, true, out);
    ef_st_read_i64(reader, tensor, whole);
    ef_free(out);
    ef_free(whole);
  }
  ef_st_close(reader);
}

Test(safetensors, damaged_files_never_crash) {
  static const char *const names[] = {"a", "bb", "c.weight"};
  char *whole, *copy;
  size_t size;
  save(path, names, 3, EF_DT_BF16);
  cr_assert_eq(ef_file_read(path, EF_INPUT, &whole, &size), EF_OK);
  copy = ef_alloc(size + 64, 1);
  ef_rng rng = ef_rng_stream(1, EF_RNG_TEST, 81, 0);
  for (int i = 0; i < 3000; i++) {
    size_t at = ef_rng_below(&rng, size), n = size, more = 1 + ef_rng_below(&rng, 8);
    memcpy(copy, whole, size);
    switch (ef_rng_below(&rng, 4)) {
    case 0:
      copy[at] = (char)(copy[at] ^ (1 << ef_rng_below(&rng, 8)));
      break;
    case 1:
      n = at;
      break;
    case 2:
      copy[at] = "0123456789-{}[]\":,eE"[ef_rng_below(&rng, 20)];
      break;
    default:
      memmove(copy + at + more, copy + at, size - at);
      memset(copy + at, (int)('0' + ef_rng_below(&rng, 10)), more);
      if (ef_rng_below(&rng, 2)) copy[0] = (char)(copy[0] + (char)more);
      n = size + more;
    }
    survive(copy, n);
  }
  ef_free(copy);
  ef_free(whole);
}

Test(safetensors, reference_files_open) {
  char reference[512];
  if (!test_oracle_path(reference, sizeof reference, "gpt2/model.safetensors"))
    cr_skip_test("no reference tensors");
  ef_st *reader = NULL;
  cr_assert_eq(ef_st_open(reference, &reader), EF_OK, "%s", ef_message());
  cr_assert(ef_st_count(reader) > 10);
  ef_st_close(reader);
}
