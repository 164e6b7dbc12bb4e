/* The arithmetic of edgefuse as one table of operations on plain arrays.
 *
 * No MPI, no I/O, no allocation, no globals, no state: an operation reads its inputs and writes its outputs.
 * Backends fill the table: "ref" (plain loops, double accumulation, the oracle), "blas" (OpenBLAS and
 * vectorised loops, the default) and "guard" (wraps another backend, poisons outputs, checks canaries).
 *
 * Conventions
 *   - float32, row-major, no aliasing between arguments unless said. Sizes are size_t; any size may be 0.
 *   - Letters: B sequences, T tokens, D width, V vocabulary, H heads, G kv heads, h head width, E experts,
 *     K chosen experts per token, R rows (usually B*T).
 *   - Forward operations overwrite their outputs. Backward operations ADD into every gradient (marked +=),
 *     both of activations and of parameters; the caller zeroes. Exceptions are marked "overwrites".
 *   - Optional pointers may be NULL and are marked so.
 *   - Every operation is deterministic: equal inputs give equal bits.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Label of a token whose loss is not counted. */
enum { EF_IGNORE = -100 };

/* Geometry of attention. Query i of a sequence stands at position Tk - Tq + i: Tq = Tk in training, Tq < Tk
 * with a key-value cache. Element (b, t, head, c) of an array lies at  b*batch + t*row + head*head_stride +
 * c. Query head i uses key-value head i / (H/G). */
typedef struct ef_attention {
  size_t B, Tq, Tk, H, G, h;
  size_t q_batch, q_row, q_head; /* strides of q and dq, in elements */
  size_t k_batch, k_row, k_head; /* strides of k, v, dk, dv */
  float scale;                   /* of the scores: 1/sqrt(h) */
  const float *slopes;           /* (H) ALiBi slopes, or NULL: score += slope * (key position) */
} ef_attention;

/* Settings of one AdamW step (Loshchilov and Hutter 2019), as torch.optim.AdamW. */
typedef struct ef_adamw {
  float lr, beta1, beta2, eps, decay; /* decay = weight decay; p *= 1 - lr*decay */
  float grad_scale;                   /* multiplies every gradient first (clipping) */
  uint64_t step;                      /* 1 for the first step: bias correction 1 - beta^step */
} ef_adamw;

