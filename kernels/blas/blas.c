/* The table of the blas backend. */
#include "blas.h"

#include "ops.h"

const ef_kernels *ef_kernels_blas(void) {
  static const ef_kernels table = {
      .name = "blas",
      .matmul = ef_blas_matmul,
      .bias_add = ef_blas_bias_add,
      .bias_backward = ef_blas_bias_backward,
      .add = ef_blas_add,
      .scale = ef_blas_scale,
      .axpy = ef_blas_axpy,
      .sum_squares = ef_blas_sum_squares,
      .all_finite = ef_blas_all_finite,
      .embedding = ef_blas_embedding,
      .embedding_backward = ef_blas_embedding_backward,
      .layernorm = ef_blas_layernorm,
      .layernorm_backward = ef_blas_layernorm_backward,
      .rmsnorm = ef_blas_rmsnorm,
      .rmsnorm_backward = ef_blas_rmsnorm_backward,
      .rope = ef_blas_rope,
      .attention_workspace = ef_blas_attention_workspace,
      .attention = ef_blas_attention,
      .attention_backward = ef_blas_attention_backward,
      .gelu = ef_blas_gelu,
      .gelu_backward = ef_blas_gelu_backward,
      .swiglu = ef_blas_swiglu,
      .swiglu_backward = ef_blas_swiglu_backward,
      .sigmoid_gate = ef_blas_sigmoid_gate,
      .sigmoid_gate_backward = ef_blas_sigmoid_gate_backward,
      .router = ef_blas_router,
      .router_backward = ef_blas_router_backward,
      .router_stats = ef_blas_router_stats,
      .aux_loss = ef_blas_aux_loss,
      .moe_sort = ef_blas_moe_sort,
      .moe_gather = ef_blas_moe_gather,
      .moe_combine = ef_blas_moe_combine,
      .moe_combine_backward = ef_blas_moe_combine_backward,
      .moe_gather_backward = ef_blas_moe_gather_backward,
      .cross_entropy = ef_blas_cross_entropy,
      .kl = ef_blas_kl,
      .kl_topk = ef_blas_kl_topk,
      .ofa = ef_blas_ofa,
      .mix_softmax = ef_blas_mix_softmax,
      .adamw = ef_blas_adamw,
  };
  return &table;
}
