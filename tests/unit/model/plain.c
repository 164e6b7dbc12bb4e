#include "plain.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double *find(const plain *p, bool needed, const char *fmt, va_list args) {
  char name[200];
  vsnprintf(name, sizeof name, fmt, args);
  const ef_tensor *t = ef_table_find_name(p->table, name);
  cr_assert(t || !needed, "no tensor %s", name);
  return t ? p->params + t->offset : NULL;
}

static const double *need(const plain *p, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  const double *x = find(p, true, fmt, args);
  va_end(args);
  return x;
}

static const double *may(const plain *p, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  const double *x = find(p, false, fmt, args);
  va_end(args);
  return x;
}

static double *zeros(size_t n) { return calloc(n ? n : 1, sizeof(double)); }

/* y[o] = sum_i W[o,i] x[i] + b[o]; `in_out`: W is (in,out). */
static void linear(size_t in, size_t out, bool in_out, const double *w, const double *b, const double *x,
                   double *y) {
  for (size_t o = 0; o < out; o++) {
    y[o] = b ? b[o] : 0.0;
    for (size_t i = 0; i < in; i++) y[o] += x[i] * (in_out ? w[i * out + o] : w[o * in + i]);
  }
}

static void norm(const plain *p, const double *w, const double *b, const double *x, double *y) {
  size_t D = p->d->D;
  double mean = 0.0, square = 0.0;
  if (p->d->norm != EF_RMSNORM) {
    for (size_t i = 0; i < D; i++) mean += x[i] / (double)D;
  }
  for (size_t i = 0; i < D; i++) square += (x[i] - mean) * (x[i] - mean) / (double)D;
  for (size_t i = 0; i < D; i++) {
    y[i] = (x[i] - mean) / sqrt(square + (double)p->d->norm_eps) * (w ? w[i] : 1.0) + (b ? b[i] : 0.0);
  }
}

static void turn(const plain *p, size_t position, double *x) {
  size_t h = p->d->h;
  for (size_t i = 0; i < h / 2; i++) {
    double angle = (double)position * pow((double)p->d->rope_theta, -2.0 * (double)i / (double)h);
    double a = x[i], b = x[i + h / 2];
    x[i] = a * cos(angle) - b * sin(angle);
    x[i + h / 2] = b * cos(angle) + a * sin(angle);
  }
}

/* ALiBi as the paper words it: for n heads, a power of two, 2^(-8/n), 2^(-16/n), ...; otherwise those of the
 * power below, then every other one of those for twice that power. */
static double slope(size_t heads, size_t i) {
  size_t n = 1;
  while (n * 2 <= heads) n *= 2;
  if (i < n) return pow(2.0, -8.0 / (double)n * (double)(i + 1));
  return pow(2.0, -8.0 / (double)(2 * n) * (double)(2 * (i - n) + 1));
}

/* One sequence: q (T,H,h), k and v (T,G,h), out (T,H,h). */
static void attention(const plain *p, const double *q, const double *k, const double *v, double *out) {
  size_t T = p->T, H = p->d->H, G = p->d->G, h = p->d->h;
  double *score = zeros(T);
  for (size_t t = 0; t < T; t++) {
    for (size_t n = 0; n < H; n++) {
      size_t g = n / (H / G);
      double sum = 0.0;
      for (size_t u = 0; u <= t; u++) {
        double dot = 0.0;
        for (size_t c = 0; c < h; c++) dot += q[(t * H + n) * h + c] * k[(u * G + g) * h + c];
        /* distance form: equal to slope * key position under the softmax */
        double bias = p->d->position == EF_ALIBI ? -slope(H, n) * (double)(t - u) : 0.0;
        score[u] = exp(dot / sqrt((double)h) + bias);
        sum += score[u];
      }
      for (size_t c = 0; c < h; c++) {
        double y = 0.0;
        for (size_t u = 0; u <= t; u++) y += score[u] / sum * v[(u * G + g) * h + c];
        out[(t * H + n) * h + c] = y;
      }
    }
  }
  free(score);
}

typedef struct qkv {
  double *q, *k, *v; /* (T,H,h), (T,G,h), (T,G,h) */
} qkv;

