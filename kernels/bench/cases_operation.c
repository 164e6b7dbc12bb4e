/* All other operations of a training step. Bytes count each array once per read and once per write. */
#include "bench.h"

#include <string.h>

static void run_bias_add(const ef_bench *b, const ef_case *c) {
  b->k->bias_add(c->rows, c->n, b->w, b->y, c->n);
}
static void run_bias_backward(const ef_bench *b, const ef_case *c) {
  b->k->bias_backward(c->rows, c->n, b->x, c->n, b->y);
}
static void run_add(const ef_bench *b, const ef_case *c) { b->k->add(c->rows * c->n, b->x, b->y); }
static void run_zero(const ef_bench *b, const ef_case *c) { memset(b->y, 0, c->rows * c->n * sizeof *b->y); }
static void run_sum_squares(const ef_bench *b, const ef_case *c) {
  b->y[0] = (float)b->k->sum_squares(c->rows * c->n, b->x);
}
static void run_all_finite(const ef_bench *b, const ef_case *c) {
  b->y[0] = (float)b->k->all_finite(c->rows * c->n, b->x);
}
static void run_embedding(const ef_bench *b, const ef_case *c) {
  b->k->embedding(c->rows, c->n, b->ids, b->x, b->y);
}
static void run_embedding_backward(const ef_bench *b, const ef_case *c) {
  b->k->embedding_backward(c->rows, c->n, b->ids, b->x, b->y);
}
static void run_layernorm(const ef_bench *b, const ef_case *c) {
  b->k->layernorm(c->rows, c->n, 1e-5f, b->x, b->w, b->w + c->n, b->y, b->z, b->z + c->rows);
}
static void run_layernorm_backward(const ef_bench *b, const ef_case *c) {
  float *mean = b->z, *rstd = b->z + c->rows, *dw = rstd + c->rows;
  b->k->layernorm_backward(c->rows, c->n, b->x, b->w, b->w, mean, rstd, b->y, dw, dw + c->n);
}
static void run_rmsnorm(const ef_bench *b, const ef_case *c) {
  b->k->rmsnorm(c->rows, c->n, 1e-6f, b->x, b->w, b->y, b->z);
}
static void run_rmsnorm_backward(const ef_bench *b, const ef_case *c) {
  b->k->rmsnorm_backward(c->rows, c->n, b->x, b->w, b->w, b->z, b->y, b->z + c->rows);
}
static void run_rope(const ef_bench *b, const ef_case *c) {
  b->k->rope(c->rows, c->n, EF_HEAD, 3 * EF_D, EF_HEAD, b->positions, b->w, b->w + EF_T * EF_HEAD / 2, 1,
             b->y);
}

/* Attention over fused rows q|k|v. */
static ef_attention geometry(void) {
  const size_t row = 3 * EF_D;
  return (ef_attention){.B = EF_B,
                        .Tq = EF_T,
                        .Tk = EF_T,
                        .H = EF_H,
                        .G = EF_H,
                        .h = EF_HEAD,
                        .q_batch = EF_T * row,
                        .q_row = row,
                        .q_head = EF_HEAD,
                        .k_batch = EF_T * row,
                        .k_row = row,
                        .k_head = EF_HEAD,
                        .scale = 0.17677670f};
}
static void run_attention(const ef_bench *b, const ef_case *c) {
  (void)c;
  const ef_attention a = geometry();
  float *lse = b->y + EF_R * EF_D;
  b->k->attention(&a, b->x, b->x + EF_D, b->x + 2 * EF_D, b->y, lse, lse + EF_R * EF_H);
}
/* Uses out and lse as run_attention, the case before, has left them. */
static void run_attention_backward(const ef_bench *b, const ef_case *c) {
  (void)c;
  const ef_attention a = geometry();
  float *lse = b->y + EF_R * EF_D;
  b->k->attention_backward(&a, b->x, b->x + EF_D, b->x + 2 * EF_D, b->y, lse, b->w, b->z, b->z + EF_D,
                           b->z + 2 * EF_D, lse + EF_R * EF_H);
}

