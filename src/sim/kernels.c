#include "sim/kernels.h"

#include <simgrid/host.h>
#include <smpi/smpi.h>

/* A kernel knows no more than its arguments; SMPI keeps one copy of these for each rank. */
static const ef_kernels *blas;
static ef_kernels timed;
static double per_float, taken;
static double experts[EF_SIM_LAYERS],
    routed_at;               /* seconds of the experts; `taken` when the layer was routed */
static size_t layers, layer; /* with experts; the next one */

static void advance(double flops) {
  taken += flops / sg_host_get_speed(sg_host_self());
  if (flops > 0.0) smpi_execute_flops(flops);
}

static void matmul(int transA, int transB, size_t M, size_t N, size_t K, const float *A, size_t lda,
                   const float *B, size_t ldb, float beta, float *C, size_t ldc) {
  blas->matmul(transA, transB, M, N, K, A, lda, B, ldb, beta, C, ldc);
  advance(2.0 * (double)M * (double)N * (double)K);
}

/* Scores and weighted sums of all queries, half of them masked. */
static double attention_flops(const ef_attention *a) {
  return 2.0 * (double)(a->B * a->H * a->h) * (double)a->Tq * (double)a->Tk;
}

static void attention(const ef_attention *a, const float *q, const float *k, const float *v, float *out,
                      float *lse, float *work) {
  blas->attention(a, q, k, v, out, lse, work);
  advance(attention_flops(a));
}

static void attention_backward(const ef_attention *a, const float *q, const float *k, const float *v,
                               const float *out, const float *lse, const float *dout, float *dq, float *dk,
                               float *dv, float *work) {
  blas->attention_backward(a, q, k, v, out, lse, dout, dq, dk, dv, work);
  advance(2.0 * attention_flops(a));
}

static void adamw(const ef_adamw *o, size_t n, float *p, const float *g, float *m, float *v) {
  blas->adamw(o, n, p, g, m, v);
  smpi_execute_flops((double)n * per_float * sg_host_get_speed(sg_host_self()));
}

/* What is computed between sorting a layer's tokens and combining their results is the experts held here. */
static void moe_sort(size_t R, size_t E, size_t K, const int32_t *chosen, size_t *count, int32_t *source,
                     int32_t *position) {
  blas->moe_sort(R, E, K, chosen, count, source, position);
  routed_at = taken;
}

static void moe_combine(size_t R, size_t K, size_t D, const int32_t *position, const float *weights,
                        const float *ys, float *y) {
  experts[layer] += taken - routed_at;
  layer = (layer + 1) % layers;
  blas->moe_combine(R, K, D, position, weights, ys, y);
}

const ef_kernels *ef_sim_kernels(double adam_seconds, size_t moe_layers) {
  blas = ef_kernels_find("blas");
  per_float = adam_seconds;
  layers = moe_layers;
  timed = *blas;
  timed.name = "blas in simulated time";
  timed.matmul = matmul;
  timed.attention = attention;
  timed.attention_backward = attention_backward;
  timed.moe_sort = moe_sort;
  timed.moe_combine = moe_combine;
  timed.adamw = adamw;
  return &timed;
}

double ef_sim_kernel_seconds(void) { return taken; }

double ef_sim_expert_seconds(size_t index) { return experts[index]; }
