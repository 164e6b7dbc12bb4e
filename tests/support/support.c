#include "support/support.h"

#include "base/rng.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool find_in(char *path, size_t size, const char *variable, const char *beside, const char *name) {
  const char *folder = getenv(variable), *source = getenv("EDGEFUSE_SOURCE");
  if (folder) {
    snprintf(path, size, "%s/%s", folder, name);
  } else {
    snprintf(path, size, "%s/../shared/%s/%s", source ? source : ".", beside, name);
  }
  return access(path, R_OK) == 0;
}

bool test_oracle_path(char *path, size_t size, const char *name) {
  return find_in(path, size, "EDGEFUSE_ORACLE", "oracle/models", name);
}

bool test_data_path(char *path, size_t size, const char *name) {
  return find_in(path, size, "EDGEFUSE_DATA", "data", name);
}

void test_make_folder(char *path, size_t size) {
  const char *base = getenv("TMPDIR");
  snprintf(path, size, "%s/edgefuse-test-XXXXXX", base ? base : "/tmp");
  if (!mkdtemp(path)) abort();
}

void test_remove_folder(const char *path) {
  char command[4200];
  snprintf(command, sizeof command, "rm -rf -- '%s'", path);
  if (system(command) != 0) perror(path);
}

void test_fill(float *x, size_t n, float scale, unsigned stream) {
  ef_rng rng = ef_rng_stream(1234, EF_RNG_TEST, stream, 0);
  for (size_t i = 0; i < n; i++) x[i] = scale * (float)(2.0 * ef_rng_uniform(&rng) - 1.0);
}

double test_max_abs(const float *a, const float *b, size_t n) {
  double worst = 0.0;
  for (size_t i = 0; i < n; i++) {
    double d = fabs((double)a[i] - (double)b[i]);
    if (!(d <= worst)) worst = d;
  }
  return worst;
}

double test_rel_frobenius(const float *a, const float *b, size_t n) {
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i < n; i++) {
    double d = (double)a[i] - (double)b[i];
    difference += d * d;
    norm += (double)b[i] * (double)b[i];
  }
  if (norm == 0.0) return difference == 0.0 ? 0.0 : INFINITY;
  return sqrt(difference / norm);
}