static void run_gelu(const ef_bench *b, const ef_case *c) { b->k->gelu(c->rows * c->n, b->x, b->y); }
static void run_gelu_backward(const ef_bench *b, const ef_case *c) {
  b->k->gelu_backward(c->rows * c->n, b->w, b->x, b->y);
}
static void run_swiglu(const ef_bench *b, const ef_case *c) { b->k->swiglu(c->rows, c->n, b->x, b->y); }
static void run_swiglu_backward(const ef_bench *b, const ef_case *c) {
  b->k->swiglu_backward(c->rows, c->n, b->w, b->x, b->y);
}
static void run_sigmoid_gate(const ef_bench *b, const ef_case *c) {
  b->k->sigmoid_gate(c->rows, c->n, b->w, b->x, b->y);
}
static void run_sigmoid_gate_backward(const ef_bench *b, const ef_case *c) {
  b->k->sigmoid_gate_backward(c->rows, c->n, b->w, b->x, b->x, b->y, b->z);
}

static void run_router(const ef_bench *b, const ef_case *c) {
  b->k->router(c->rows, EF_E, EF_K, 1, 0.0f, b->x, b->y, b->experts, b->z);
}
static void run_router_backward(const ef_bench *b, const ef_case *c) {
  b->k->router_backward(c->rows, EF_E, EF_K, 1, 0.0f, b->x, b->experts, b->z, b->w, b->w, c->rows, b->y);
}
static void run_moe_sort(const ef_bench *b, const ef_case *c) {
  size_t count[EF_E];
  b->k->moe_sort(c->rows, EF_E, EF_K, b->experts, count, b->source, b->position);
}
static void run_moe_gather(const ef_bench *b, const ef_case *c) {
  b->k->moe_gather(c->rows, EF_K, c->n, b->source, b->x, b->y);
}
static void run_moe_combine(const ef_bench *b, const ef_case *c) {
  b->k->moe_combine(c->rows, EF_K, c->n, b->position, b->w, b->x, b->y);
}
static void run_moe_combine_backward(const ef_bench *b, const ef_case *c) {
  b->k->moe_combine_backward(c->rows, EF_K, c->n, b->position, b->w, b->x, b->w, b->y, b->z);
}
static void run_moe_gather_backward(const ef_bench *b, const ef_case *c) {
  b->k->moe_gather_backward(c->rows, EF_K, c->n, b->position, b->x, b->y);
}

static void run_cross_entropy(const ef_bench *b, const ef_case *c) {
  b->k->cross_entropy(c->rows, c->n, b->x, b->targets, 1.0f, b->z, NULL, b->y);
}
static void run_cross_entropy_loss(const ef_bench *b, const ef_case *c) {
  b->k->cross_entropy(c->rows, c->n, b->x, b->targets, 1.0f, b->z, NULL, NULL);
}
static void run_kl(const ef_bench *b, const ef_case *c) {
  b->k->kl(c->rows, c->n, 2.0f, b->w, b->x, NULL, 1.0f, b->z, b->y);
}
static void run_mix_softmax(const ef_bench *b, const ef_case *c) {
  b->k->mix_softmax(c->rows, c->n, 0.5f, b->x, b->y);
}
/* z stands for the second moments, which are not negative. */
static void run_adamw(const ef_bench *b, const ef_case *c) {
  const ef_adamw o = {.lr = 1e-4f,
                      .beta1 = 0.9f,
                      .beta2 = 0.95f,
                      .eps = 1e-8f,
                      .decay = 0.1f,
                      .grad_scale = 1.0f,
                      .step = 10};
  b->k->adamw(&o, c->rows * c->n, b->w, b->x, b->y, b->z);
}

#define MEMORY(label, function, r, width, floats, ...)                                                       \
  {                                                                                                          \
    label, #r "," #width, function, r, width, 0, 0.0, 4.0 * (floats) * (r) * (width), { __VA_ARGS__ }        \
  }

/* Causal attention: half of 4 T^2 h per head forward, twice as much backward. */
#define ATTENTION_FLOPS (2.0 * EF_R * EF_T * EF_D)

