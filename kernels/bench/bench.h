/* Benchmark of the kernels at the shapes of three small models (D=256, 6 layers, 8 heads of 32, V=8192,
 * T=256, B=8): GPT-2 (FFN 1024), Llama (SwiGLU 688) and Qwen-MoE (16 experts of 176, top-4, shared 704).
 *
 * A case is one operation at one shape, with the floating-point operations or the bytes it must at least
 * spend and the times that one training step of each model calls it. main.c times the cases; cases_*.c list
 * them.
 */
#pragma once

#include "kernels/kernels.h"

enum {
  EF_B = 8,
  EF_T = 256,
  EF_R = EF_B * EF_T,
  EF_D = 256,
  EF_H = 8,
  EF_HEAD = EF_D / EF_H,
  EF_V = 8192,
  EF_L = 6,
  EF_E = 16,
  EF_K = 4,
  EF_GPT2_F = 1024,
  EF_LLAMA_F = 688,
  EF_EXPERT_F = 176,
  EF_SHARED_F = 704,
  EF_MODELS = 3
};

/* Parameters: all, and those that work on one token in matrix products. */
typedef struct ef_bench_model {
  const char *name;
  size_t parameters, active;
} ef_bench_model;
extern const ef_bench_model ef_bench_models[EF_MODELS];

/* The arrays that cases work on, filled once; each has EF_BENCH_FLOATS floats, targets and ids EF_R entries.
 */
enum { EF_BENCH_FLOATS = EF_R * EF_V };
typedef struct ef_bench {
  const ef_kernels *k;
  float *x, *y, *z, *w;
  int32_t *targets, *ids, *positions;   /* (EF_R) in [0,EF_V), and positions 0..T-1 */
  int32_t *experts, *source, *position; /* (EF_R*EF_K) */
} ef_bench;

typedef struct ef_case {
  const char *name, *shape;
  void (*run)(const ef_bench *b, const struct ef_case *c);
  size_t rows, n, k; /* of matrices: output rows, output columns, inner length; else as `run` likes */
  double flops, bytes;
  size_t calls[EF_MODELS]; /* per training step: GPT-2, Llama, Qwen-MoE */
} ef_case;

/* The two lists; each ends with a case without name. Local. */
const ef_case *ef_bench_matmul_cases(void);
const ef_case *ef_bench_operation_cases(void);
