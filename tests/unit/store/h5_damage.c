/* Damaged files: flipped bits and cut ends are refused, or change nothing. */
#include "store/h5.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "sample.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char folder[256], path[512], *whole;
static size_t size;

static void up(void) {
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/a.h5", folder);
  cr_assert_eq(sample_write(path), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_file_read(path, EF_INPUT, &whole, &size), EF_OK);
}

static void down(void) {
  ef_free(whole);
  test_remove_folder(folder);
}

TestSuite(h5_damage, .init = up, .fini = down, .timeout = 240);

static void put(const char *bytes, size_t n) {
  FILE *stream = fopen(path, "wb");
  cr_assert(stream && fwrite(bytes, 1, n, stream) == n);
  fclose(stream);
}

/* EF_OK only if the file opens, verifies and holds what the sample holds. */
static ef_status judge(void) {
  ef_h5 *file = NULL;
  EF_TRY(ef_h5_open(path, "tensors", &file));
  ef_status status = ef_h5_verify(file);
  if (status == EF_OK && !sample_equal(file)) status = EF_FAULT;
  ef_h5_close(file);
  return status;
}

static ef_status flip_and_judge(size_t at, unsigned bit) {
  whole[at] = (char)(whole[at] ^ (1 << bit));
  put(whole, size);
  whole[at] = (char)(whole[at] ^ (1 << bit));
  return judge();
}

/* Where the bytes of an array lie in the file. */
static size_t find(const void *bytes, size_t n) {
  char *at = memmem(whole, size, bytes, n);
  cr_assert_not_null(at);
  return (size_t)(at - whole);
}

Test(h5_damage, every_flip_in_raw_data_is_found) {
  float *x = ef_alloc(SAMPLE_ROWS * SAMPLE_COLUMNS, 4);
  for (size_t i = 0; i < SAMPLE_ROWS * SAMPLE_COLUMNS; i++) x[i] = sample_weight(i);
  int64_t tokens[33];
  for (size_t i = 0; i < 33; i++) tokens[i] = sample_token(i);
  size_t first = 350 * SAMPLE_COLUMNS; /* rows of the first chunk */
  const struct {
    size_t at, bytes;
  } areas[] = {{find(x, 4 * first), 4 * first},
               {find(x + first, 4000), 4 * (SAMPLE_ROWS * SAMPLE_COLUMNS - first)},
               {find(tokens, sizeof tokens), sizeof tokens},
               {find(sample_deck, sizeof sample_deck), sizeof sample_deck}};
  ef_rng rng = ef_rng_stream(1, EF_RNG_TEST, 77, 0);
  for (size_t k = 0; k < 4; k++) {
    for (int i = 0; i < 30; i++) {
      size_t at = areas[k].at + ef_rng_below(&rng, areas[k].bytes);
      ef_status status = flip_and_judge(at, (unsigned)ef_rng_below(&rng, 8));
      cr_assert_eq(status, EF_CHECKPOINT, "area %zu, byte %zu: %s", k, at, ef_status_name(status));
      cr_assert(strstr(ef_message(), "/"), "%s", ef_message());
    }
  }
  ef_free(x);
}

Test(h5_damage, flips_elsewhere_are_refused_or_harmless) {
  float row[64];
  for (size_t i = 0; i < 64; i++) row[i] = sample_weight(i);
  size_t begin = find(row, sizeof row), end = begin + (size_t)4 * SAMPLE_COLUMNS * 350, refused = 0;
  ef_rng rng = ef_rng_stream(1, EF_RNG_TEST, 78, 0);
  for (int i = 0; i < 600; i++) {
    size_t at = ef_rng_below(&rng, size - (end - begin));
    if (at >= begin) at += end - begin;
    ef_status status = flip_and_judge(at, (unsigned)ef_rng_below(&rng, 8));
    refused += status == EF_CHECKPOINT;
    cr_assert(status == EF_OK || status == EF_CHECKPOINT, "byte %zu: %s %s", at, ef_status_name(status),
              ef_message());
  }
  cr_assert(refused > 100, "only %zu of 600 refused", refused);
}

Test(h5_damage, every_byte_of_the_first_kilobytes) {
  for (size_t at = 0; at < 4096; at += 3) {
    ef_status status = flip_and_judge(at, (unsigned)(at % 8));
    cr_assert(status == EF_OK || status == EF_CHECKPOINT, "byte %zu: %s %s", at, ef_status_name(status),
              ef_message());
  }
}

Test(h5_damage, overwritten_stretches_are_refused_or_harmless) {
  ef_rng rng = ef_rng_stream(1, EF_RNG_TEST, 79, 0);
  char *copy = ef_alloc(size, 1);
  for (int i = 0; i < 150; i++) {
    memcpy(copy, whole, size);
    size_t n = 1 + ef_rng_below(&rng, 64), at = ef_rng_below(&rng, size < 8192 ? size - n : 8192);
    for (size_t j = 0; j < n; j++) copy[at + j] = (char)ef_rng_u32(&rng);
    put(copy, size);
    ef_status status = judge();
    cr_assert(status == EF_OK || status == EF_CHECKPOINT, "byte %zu: %s %s", at, ef_status_name(status),
              ef_message());
  }
  ef_free(copy);
}

Test(h5_damage, cut_files_are_refused) {
  ef_rng rng = ef_rng_stream(1, EF_RNG_TEST, 80, 0);
  for (int i = 0; i < 120; i++) {
    size_t n = i < 20 ? (size_t)i * 13 : i < 40 ? size - 1 - (size_t)(i - 20) : ef_rng_below(&rng, size);
    put(whole, n);
    ef_status status = judge();
    cr_assert_eq(status, EF_CHECKPOINT, "%zu of %zu bytes: %s", n, size, ef_status_name(status));
  }
}