static const ef_case cases[] = {
    {"attention", "8,256,8x32", run_attention, 0, 0, 0, ATTENTION_FLOPS, 0.0, {6, 6, 6}},
    {"attention_backward",
     "8,256,8x32",
     run_attention_backward,
     0,
     0,
     0,
     2.0 * ATTENTION_FLOPS,
     0.0,
     {6, 6, 6}},
    MEMORY("bias_add", run_bias_add, 2048, 256, 2, 12, 0, 0),
    MEMORY("bias_add", run_bias_add, 2048, 768, 2, 6, 6, 6),
    MEMORY("bias_add", run_bias_add, 2048, 1024, 2, 6, 0, 0),
    MEMORY("bias_backward", run_bias_backward, 2048, 256, 1, 12, 0, 0),
    MEMORY("bias_backward", run_bias_backward, 2048, 768, 1, 6, 6, 6),
    MEMORY("bias_backward", run_bias_backward, 2048, 1024, 1, 6, 0, 0),
    MEMORY("add", run_add, 2048, 256, 3, 24, 24, 24),
    MEMORY("zero gradients", run_zero, 2048, 256, 1, 30, 30, 40),
    MEMORY("zero gradients", run_zero, 2048, 1024, 1, 6, 6, 12),
    MEMORY("zero parameters", run_zero, 2048, 3370, 1, 1, 1, 3),
    MEMORY("embedding", run_embedding, 2048, 256, 2, 2, 1, 1),
    MEMORY("embedding_backward", run_embedding_backward, 2048, 256, 3, 2, 1, 1),
    MEMORY("layernorm", run_layernorm, 2048, 256, 2, 13, 0, 0),
    MEMORY("layernorm_backward", run_layernorm_backward, 2048, 256, 4, 13, 0, 0),
    MEMORY("rmsnorm", run_rmsnorm, 2048, 256, 2, 0, 13, 13),
    MEMORY("rmsnorm_backward", run_rmsnorm_backward, 2048, 256, 4, 0, 13, 13),
    {"rope", "2048,16x32", run_rope, 2048, 16, 0, 0.0, 4.0 * 2 * 2048 * 512, {0, 12, 12}},
    MEMORY("gelu", run_gelu, 2048, 1024, 2, 6, 0, 0),
    MEMORY("gelu_backward", run_gelu_backward, 2048, 1024, 4, 6, 0, 0),
    MEMORY("swiglu", run_swiglu, 2048, 688, 3, 0, 6, 6),
    MEMORY("swiglu_backward", run_swiglu_backward, 2048, 688, 5, 0, 6, 6),
    MEMORY("swiglu", run_swiglu, 8192, 176, 3, 0, 0, 6),
    MEMORY("swiglu_backward", run_swiglu_backward, 8192, 176, 5, 0, 0, 6),
    MEMORY("sigmoid_gate", run_sigmoid_gate, 2048, 256, 3, 0, 0, 6),
    MEMORY("sigmoid_gate_backward", run_sigmoid_gate_backward, 2048, 256, 3, 0, 0, 6),
    MEMORY("router", run_router, 2048, 16, 2, 0, 0, 6),
    MEMORY("router_backward", run_router_backward, 2048, 16, 2, 0, 0, 6),
    MEMORY("moe_sort", run_moe_sort, 2048, 4, 3, 0, 0, 6),
    MEMORY("moe_gather", run_moe_gather, 2048, 256, 5, 0, 0, 6),
    MEMORY("moe_combine", run_moe_combine, 2048, 256, 6, 0, 0, 6),
    MEMORY("moe_combine_backward", run_moe_combine_backward, 2048, 256, 9, 0, 0, 6),
    MEMORY("moe_gather_backward", run_moe_gather_backward, 2048, 256, 6, 0, 0, 6),
    MEMORY("cross_entropy", run_cross_entropy_loss, 2048, 8192, 1, 0, 0, 0),
    MEMORY("cross_entropy+gradient", run_cross_entropy, 2048, 8192, 2, 1, 1, 1),
    MEMORY("kl+gradient", run_kl, 2048, 8192, 4, 0, 0, 0),
    MEMORY("mix_softmax", run_mix_softmax, 2048, 8192, 4, 0, 0, 0),
    MEMORY("all_finite", run_all_finite, 2048, 3370, 1, 0, 0, 0),
    MEMORY("sum_squares", run_sum_squares, 2048, 3370, 1, 1, 1, 3),
    MEMORY("adamw", run_adamw, 2048, 3370, 7, 1, 1, 3),
    {0},
};

const ef_case *ef_bench_operation_cases(void) { return cases; }
