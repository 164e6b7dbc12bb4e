/* What several test programs share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Path of `name` under the folder of the reference tensors (environment EDGEFUSE_ORACLE, or
 * ../shared/oracle/models beside the source tree); returns false if it is not there. */
bool test_oracle_path(char *path, size_t size, const char *name);

/* Path of `name` under the folder of real text (EDGEFUSE_DATA, or ../shared/data beside the source tree). */
bool test_data_path(char *path, size_t size, const char *name);

/* A fresh folder for the files of one test; removed by the caller with test_remove_folder. */
void test_make_folder(char *path, size_t size);
void test_remove_folder(const char *path);

/* n floats uniform in [-scale, scale], a pure function of `stream`. */
void test_fill(float *x, size_t n, float scale, unsigned stream);

/* Largest |a-b|, and relative Frobenius error |a-b| / |b| (0 if both are zero). */
double test_max_abs(const float *a, const float *b, size_t n);
double test_rel_frobenius(const float *a, const float *b, size_t n);
