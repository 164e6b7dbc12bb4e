/* The reference backend: every operation of kernels.h as plain loops that add up in double precision.
 *
 * It is the oracle that faster backends are measured against, and the fallback for a slot that a backend does
 * not override. Each function is the table slot of the same name; kernels.h states its shapes and its
 * meaning. Local, no state, no allocation. */
#pragma once

#include "kernels/kernels.h"

/* The filled table; a constant that lives as long as the program. */
const ef_kernels *ef_kernels_ref(void);

/* matmul.c */
void ef_ref_matmul(int transA, int transB, size_t M, size_t N, size_t K, const float *A, size_t lda,
                   const float *B, size_t ldb, float beta, float *C, size_t ldc);
void ef_ref_bias_add(size_t R, size_t N, const float *bias, float *y, size_t ldy);
void ef_ref_bias_backward(size_t R, size_t N, const float *dy, size_t ldy, float *dbias);

/* elementwise.c */
void ef_ref_add(size_t n, const float *x, float *y);
void ef_ref_scale(size_t n, float a, float *x);
void ef_ref_axpy(size_t n, float a, const float *x, float *y);
double ef_ref_sum_squares(size_t n, const float *x);
int ef_ref_all_finite(size_t n, const float *x);

/* embedding.c */
void ef_ref_embedding(size_t R, size_t D, const int32_t *ids, const float *table, float *y);
void ef_ref_embedding_backward(size_t R, size_t D, const int32_t *ids, const float *dy, float *dtable);

/* norm.c */
void ef_ref_layernorm(size_t R, size_t D, float eps, const float *x, const float *w, const float *b, float *y,
                      float *mean, float *rstd);
void ef_ref_layernorm_backward(size_t R, size_t D, const float *dy, const float *x, const float *w,
                               const float *mean, const float *rstd, float *dx, float *dw, float *db);
void ef_ref_rmsnorm(size_t R, size_t D, float eps, const float *x, const float *w, float *y, float *rstd);
void ef_ref_rmsnorm_backward(size_t R, size_t D, const float *dy, const float *x, const float *w,
                             const float *rstd, float *dx, float *dw);

/* rope.c */
void ef_ref_rope(size_t R, size_t heads, size_t h, size_t row, size_t head, const int32_t *positions,
                 const float *cos, const float *sin, int direction, float *x);

/* attention.c: scores are computed row by row, so the workspace is O(Tk + Tq*H/G) */
size_t ef_ref_attention_workspace(const ef_attention *a);
void ef_ref_attention(const ef_attention *a, const float *q, const float *k, const float *v, float *out,
                      float *lse, float *work);
void ef_ref_attention_backward(const ef_attention *a, const float *q, const float *k, const float *v,
                               const float *out, const float *lse, const float *dout, float *dq, float *dk,
                               float *dv, float *work);

/* activation.c */
void ef_ref_gelu(size_t n, const float *x, float *y);
void ef_ref_gelu_backward(size_t n, const float *dy, const float *x, float *dx);
void ef_ref_swiglu(size_t R, size_t F, const float *gu, float *y);
void ef_ref_swiglu_backward(size_t R, size_t F, const float *dy, const float *gu, float *dgu);
void ef_ref_sigmoid_gate(size_t R, size_t D, const float *g, const float *x, float *y);
void ef_ref_sigmoid_gate_backward(size_t R, size_t D, const float *dy, const float *g, const float *x,
                                  float *dx, float *dg);

/* router.c */
void ef_ref_router(size_t R, size_t E, size_t K, int normalise, float norm_eps, const float *logits,
                   float *probs, int32_t *experts, float *weights);
void ef_ref_router_backward(size_t R, size_t E, size_t K, int normalise, float norm_eps, const float *probs,
                            const int32_t *experts, const float *weights, const float *dweights,
                            const float *aux, size_t aux_rows, float *dlogits);
void ef_ref_router_stats(size_t R, size_t E, size_t K, const float *probs, const int32_t *experts,
                         double *count, double *prob_sum);
double ef_ref_aux_loss(size_t groups, size_t E, double s, const double *count, const double *prob_sum,
                       float *coef);

/* moe.c */
void ef_ref_moe_sort(size_t R, size_t E, size_t K, const int32_t *experts, size_t *count, int32_t *source,
                     int32_t *position);
void ef_ref_moe_gather(size_t R, size_t K, size_t D, const int32_t *source, const float *x, float *xs);
void ef_ref_moe_combine(size_t R, size_t K, size_t D, const int32_t *position, const float *weights,
                        const float *ys, float *y);
void ef_ref_moe_combine_backward(size_t R, size_t K, size_t D, const int32_t *position, const float *weights,
                                 const float *ys, const float *dy, float *dys, float *dweights);
void ef_ref_moe_gather_backward(size_t R, size_t K, size_t D, const int32_t *position, const float *dxs,
                                float *dx);

/* loss.c */
void ef_ref_cross_entropy(size_t R, size_t V, const float *logits, const int32_t *targets, float scale,
                          float *losses, uint8_t *hits, float *dlogits);
void ef_ref_kl(size_t R, size_t V, float tau, const float *teacher, const float *student,
               const int32_t *targets, float scale, float *losses, float *dlogits);
void ef_ref_kl_topk(size_t R, size_t V, size_t k, float tau, const int32_t *index, const float *teacher,
                    const float *student, const int32_t *targets, float scale, float *losses, float *dlogits);
void ef_ref_ofa(size_t R, size_t V, float tau, float epsilon, const float *teacher, const float *student,
                const int32_t *targets, float scale, float *losses, float *dlogits);
void ef_ref_mix_softmax(size_t R, size_t V, float weight, float *x, float *y);

/* adamw.c */
void ef_ref_adamw(const ef_adamw *o, size_t n, float *p, const float *g, float *m, float *v);