static void fill_gpt2(const plain *p, int l, size_t t, const double *x, qkv *a) {
  size_t D = p->d->D;
  double *y = zeros(3 * D);
  linear(D, 3 * D, true, need(p, "transformer.h.%d.attn.c_attn.weight", l),
         need(p, "transformer.h.%d.attn.c_attn.bias", l), x, y);
  memcpy(a->q + t * D, y, D * sizeof *y);
  memcpy(a->k + t * D, y + D, D * sizeof *y);
  memcpy(a->v + t * D, y + 2 * D, D * sizeof *y);
  free(y);
}

static void fill_bloom(const plain *p, int l, size_t t, const double *x, qkv *a) {
  size_t D = p->d->D, h = p->d->h;
  double *y = zeros(3 * D);
  linear(D, 3 * D, false, need(p, "transformer.h.%d.self_attention.query_key_value.weight", l),
         need(p, "transformer.h.%d.self_attention.query_key_value.bias", l), x, y);
  for (size_t n = 0; n < p->d->H; n++) {
    for (size_t c = 0; c < h; c++) {
      a->q[t * D + n * h + c] = y[(n * 3 + 0) * h + c];
      a->k[t * D + n * h + c] = y[(n * 3 + 1) * h + c];
      a->v[t * D + n * h + c] = y[(n * 3 + 2) * h + c];
    }
  }
  free(y);
}

static void fill_llama(const plain *p, int l, size_t t, const double *x, qkv *a) {
  size_t D = p->d->D, wide = p->d->G * p->d->h;
  const char *w = "model.layers.%d.self_attn.%c_proj.weight", *b = "model.layers.%d.self_attn.%c_proj.bias";
  linear(D, D, false, need(p, w, l, 'q'), may(p, b, l, 'q'), x, a->q + t * D);
  linear(D, wide, false, need(p, w, l, 'k'), may(p, b, l, 'k'), x, a->k + t * wide);
  linear(D, wide, false, need(p, w, l, 'v'), may(p, b, l, 'v'), x, a->v + t * wide);
  for (size_t n = 0; n < p->d->H; n++) turn(p, t, a->q + t * D + n * p->d->h);
  for (size_t g = 0; g < p->d->G; g++) turn(p, t, a->k + t * wide + g * p->d->h);
}

static const double *norm_tensor(const plain *p, int l, int which, const char *part) {
  static const char *const gpt[] = {"ln_1", "ln_2"}, *const other[] = {"input_layernorm",
                                                                       "post_attention_layernorm"};
  if (p->d->family == EF_GPT2) return may(p, "transformer.h.%d.%s.%s", l, gpt[which], part);
  if (p->d->family == EF_BLOOM) return may(p, "transformer.h.%d.%s.%s", l, other[which], part);
  return may(p, "model.layers.%d.%s.%s", l, other[which], part);
}

static void project_out(const plain *p, int l, const double *x, double *y) {
  size_t D = p->d->D;
  if (p->d->family == EF_GPT2) {
    linear(D, D, true, need(p, "transformer.h.%d.attn.c_proj.weight", l),
           need(p, "transformer.h.%d.attn.c_proj.bias", l), x, y);
  } else if (p->d->family == EF_BLOOM) {
    linear(D, D, false, need(p, "transformer.h.%d.self_attention.dense.weight", l),
           need(p, "transformer.h.%d.self_attention.dense.bias", l), x, y);
  } else {
    linear(D, D, false, need(p, "model.layers.%d.self_attn.o_proj.weight", l),
           may(p, "model.layers.%d.self_attn.o_proj.bias", l), x, y);
  }
}

