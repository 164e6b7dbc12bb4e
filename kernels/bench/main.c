/* bench_kernels [--json] [BACKEND]: times every operation of one backend (default blas) at the shapes of
 * bench.h.
 *
 * Compute-bound operations are set beside the SGEMM peak (2048^3) of the same run, memory-bound ones beside
 * its copy bandwidth. Last come estimates for whole training steps: sums of calls times the measured time of
 * each. One thread: set OPENBLAS_NUM_THREADS=1 where OpenBLAS is threaded.
 */
#include "bench.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REPEATS = 9 };

#define ATTENTION_WEIGHTS (4 * EF_D * EF_D)
#define LAYERS_OF(per_layer) ((size_t)EF_L * (ATTENTION_WEIGHTS + (per_layer)))
#define EXPERT_WEIGHTS (3 * EF_D * EF_EXPERT_F)
#define SHARED_WEIGHTS (3 * EF_D * EF_SHARED_F + EF_D * (EF_E + 1))

const ef_bench_model ef_bench_models[EF_MODELS] = {
    {"gpt2", LAYERS_OF(2 * EF_D * EF_GPT2_F) + EF_V *EF_D, LAYERS_OF(2 * EF_D * EF_GPT2_F) + EF_V *EF_D},
    {"llama", LAYERS_OF(3 * EF_D * EF_LLAMA_F) + EF_V *EF_D, LAYERS_OF(3 * EF_D * EF_LLAMA_F) + EF_V *EF_D},
    {"qwen_moe", LAYERS_OF(SHARED_WEIGHTS + EF_E * EXPERT_WEIGHTS) + EF_V *EF_D,
     LAYERS_OF(SHARED_WEIGHTS + EF_K * EXPERT_WEIGHTS) + EF_V *EF_D},
};

/* Processor time, so that other programs on the machine disturb little. */
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Median seconds of one call, after a first one that warms up; short calls are timed in bunches of about 2
 * ms. */
static double measure(const ef_bench *b, const ef_case *c) {
  double seconds[REPEATS], start = now();
  c->run(b, c);
  double once = now() - start;
  size_t bunch = once > 2e-3 ? 1 : (size_t)(2e-3 / (once + 1e-9)) + 1;
  for (int i = 0; i < REPEATS; i++) {
    start = now();
    for (size_t j = 0; j < bunch; j++) c->run(b, c);
    seconds[i] = (now() - start) / (double)bunch;
  }
  qsort(seconds, REPEATS, sizeof *seconds, compare);
  return seconds[REPEATS / 2];
}

static void run_peak(const ef_bench *b, const ef_case *c) {
  b->k->matmul(0, 0, c->rows, c->n, c->k, b->x, c->k, b->w, c->n, 0.0f, b->y, c->n);
}
static void run_copy(const ef_bench *b, const ef_case *c) { memcpy(b->y, b->x, c->n * sizeof *b->y); }

static void report(bool json, const ef_case *c, double seconds, double peak, double copy) {
  const bool compute = c->flops > 0.0;
  const double rate = (compute ? c->flops : c->bytes) / seconds, share = rate / (compute ? peak : copy);
  const char *unit = compute ? "GFLOP/s" : "GB/s";
  if (json)
    printf("{\"op\": \"%s\", \"shape\": \"%s\", \"seconds\": %.4e, \"unit\": \"%s\", \"rate\": %.2f, "
           "\"share\": %.3f}\n",
           c->name, c->shape, seconds, unit, rate * 1e-9, share);
  else
    printf("%-24s %-14s %10.3f ms %9.1f %-7s %6.1f %% of %s\n", c->name, c->shape, seconds * 1e3, rate * 1e-9,
           unit, share * 100.0, compute ? "peak" : "copy");
}

static void report_step(bool json, const ef_bench_model *m, double seconds, double matmul_seconds,
                        double peak) {
  const double flops = EF_R * (6.0 * (double)m->active + 6.0 * EF_L * EF_T * EF_D);
  const double rate = flops / seconds;
  if (json)
    printf(
        "{\"step\": \"%s\", \"seconds\": %.4e, \"matmul_seconds\": %.4e, \"rate\": %.2f, \"share\": %.3f}\n",
        m->name, seconds, matmul_seconds, rate * 1e-9, rate / peak);
  else
    printf("%-24s %-14s %10.1f ms %9.1f %-7s %6.1f %% of peak (matmul %.1f ms)\n", m->name, "whole step",
           seconds * 1e3, rate * 1e-9, "GFLOP/s", rate / peak * 100.0, matmul_seconds * 1e3);
}