typedef struct ef_kernels {
  const char *name;

  /* ---- matrix products ------------------------------------------------------------------------------- */

  /* C (M,N; ldc) = op(A) op(B) + beta C, beta 0 or 1 (0: C is not read). op transposes if the flag is not 0:
   * A is (M,K; lda) or, transposed, (K,M; lda); B is (K,N; ldb) or (N,K; ldb). */
  void (*matmul)(int transA, int transB, size_t M, size_t N, size_t K, const float *A, size_t lda,
                 const float *B, size_t ldb, float beta, float *C, size_t ldc);

  /* y (R,N; ldy) = y + bias for each row;  dbias (N) += column sums of dy (R,N; ldy). */
  void (*bias_add)(size_t R, size_t N, const float *bias, float *y, size_t ldy);
  void (*bias_backward)(size_t R, size_t N, const float *dy, size_t ldy, float *dbias);

  /* ---- elementwise ----------------------------------------------------------------------------------- */

  void (*add)(size_t n, const float *x, float *y);           /* y += x */
  void (*scale)(size_t n, float a, float *x);                /* x *= a */
  void (*axpy)(size_t n, float a, const float *x, float *y); /* y += a x */
  double (*sum_squares)(size_t n, const float *x);           /* accumulated in double, fixed order */
  int (*all_finite)(size_t n, const float *x);               /* 1 if no NaN and no infinity */

  /* ---- embedding ------------------------------------------------------------------------------------- */

  /* y (R,D) = table[ids[r]];  dtable (V,D) += dy at row ids[r], in order of r. ids in [0,V). */
  void (*embedding)(size_t R, size_t D, const int32_t *ids, const float *table, float *y);
  void (*embedding_backward)(size_t R, size_t D, const int32_t *ids, const float *dy, float *dtable);

  /* ---- norms, over the last axis (D) ----------------------------------------------------------------- */

  /* y = (x - mean) * rstd * w + b, biased variance, eps inside the root. w and b may be NULL (OLMo: none).
   * mean, rstd (R) are kept for backward. */
  void (*layernorm)(size_t R, size_t D, float eps, const float *x, const float *w, const float *b, float *y,
                    float *mean, float *rstd);
  /* dx +=, dw += and db += (dw, db may be NULL). */
  void (*layernorm_backward)(size_t R, size_t D, const float *dy, const float *x, const float *w,
                             const float *mean, const float *rstd, float *dx, float *dw, float *db);
  /* y = x * rstd * w, rstd = 1/sqrt(mean(x^2) + eps). */
  void (*rmsnorm)(size_t R, size_t D, float eps, const float *x, const float *w, float *y, float *rstd);
  void (*rmsnorm_backward)(size_t R, size_t D, const float *dy, const float *x, const float *w,
                           const float *rstd, float *dx, float *dw);

  /* ---- positions ------------------------------------------------------------------------------------- */

  /* Rotates heads in place (half rotation: pairs (i, i + h/2)): x holds R rows, `row` apart, of `heads` heads
   * of width h, `head` apart. positions (R) give the angle: cos and sin are tables (positions, h/2).
   * direction +1 forward, -1 backward (the transpose). */
  void (*rope)(size_t R, size_t heads, size_t h, size_t row, size_t head, const int32_t *positions,
               const float *cos, const float *sin, int direction, float *x);

  /* ---- attention ------------------------------------------------------------------------------------- */

  /* Causal grouped-query attention with a blockwise softmax: memory O(B*T*D), never a (T,T) array per head.
   * out (B,Tq,H*h) contiguous; lse (B,H,Tq) log-sum-exp of the scaled scores, kept for backward.
   * work: attention_workspace floats. */
  size_t (*attention_workspace)(const ef_attention *a);
  void (*attention)(const ef_attention *a, const float *q, const float *k, const float *v, float *out,
                    float *lse, float *work);
  /* dq, dk, dv have the strides of q, k, v; all three are overwritten. dout (B,Tq,H*h). */
  void (*attention_backward)(const ef_attention *a, const float *q, const float *k, const float *v,
                             const float *out, const float *lse, const float *dout, float *dq, float *dk,
                             float *dv, float *work);

  /* ---- activations ----------------------------------------------------------------------------------- */

  /* GELU, tanh form (gelu_new): 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). dx +=. */
  void (*gelu)(size_t n, const float *x, float *y);
  void (*gelu_backward)(size_t n, const float *dy, const float *x, float *dx);
  /* SwiGLU: y (R,F) = silu(gate) * up, gate in columns [0,F) and up in [F,2F) of gu (R,2F).
   * dgu (R,2F) is overwritten. */
  void (*swiglu)(size_t R, size_t F, const float *gu, float *y);
  void (*swiglu_backward)(size_t R, size_t F, const float *dy, const float *gu, float *dgu);
  /* y (R,D) += sigmoid(g[r]) * x (R,D);  backward: dx (R,D) overwritten, dg (R) overwritten. */
  void (*sigmoid_gate)(size_t R, size_t D, const float *g, const float *x, float *y);
  void (*sigmoid_gate_backward)(size_t R, size_t D, const float *dy, const float *g, const float *x,
                                float *dx, float *dg);

  /* ---- mixture of experts ---------------------------------------------------------------------------- */

  /* probs (R,E) = softmax(logits); experts (R,K) = the K largest, by descending probability (ties: lower
   * index); weights (R,K) = their probabilities, or, with `normalise`, those divided by (their sum +
   * norm_eps). */
  void (*router)(size_t R, size_t E, size_t K, int normalise, float norm_eps, const float *logits,
                 float *probs, int32_t *experts, float *weights);
  /* dlogits (R,E) overwritten, from dweights (R,K) and aux (NULL, or: row r adds aux[(r / aux_rows)*E + e] to
   * dL/dprobs[r,e], the gradient of an auxiliary loss; aux_rows rows share one coefficient vector). */
  void (*router_backward)(size_t R, size_t E, size_t K, int normalise, float norm_eps, const float *probs,
                          const int32_t *experts, const float *weights, const float *dweights,
                          const float *aux, size_t aux_rows, float *dlogits);
  /* count (E) += times each expert is chosen, prob_sum (E) += sum of its probabilities over the R rows. */
  void (*router_stats)(size_t R, size_t E, size_t K, const float *probs, const int32_t *experts,
                       double *count, double *prob_sum);
  /* Load-balancing loss over `groups` groups of rows: returns  s * sum_{g,e} count*prob_sum  and writes its
   * gradient with respect to every probability of group g, coef (groups,E) = s * count. Counts are constants
   * in differentiation. Qwen: one group of N rows (all layers and tokens), s = E/N^2. DeepSeek with seq_aux:
   * a group per sequence, s = alpha*E/(K*T^2*B); without: one group of N=B*T rows, s = alpha*E/(K*N^2). */
  double (*aux_loss)(size_t groups, size_t E, double s, const double *count, const double *prob_sum,
                     float *coef);

  /* Sorts the R*K (row, slot) pairs by expert, stable in the row: count (E) tokens of each expert;
   * source (R*K): sorted position -> row*K + slot; position (R*K): row*K + slot -> sorted position. */
  void (*moe_sort)(size_t R, size_t E, size_t K, const int32_t *experts, size_t *count, int32_t *source,
                   int32_t *position);
  /* xs (R*K,D) = x[source[p] / K]. */
  void (*moe_gather)(size_t R, size_t K, size_t D, const int32_t *source, const float *x, float *xs);
  /* y (R,D) += sum over slots k, in order, of weights[r,k] * ys[position[r,k]]. */
  void (*moe_combine)(size_t R, size_t K, size_t D, const int32_t *position, const float *weights,
                      const float *ys, float *y);
  /* Backward of moe_combine: dys (R*K,D) overwritten, dweights (R,K) overwritten. */
  void (*moe_combine_backward)(size_t R, size_t K, size_t D, const int32_t *position, const float *weights,
                               const float *ys, const float *dy, float *dys, float *dweights);
  /* Backward of moe_gather: dx (R,D) += sum over slots, in order, of dxs[position[r,k]]. */
  void (*moe_gather_backward)(size_t R, size_t K, size_t D, const int32_t *position, const float *dxs,
                              float *dx);

  /* ---- losses ---------------------------------------------------------------------------------------- */

  /* Fused softmax cross-entropy. losses (R): -log softmax(logits)[target], 0 for EF_IGNORE. hits (R) or NULL:
   * 1 if the arg max (lowest index on ties) is the target. dlogits (R,V) or NULL: overwritten with scale *
   * (softmax - onehot), zero rows for EF_IGNORE. dlogits may be the same array as logits. */
  void (*cross_entropy)(size_t R, size_t V, const float *logits, const int32_t *targets, float scale,
                        float *losses, uint8_t *hits, float *dlogits);
  /* Distillation: losses (R) = tau^2 * KL(softmax(teacher/tau) || softmax(student/tau)), 0 where targets is
   * EF_IGNORE (targets may be NULL: all rows count). dlogits (R,V) or NULL: += scale * tau * (pS - pT). */
  void (*kl)(size_t R, size_t V, float tau, const float *teacher, const float *student,
             const int32_t *targets, float scale, float *losses, float *dlogits);
  /* The same with a teacher known on k entries only: index (R,k) distinct, teacher (R,k) its logits there.
   * The teacher's softmax is over those k entries, the student's over all V. */
  void (*kl_topk)(size_t R, size_t V, size_t k, float tau, const int32_t *index, const float *teacher,
                  const float *student, const int32_t *targets, float scale, float *losses, float *dlogits);
  /* OFA-KD (Hao et al., NeurIPS 2023, arXiv 2310.19444): with p = softmax(. / tau), y the one-hot target,
   * q = (pT + y)^epsilon - y and epsilon >= 0, losses (R) = -tau^2 * sum_v q_v log pS_v, 0 where targets (R)
   * is EF_IGNORE. dlogits (R,V) or NULL: += scale * tau * (sum(q) pS - q). epsilon 1: q = pT, the gradient of
   * kl. */
  void (*ofa)(size_t R, size_t V, float tau, float epsilon, const float *teacher, const float *student,
              const int32_t *targets, float scale, float *losses, float *dlogits);
  /* y (R,V) += weight * softmax(x): one part of a mixture. x is used up: what it holds afterwards is
   * undefined. */
  void (*mix_softmax)(size_t R, size_t V, float weight, float *x, float *y);

  /* ---- optimiser ------------------------------------------------------------------------------------- */

  /* One AdamW step on n parameters; m and v are the moments. g is not changed. */
  void (*adamw)(const ef_adamw *o, size_t n, float *p, const float *g, float *m, float *v);
} ef_kernels;

/* A backend by name: "blas", "ref", "guard" (around blas) or "guard:ref". NULL if there is none. Local. */
const ef_kernels *ef_kernels_find(const char *name);

/* Clipping by global norm, as torch: the factor by which gradients of this sum of squares are multiplied so
 * that their norm is at most `max_norm` (<= 0: no clipping). Local. */
float ef_clip_factor(double sum_squares, double max_norm);