/* x (T,D) += attention of one sequence. */
static void attention_block(const plain *p, int l, double *x) {
  size_t T = p->T, D = p->d->D, wide = p->d->G * p->d->h;
  qkv a = {zeros(T * D), zeros(T * wide), zeros(T * wide)};
  double *normed = zeros(D), *out = zeros(T * D), *y = zeros(D);
  for (size_t t = 0; t < T; t++) {
    norm(p, norm_tensor(p, l, 0, "weight"), norm_tensor(p, l, 0, "bias"), x + t * D, normed);
    if (p->d->family == EF_GPT2)
      fill_gpt2(p, l, t, normed, &a);
    else if (p->d->family == EF_BLOOM)
      fill_bloom(p, l, t, normed, &a);
    else
      fill_llama(p, l, t, normed, &a);
  }
  attention(p, a.q, a.k, a.v, out);
  for (size_t t = 0; t < T; t++) {
    project_out(p, l, out + t * D, y);
    for (size_t i = 0; i < D; i++) x[t * D + i] += y[i];
  }
  free(a.q), free(a.k), free(a.v), free(normed), free(out), free(y);
}

static double gelu(double x) {
  return 0.5 * x * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
}
static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

static void gelu_mlp(const plain *p, int l, const double *x, double *y) {
  bool gpt = p->d->family == EF_GPT2;
  const char *up = gpt ? "transformer.h.%d.mlp.c_fc.%s" : "transformer.h.%d.mlp.dense_h_to_4h.%s";
  const char *down = gpt ? "transformer.h.%d.mlp.c_proj.%s" : "transformer.h.%d.mlp.dense_4h_to_h.%s";
  double *inner = zeros(p->d->F);
  linear(p->d->D, p->d->F, gpt, need(p, up, l, "weight"), need(p, up, l, "bias"), x, inner);
  for (size_t f = 0; f < p->d->F; f++) inner[f] = gelu(inner[f]);
  linear(p->d->F, p->d->D, gpt, need(p, down, l, "weight"), need(p, down, l, "bias"), inner, y);
  free(inner);
}

/* y (D) = down(silu(gate x) * up x) of the block whose names start with `prefix`. */
static void swiglu_mlp(const plain *p, size_t F, const char *prefix, const double *x, double *y) {
  double *gate = zeros(F), *up = zeros(F);
  linear(p->d->D, F, false, need(p, "%s.gate_proj.weight", prefix), NULL, x, gate);
  linear(p->d->D, F, false, need(p, "%s.up_proj.weight", prefix), NULL, x, up);
  for (size_t f = 0; f < F; f++) up[f] *= gate[f] * sigmoid(gate[f]);
  linear(F, p->d->D, false, need(p, "%s.down_proj.weight", prefix), NULL, up, y);
  free(gate), free(up);
}

static bool may_choose(const plain *p, int l, size_t e) {
  if (p->d->held > 0 && e >= p->d->held) return false;
  return !p->forbidden || !p->forbidden[(size_t)l * p->d->E + e];
}

/* Full softmax, the K largest that may be chosen, their weights (E, zero elsewhere). */
static void choose(const plain *p, int l, const double *logits, double *probs, int *chosen, double *weights) {
  const ef_dims *d = p->d;
  double sum = 0.0, kept = 0.0;
  for (size_t e = 0; e < d->E; e++) sum += exp(logits[e]);
  for (size_t e = 0; e < d->E; e++) probs[e] = exp(logits[e]) / sum;
  for (size_t e = 0; e < d->E; e++) {
    size_t before = 0;
    for (size_t o = 0; o < d->E; o++) before += may_choose(p, l, o) && probs[o] > probs[e];
    chosen[e] = may_choose(p, l, e) && before < d->K;
    weights[e] = chosen[e] ? probs[e] : 0.0;
    kept += weights[e];
  }
  bool divide = d->norm_topk && (d->family != EF_DEEPSEEK || d->K > 1);
  for (size_t e = 0; divide && e < d->E; e++) weights[e] /= kept;
}

