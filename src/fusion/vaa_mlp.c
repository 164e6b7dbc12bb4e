/* The MLP in place of attention: Y = W_2 gelu(W_1 Z), patch by patch. Its activations lie in the buffers of
 * query, key and value: (rows,m) before the gelu, and (rows,m) behind it; 2m <= 3d.
 */
#include "fusion/vaa_internal.h"

#include <string.h>

void ef_vaa_mlp(const ef_vaa *vaa) {
  size_t d = vaa->shape.d, m = ef_vaa_mlp_width(d), rows = vaa->B * vaa->Q;
  float *inner = vaa->qkv, *active = vaa->qkv + rows * m;
  vaa->k->matmul(0, 1, rows, m, d, vaa->z, d, vaa->block + ef_vaa_at(vaa, EF_VAA_MIX_W, 0), d, 0.0f, inner,
                 m);
  vaa->k->gelu(rows * m, inner, active);
  vaa->k->matmul(0, 1, rows, d, m, active, m, vaa->block + ef_vaa_at(vaa, EF_VAA_MIX_OUT_W, 0), m, 0.0f,
                 vaa->y, d);
}

void ef_vaa_mlp_backward(const ef_vaa *vaa, float *grads) {
  size_t d = vaa->shape.d, m = ef_vaa_mlp_width(d), rows = vaa->B * vaa->Q;
  size_t in = ef_vaa_at(vaa, EF_VAA_MIX_W, 0), out = ef_vaa_at(vaa, EF_VAA_MIX_OUT_W, 0);
  const float *inner = vaa->qkv, *active = vaa->qkv + rows * m;
  float *dinner = vaa->dqkv, *dactive = vaa->dqkv + rows * m;
  vaa->k->matmul(1, 0, d, m, rows, vaa->y, d, active, m, 1.0f, grads + out, m);
  vaa->k->matmul(0, 0, rows, m, d, vaa->y, d, vaa->block + out, m, 0.0f, dactive, m);
  memset(dinner, 0, rows * m * sizeof *dinner);
  vaa->k->gelu_backward(rows * m, dactive, inner, dinner);
  vaa->k->matmul(1, 0, m, d, rows, dinner, m, vaa->z, d, 1.0f, grads + in, d);
  vaa->k->matmul(0, 0, rows, d, m, dinner, m, vaa->block + in, d, 0.0f, vaa->y, d);
}
