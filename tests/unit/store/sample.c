#include "sample.h"

#include "base/memory.h"
#include <string.h>

const ef_h5_header sample_header = {
    .kind = "tensors", .deck = sample_deck, .seed = UINT64_MAX - 4, .ranks = 1};

float sample_weight(size_t i) { return (float)((i * 2654435761u) % 1000003u) / 1000003.0f - 0.5f; }
int64_t sample_token(size_t i) { return (int64_t)i * 1234567891011 - 5; }

enum { COUNT = 8 };

static const ef_h5_array arrays[COUNT] = {
    {"/model/layers.0.weight",
     EF_H5_F32,
     2,
     {SAMPLE_ROWS, SAMPLE_COLUMNS},
     "a matrix of two chunks",
     "1",
     "rows,columns"},
    {"/model/layers.0.bias", EF_H5_F32, 1, {SAMPLE_COLUMNS}, "a vector", "1", "columns"},
    {"/data/tokens", EF_H5_I64, 1, {33}, "integers", "1", "position"},
    {"/data/ids", EF_H5_I32, 3, {2, 3, 4}, "integers of three dimensions", "1", "a,b,c"},
    {"/data/bytes", EF_H5_U8, 1, {1001}, "bytes", "byte", "position"},
    {"/series/loss", EF_H5_F64, 1, {9}, "a series", "nat", "step"},
    {"/state/step", EF_H5_I64, 0, {0}, "a scalar", "1", ""},
    {"/state/empty", EF_H5_F32, 2, {0, 5}, "no elements", "1", "rows,columns"},
};

static size_t elements(const ef_h5_array *array) {
  size_t n = 1;
  for (size_t d = 0; d < array->rank; d++) n *= array->shape[d];
  return n;
}

/* The expected contents of an array; 8 bytes per element are always enough. */
static void fill(const ef_h5_array *array, void *out) {
  for (size_t i = 0; i < elements(array); i++) {
    switch (array->type) {
    case EF_H5_F32:
      ((float *)out)[i] = sample_weight(i);
      break;
    case EF_H5_F64:
      ((double *)out)[i] = 0.1 * (double)sample_weight(i);
      break;
    case EF_H5_I32:
      ((int32_t *)out)[i] = (int32_t)(i * 77 + 1);
      break;
    case EF_H5_I64:
      ((int64_t *)out)[i] = sample_token(i);
      break;
    case EF_H5_U8:
      ((uint8_t *)out)[i] = (uint8_t)(i * 31);
      break;
    }
  }
}

static size_t bytes(const ef_h5_array *array) {
  static const size_t unit[] = {4, 8, 4, 8, 1};
  return unit[array->type] * elements(array);
}

static ef_status write_one(ef_h5 *file, const ef_h5_array *array, bool mine) {
  void *data = NULL;
  EF_TRY((data = ef_alloc(elements(array) + 1, 8)) ? EF_OK : EF_MACHINE);
  fill(array, data);
  ef_status status = ef_h5_write(file, array, mine ? data : NULL);
  ef_free(data);
  return status;
}

ef_status sample_fill(ef_h5 *file, int rank, int ranks) {
  for (int k = 0; k < COUNT; k++) EF_TRY(write_one(file, &arrays[k], k % ranks == rank));
  EF_TRY(ef_h5_set_text(file, "/model", "family", "llama \xc3\xa9"));
  EF_TRY(ef_h5_set_int(file, "/", "round", -3));
  EF_TRY(ef_h5_set_real(file, "/model/layers.0.weight", "norm", 1.5));
  return ef_h5_set_nxdata(file, "/series", "loss", "step", "Loss of a run");
}

static bool equal_one(ef_h5 *file, const ef_h5_array *array) {
  char *expected = ef_alloc(elements(array) + 1, 8), *found = ef_alloc(elements(array) + 1, 8);
  fill(array, expected);
  bool same = ef_h5_read(file, array, found) == EF_OK && memcmp(found, expected, bytes(array)) == 0;
  ef_free(expected);
  ef_free(found);
  return same;
}

static bool equal_text(ef_h5 *file, const char *object, const char *name, const char *expected) {
  char *text = NULL;
  ef_status status =
      strcmp(name, "deck") == 0 ? ef_h5_deck(file, &text) : ef_h5_get_text(file, object, name, &text);
  bool same = status == EF_OK && strcmp(text, expected) == 0;
  ef_free(text);
  return same;
}

bool sample_equal(ef_h5 *file) {
  int64_t round = 0, seed = 0;
  double norm = 0.0;
  bool same =
      equal_text(file, "/", "deck", sample_deck) && equal_text(file, "/model", "family", "llama \xc3\xa9");
  same = same && ef_h5_get_int(file, "/", "round", &round) == EF_OK && round == -3;
  same = same && ef_h5_get_int(file, "/", "seed", &seed) == EF_OK && (uint64_t)seed == UINT64_MAX - 4;
  same = same && ef_h5_get_real(file, "/model/layers.0.weight", "norm", &norm) == EF_OK && norm == 1.5;
  same = same && equal_text(file, "/series", "axes", "step") && equal_text(file, "/", "kind", "tensors");
  for (int k = 0; k < COUNT && same; k++) same = equal_one(file, &arrays[k]);
  return same;
}

ef_status sample_write(const char *path) {
  ef_h5 *file = NULL;
  EF_TRY(ef_h5_create(path, MPI_COMM_NULL, &sample_header, &file));
  ef_status status = sample_fill(file, 0, 1);
  if (status != EF_OK) {
    ef_h5_close(file);
    return status;
  }
  return ef_h5_commit(file);
}