static void moe_mlp(const plain *p, int l, size_t row, const double *x, double *y) {
  const ef_dims *d = p->d;
  size_t at = ((size_t)l * p->B * p->T + row) * d->E;
  double *logits = zeros(d->E), *weights = zeros(d->E), *part = zeros(d->D), gate = 1.0;
  char prefix[128];
  linear(d->D, d->E, false, need(p, "model.layers.%d.mlp.gate.weight", l), NULL, x, logits);
  choose(p, l, logits, p->probs + at, p->chosen + at, weights);
  for (size_t e = 0; e < d->E; e++) {
    if (!p->chosen[at + e]) continue;
    snprintf(prefix, sizeof prefix, "model.layers.%d.mlp.experts.%zu", l, e);
    swiglu_mlp(p, d->Fe, prefix, x, part);
    for (size_t i = 0; i < d->D; i++) y[i] += weights[e] * part[i];
  }
  if (d->Fs) {
    bool qwen = d->family == EF_QWEN2_MOE;
    snprintf(prefix, sizeof prefix, "model.layers.%d.mlp.shared_expert%s", l, qwen ? "" : "s");
    swiglu_mlp(p, d->Fs, prefix, x, part);
    if (qwen)
      linear(d->D, 1, false, need(p, "model.layers.%d.mlp.shared_expert_gate.weight", l), NULL, x, &gate);
    if (qwen) gate = sigmoid(gate);
    for (size_t i = 0; i < d->D; i++) y[i] += gate * part[i];
  }
  free(logits), free(weights), free(part);
}

static void ffn_block(const plain *p, int l, size_t first_row, double *x) {
  size_t D = p->d->D;
  double *normed = zeros(D);
  char prefix[64];
  snprintf(prefix, sizeof prefix, "model.layers.%d.mlp", l);
  for (size_t t = 0; t < p->T; t++) {
    double *y = zeros(D);
    norm(p, norm_tensor(p, l, 1, "weight"), norm_tensor(p, l, 1, "bias"), x + t * D, normed);
    memcpy(p->ffn_input + ((size_t)l * p->B * p->T + first_row + t) * D, normed, D * sizeof *normed);
    if (p->d->ffn == EF_GELU)
      gelu_mlp(p, l, normed, y);
    else if (ef_dims_is_moe(p->d, (size_t)l))
      moe_mlp(p, l, first_row + t, normed, y);
    else
      swiglu_mlp(p, (size_t)l < p->d->first ? p->d->F_first : p->d->F, prefix, normed, y);
    for (size_t i = 0; i < D; i++) x[t * D + i] += y[i];
    free(y);
  }
  free(normed);
}

static const double *embedding(const plain *p) {
  if (p->d->family == EF_GPT2) return need(p, "transformer.wte.weight");
  return need(p,
              p->d->family == EF_BLOOM ? "transformer.word_embeddings.weight" : "model.embed_tokens.weight");
}

static void embed(const plain *p, double *x) {
  size_t D = p->d->D;
  double *raw = zeros(D);
  for (size_t r = 0; r < p->B * p->T; r++) {
    memcpy(raw, embedding(p) + (size_t)p->ids[r] * D, D * sizeof *raw);
    memcpy(x + r * D, raw, D * sizeof *raw);
    if (p->d->family == EF_GPT2) {
      const double *at = need(p, "transformer.wpe.weight") + r % p->T * D;
      for (size_t i = 0; i < D; i++) x[r * D + i] += at[i];
    }
    if (p->d->family == EF_BLOOM) {
      norm(p, need(p, "transformer.word_embeddings_layernorm.weight"),
           need(p, "transformer.word_embeddings_layernorm.bias"), raw, x + r * D);
    }
  }
  free(raw);
}

/* A head with this norm on the residual stream x. */
static void project(const plain *p, const double *w, const double *b, const double *x) {
  const double *head = may(p, "lm_head.weight");
  if (!head) head = embedding(p);
  for (size_t r = 0; r < p->B * p->T; r++) {
    norm(p, w, b, x + r * p->d->D, p->final + r * p->d->D);
    linear(p->d->D, p->d->V, false, head, NULL, p->final + r * p->d->D, p->logits + r * p->d->V);
  }
}

static void finish(plain *p, const double *x) {
  bool gpt = p->d->family == EF_GPT2 || p->d->family == EF_BLOOM;
  const double *w = may(p, gpt ? "transformer.ln_f.weight" : "model.norm.weight");
  project(p, w, may(p, "transformer.ln_f.bias"), x);
}

void plain_forward(plain *p, const ef_dims *d, const ef_table *table, const double *params,
                   const int32_t *ids, size_t B, size_t T) {
  plain_forward_without(p, d, table, params, NULL, ids, B, T);
}

