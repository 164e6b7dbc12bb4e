/* The operations of the blas backend, one prototype per slot of ef_kernels; contracts are in kernels.h.
 * Private to kernels/blas. All are Local.
 */
#pragma once

#include "kernels/kernels.h"

/* gemm.c */
void ef_blas_matmul(int transA, int transB, size_t M, size_t N, size_t K, const float *A, size_t lda,
                    const float *B, size_t ldb, float beta, float *C, size_t ldc);

/* elementwise.c */
void ef_blas_bias_add(size_t R, size_t N, const float *bias, float *y, size_t ldy);
void ef_blas_bias_backward(size_t R, size_t N, const float *dy, size_t ldy, float *dbias);
void ef_blas_add(size_t n, const float *x, float *y);
void ef_blas_scale(size_t n, float a, float *x);
void ef_blas_axpy(size_t n, float a, const float *x, float *y);
double ef_blas_sum_squares(size_t n, const float *x);
int ef_blas_all_finite(size_t n, const float *x);
void ef_blas_embedding(size_t R, size_t D, const int32_t *ids, const float *table, float *y);
void ef_blas_embedding_backward(size_t R, size_t D, const int32_t *ids, const float *dy, float *dtable);

/* norm.c */
void ef_blas_layernorm(size_t R, size_t D, float eps, const float *x, const float *w, const float *b,
                       float *y, float *mean, float *rstd);
void ef_blas_layernorm_backward(size_t R, size_t D, const float *dy, const float *x, const float *w,
                                const float *mean, const float *rstd, float *dx, float *dw, float *db);
void ef_blas_rmsnorm(size_t R, size_t D, float eps, const float *x, const float *w, float *y, float *rstd);
void ef_blas_rmsnorm_backward(size_t R, size_t D, const float *dy, const float *x, const float *w,
                              const float *rstd, float *dx, float *dw);

/* rope.c */
void ef_blas_rope(size_t R, size_t heads, size_t h, size_t row, size_t head, const int32_t *positions,
                  const float *cos, const float *sin, int direction, float *x);

/* attention.c, attention_backward.c */
size_t ef_blas_attention_workspace(const ef_attention *a);
void ef_blas_attention(const ef_attention *a, const float *q, const float *k, const float *v, float *out,
                       float *lse, float *work);
void ef_blas_attention_backward(const ef_attention *a, const float *q, const float *k, const float *v,
                                const float *out, const float *lse, const float *dout, float *dq, float *dk,
                                float *dv, float *work);

/* activation.c */
void ef_blas_gelu(size_t n, const float *x, float *y);
void ef_blas_gelu_backward(size_t n, const float *dy, const float *x, float *dx);
void ef_blas_swiglu(size_t R, size_t F, const float *gu, float *y);
void ef_blas_swiglu_backward(size_t R, size_t F, const float *dy, const float *gu, float *dgu);
void ef_blas_sigmoid_gate(size_t R, size_t D, const float *g, const float *x, float *y);
void ef_blas_sigmoid_gate_backward(size_t R, size_t D, const float *dy, const float *g, const float *x,
                                   float *dx, float *dg);

/* router.c */
void ef_blas_router(size_t R, size_t E, size_t K, int normalise, float norm_eps, const float *logits,
                    float *probs, int32_t *experts, float *weights);
void ef_blas_router_backward(size_t R, size_t E, size_t K, int normalise, float norm_eps, const float *probs,
                             const int32_t *experts, const float *weights, const float *dweights,
                             const float *aux, size_t aux_rows, float *dlogits);
void ef_blas_router_stats(size_t R, size_t E, size_t K, const float *probs, const int32_t *experts,
                          double *count, double *prob_sum);
double ef_blas_aux_loss(size_t groups, size_t E, double s, const double *count, const double *prob_sum,
                        float *coef);

/* moe.c */
void ef_blas_moe_sort(size_t R, size_t E, size_t K, const int32_t *experts, size_t *count, int32_t *source,
                      int32_t *position);
void ef_blas_moe_gather(size_t R, size_t K, size_t D, const int32_t *source, const float *x, float *xs);
void ef_blas_moe_combine(size_t R, size_t K, size_t D, const int32_t *position, const float *weights,
                         const float *ys, float *y);
void ef_blas_moe_combine_backward(size_t R, size_t K, size_t D, const int32_t *position, const float *weights,
                                  const float *ys, const float *dy, float *dys, float *dweights);
void ef_blas_moe_gather_backward(size_t R, size_t K, size_t D, const int32_t *position, const float *dxs,
                                 float *dx);

/* loss.c */
void ef_blas_cross_entropy(size_t R, size_t V, const float *logits, const int32_t *targets, float scale,
                           float *losses, uint8_t *hits, float *dlogits);
void ef_blas_mix_softmax(size_t R, size_t V, float weight, float *x, float *y);

/* distill.c */
void ef_blas_kl(size_t R, size_t V, float tau, const float *teacher, const float *student,
                const int32_t *targets, float scale, float *losses, float *dlogits);
void ef_blas_kl_topk(size_t R, size_t V, size_t k, float tau, const int32_t *index, const float *teacher,
                     const float *student, const int32_t *targets, float scale, float *losses,
                     float *dlogits);
void ef_blas_ofa(size_t R, size_t V, float tau, float epsilon, const float *teacher, const float *student,
                 const int32_t *targets, float scale, float *losses, float *dlogits);

/* adamw.c */
void ef_blas_adamw(const ef_adamw *o, size_t n, float *p, const float *g, float *m, float *v);