static void fill(const ef_bench *b) {
  uint32_t state = 1;
  for (size_t i = 0; i < EF_BENCH_FLOATS; i++) {
    state = state * 1664525u + 1013904223u;
    float u = (float)(state >> 8) * 0x1p-24f;
    b->x[i] = 2.0f * u - 1.0f;
    b->y[i] = b->z[i] = b->w[i] = u;
  }
  for (size_t r = 0; r < EF_R; r++) {
    state = state * 1664525u + 1013904223u;
    b->targets[r] = b->ids[r] = (int32_t)(state >> 19); /* below 2^13 = EF_V */
    b->positions[r] = (int32_t)(r % EF_T);
  }
  b->k->router(EF_R, EF_E, EF_K, 1, 0.0f, b->x, b->y, b->experts, b->z);
  size_t count[EF_E];
  b->k->moe_sort(EF_R, EF_E, EF_K, b->experts, count, b->source, b->position);
}

static void *must_alloc(size_t count, size_t size) {
  void *p = calloc(count, size);
  if (p) return p;
  fprintf(stderr, "bench_kernels: no memory for %zu bytes\n", count * size);
  exit(1);
}

static ef_bench open_bench(const ef_kernels *k) {
  ef_bench b = {.k = k};
  float **floats[] = {&b.x, &b.y, &b.z, &b.w};
  int32_t **tokens[] = {&b.targets, &b.ids, &b.positions}, **pairs[] = {&b.experts, &b.source, &b.position};
  for (size_t i = 0; i < 4; i++) *floats[i] = must_alloc(EF_BENCH_FLOATS, sizeof(float));
  for (size_t i = 0; i < 3; i++) *tokens[i] = must_alloc(EF_R, sizeof(int32_t));
  for (size_t i = 0; i < 3; i++) *pairs[i] = must_alloc((size_t)EF_R * EF_K, sizeof(int32_t));
  fill(&b);
  return b;
}

static void close_bench(ef_bench *b) {
  void *all[] = {b->x,   b->y,         b->z,       b->w,      b->targets,
                 b->ids, b->positions, b->experts, b->source, b->position};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

enum { MAX_CASES = 256 };

/* All cases in turn. The peak and the copy rate are measured before and after, and the better ones count. */
static void run_all(const ef_bench *b, bool json) {
  const ef_case peak_case = {"SGEMM", "2048,2048,2048", run_peak, 2048, 2048, 2048, 0x1p34, 0.0, {0}};
  const ef_case copy_case = {"copy", "16777216", run_copy, 0, EF_BENCH_FLOATS, 0, 0.0, 0x1p27, {0}};
  const ef_case *lists[] = {ef_bench_matmul_cases(), ef_bench_operation_cases()};
  double seconds[MAX_CASES], total[EF_MODELS] = {0}, matmul[EF_MODELS] = {0};
  double peak_seconds = measure(b, &peak_case), copy_seconds = measure(b, &copy_case);
  size_t n = 0;
  for (size_t i = 0; i < 2; i++)
    for (const ef_case *c = lists[i]; c->name && n < MAX_CASES; c++) seconds[n++] = measure(b, c);
  peak_seconds = fmin(peak_seconds, measure(b, &peak_case));
  copy_seconds = fmin(copy_seconds, measure(b, &copy_case));
  const double peak = peak_case.flops / peak_seconds, copy = copy_case.bytes / copy_seconds;
  report(json, &peak_case, peak_seconds, peak, copy);
  report(json, &copy_case, copy_seconds, peak, copy);
  n = 0;
  for (size_t i = 0; i < 2; i++)
    for (const ef_case *c = lists[i]; c->name && n < MAX_CASES; c++, n++) {
      report(json, c, seconds[n], peak, copy);
      for (size_t m = 0; m < EF_MODELS; m++) {
        total[m] += (double)c->calls[m] * seconds[n];
        if (i == 0) matmul[m] += (double)c->calls[m] * seconds[n];
      }
    }
  for (size_t m = 0; m < EF_MODELS; m++) report_step(json, &ef_bench_models[m], total[m], matmul[m], peak);
}

int main(int argc, char **argv) {
  bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
  const char *name = argc > 1 + json ? argv[1 + json] : "blas";
  const ef_kernels *k = ef_kernels_find(name);
  if (!k) {
    fprintf(stderr, "bench_kernels: unknown backend '%s'\nusage: bench_kernels [--json] [blas|ref]\n", name);
    return 2;
  }
  ef_bench b = open_bench(k);
  run_all(&b, json);
  close_bench(&b);
  return 0;
}