void plain_forward_without(plain *p, const ef_dims *d, const ef_table *table, const double *params,
                           const int *forbidden, const int32_t *ids, size_t B, size_t T) {
  size_t R = B * T, n = R * d->D;
  *p = (plain){.d = d, .table = table, .params = params, .forbidden = forbidden, .B = B, .T = T, .ids = ids};
  p->hidden = zeros((d->L + 1) * n);
  p->ffn_input = zeros(d->L * n);
  p->final = zeros(n);
  p->logits = zeros(R * d->V);
  p->probs = zeros(d->L * R * d->E);
  p->chosen = calloc(d->L * R * d->E + 1, sizeof(int));
  embed(p, p->hidden);
  for (size_t l = 0; l < d->L; l++) {
    double *x = p->hidden + (l + 1) * n;
    memcpy(x, p->hidden + l * n, n * sizeof *x);
    for (size_t b = 0; b < B; b++) {
      attention_block(p, (int)l, x + b * T * d->D);
      ffn_block(p, (int)l, b * T, x + b * T * d->D);
    }
  }
  finish(p, p->hidden + d->L * n);
}

void plain_free(plain *p) {
  free(p->hidden), free(p->ffn_input), free(p->final), free(p->logits), free(p->probs), free(p->chosen);
}

/* sum_e f_e P_e over rows [first, first+rows) of the layers [l0,l1): f_e = choices of e per row, P_e mean
 * probability. */
static double balance(const plain *p, size_t l0, size_t l1, size_t first, size_t rows) {
  double total = 0.0;
  for (size_t e = 0; e < p->d->E; e++) {
    double f = 0.0, mean = 0.0, n = 0.0;
    for (size_t l = l0; l < l1; l++) {
      if (!ef_dims_is_moe(p->d, l)) continue;
      for (size_t r = first; r < first + rows; r++) {
        f += p->chosen[(l * p->B * p->T + r) * p->d->E + e];
        mean += p->probs[(l * p->B * p->T + r) * p->d->E + e];
        n += 1.0;
      }
    }
    if (n > 0.0) total += f / n * mean / n;
  }
  return total;
}

double plain_aux(const plain *p) {
  const ef_dims *d = p->d;
  double E = (double)d->E, K = (double)d->K, sum = 0.0;
  if (d->aux == EF_AUX_NONE || d->E == 0) return 0.0;
  if (d->aux == EF_AUX_POOLED) return E * balance(p, 0, d->L, 0, p->B * p->T);
  for (size_t l = 0; l < d->L; l++) {
    for (size_t b = 0; d->aux == EF_AUX_SEQUENCE && b < p->B; b++) {
      sum += E / K * balance(p, l, l + 1, b * p->T, p->T) / (double)p->B;
    }
    if (d->aux == EF_AUX_BATCH) sum += E / K * balance(p, l, l + 1, 0, p->B * p->T);
  }
  return (double)d->aux_coef * sum;
}

double plain_cross_entropy(const plain *p, const int32_t *targets) {
  double total = 0.0;
  for (size_t r = 0; r < p->B * p->T; r++) {
    const double *z = p->logits + r * p->d->V;
    double sum = 0.0;
    if (targets[r] == EF_IGNORE) continue;
    for (size_t v = 0; v < p->d->V; v++) sum += exp(z[v]);
    total += log(sum) - z[targets[r]];
  }
  return total;
}

double *plain_params(const ef_model *model) {
  double *p = zeros(model->table.floats);
  for (size_t i = 0; i < model->table.floats; i++) p[i] = (double)model->params[i];
  return p;
}

double plain_exit_cross_entropy(const plain *p, size_t after, const int32_t *targets) {
  plain exit = *p;
  size_t R = p->B * p->T;
  exit.final = zeros(R * p->d->D);
  exit.logits = zeros(R * p->d->V);
  project(&exit, may(p, "exits.%d.norm.weight", (int)after), may(p, "exits.%d.norm.bias", (int)after),
          p->hidden + after * R * p->d->D);
  double sum = plain_cross_entropy(&exit, targets);
  free(exit.final), free(exit.logits);
  return sum;
}
