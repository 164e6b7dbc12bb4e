/* Matrix products of training: y = x W^T, dx += dy W, dW += dy^T x, for W (out,in) over `rows` tokens. */
#include "bench.h"

/* y (rows,out) = x (rows,in) W^T */
static void forward(const ef_bench *b, const ef_case *c) {
  b->k->matmul(0, 1, c->rows, c->n, c->k, b->x, c->k, b->w, c->k, 0.0f, b->y, c->n);
}

/* dx (rows,in) += dy (rows,out) W */
static void backward_input(const ef_bench *b, const ef_case *c) {
  b->k->matmul(0, 0, c->rows, c->k, c->n, b->x, c->n, b->w, c->k, 1.0f, b->y, c->k);
}

/* dW (out,in) += dy^T x */
static void backward_weight(const ef_bench *b, const ef_case *c) {
  b->k->matmul(1, 0, c->n, c->k, c->rows, b->x, c->n, b->w, c->k, 1.0f, b->y, c->k);
}

#define LINEAR(label, tokens, out, in, ...)                                                                  \
  {label " y=xW'", #tokens "," #out "," #in, forward, tokens, out, in, 2.0 * (tokens) * (out) * (in), 0.0,   \
   {__VA_ARGS__}},                                                                                           \
      {label " dx=dyW",                                                                                      \
       #tokens "," #out "," #in,                                                                             \
       backward_input,                                                                                       \
       tokens,                                                                                               \
       out,                                                                                                  \
       in,                                                                                                   \
       2.0 * (tokens) * (out) * (in),                                                                        \
       0.0,                                                                                                  \
       {__VA_ARGS__}},                                                                                       \
  {                                                                                                          \
    label " dW=dy'x", #tokens "," #out "," #in, backward_weight, tokens, out, in,                            \
        2.0 * (tokens) * (out) * (in), 0.0, {                                                                \
      __VA_ARGS__                                                                                            \
    }                                                                                                        \
  }

static const ef_case cases[] = {
    LINEAR("qkv", 2048, 768, 256, 6, 6, 6),
    LINEAR("attention out", 2048, 256, 256, 6, 6, 6),
    LINEAR("gpt2 up", 2048, 1024, 256, 6, 0, 0),
    LINEAR("gpt2 down", 2048, 256, 1024, 6, 0, 0),
    LINEAR("llama gate+up", 2048, 1376, 256, 0, 6, 0),
    LINEAR("llama down", 2048, 256, 688, 0, 6, 0),
    LINEAR("shared gate+up", 2048, 1408, 256, 0, 0, 6),
    LINEAR("shared down", 2048, 256, 704, 0, 0, 6),
    LINEAR("expert gate+up", 512, 352, 256, 0, 0, 96),
    LINEAR("expert down", 512, 256, 176, 0, 0, 96),
    LINEAR("router", 2048, 16, 256, 0, 0, 6),
    LINEAR("shared gate", 2048, 1, 256, 0, 0, 6),
    LINEAR("head", 2048, 8192, 256, 1, 1, 1),
    {0},
};

const ef_case *ef_bench_matmul_cases(void) { return cases; }
