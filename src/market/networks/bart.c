/* BART-base (Lewis et al., "BART", ACL 2020; shapes recalled): 6 encoder and 6 decoder layers, width 768,
 * FFN 3072, vocabulary 50265. One forward pass of a German to English translation: SOURCE tokens through the
 * encoder, TARGET through the decoder at once, as in scoring a translation. Every product of an (m,k) and a
 * (k,n) matrix costs 2 m n k; attention is counted without the savings of its mask; embeddings, softmax,
 * normalisation and biases cost nothing. */
#include "base/memory.h"
#include "market/networks/networks_internal.h"
#include <math.h>
#include <stdio.h>

enum { LAYERS = 6, EXITS = 3, NAME_BYTES = 32, TOKEN_BYTES = 4 };

static const double SOURCE = 32, TARGET = 32;
static const double WIDTH = 768, FFN = 3072, VOCABULARY = 50265;

static double product(double m, double k, double n) { return 2 * m * n * k; }

/* Queries, keys, values and output of `queries` positions that look at `keys` positions. */
static double attention_flops(double queries, double keys) {
  return 2 * product(queries, WIDTH, WIDTH) + 2 * product(keys, WIDTH, WIDTH) +
         2 * product(queries, WIDTH, keys);
}

static double ffn_flops(double tokens) { return 2 * product(tokens, WIDTH, FFN); }

static double encoder_flops(void) { return attention_flops(SOURCE, SOURCE) + ffn_flops(SOURCE); }

static double decoder_flops(void) {
  return attention_flops(TARGET, TARGET) + attention_flops(TARGET, SOURCE) + ffn_flops(TARGET);
}

/* Behind a decoder layer the next one needs the encoder's output too; behind the last the head does not. */
static double cut_elements(int layer) {
  if (layer <= LAYERS) return SOURCE * WIDTH;
  return layer < 2 * LAYERS ? (SOURCE + TARGET) * WIDTH : TARGET * WIDTH;
}

static ef_status add_layers(ef_workload *w, double bytes) {
  for (int l = 1; l <= 2 * LAYERS; l++) {
    char name[NAME_BYTES];
    bool encoder = l <= LAYERS;
    snprintf(name, sizeof name, "%s%d", encoder ? "encoder" : "decoder", encoder ? l : l - LAYERS);
    ef_layer_cost *layer = &w->layers[l - 1];
    layer->flops = encoder ? encoder_flops() : decoder_flops();
    layer->out_bytes = bytes * cut_elements(l);
    EF_TRY(EF_CHECK((layer->name = ef_strdup(name)), EF_MACHINE, "out of memory: %s", name));
  }
  return EF_OK;
}

/* Heads behind decoder layers 2, 4 and 6: each the whole vocabulary for each target token. */
static ef_status add_exits(ef_workload *w) {
  static const double accuracy[EXITS] = {84.7, 92.1, 100};
  static const char *const source[EXITS] = {
      "reconstruction: per cent of the full model's score, the relative profile of ResNet-50 on CIFAR-100",
      "reconstruction: per cent of the full model's score, the relative profile of ResNet-50 on CIFAR-100",
      "reconstruction: the full model's score is 100 per cent"};
  for (size_t e = 0; e < EXITS; e++) {
    w->exits[e] = (ef_exit){.after = LAYERS + 2 * (e + 1),
                            .head_flops = product(TARGET, WIDTH, VOCABULARY),
                            .accuracy = accuracy[e],
                            .source = ef_strdup(source[e])};
    EF_TRY(EF_CHECK(w->exits[e].source, EF_MACHINE, "out of memory: exit %zu", e));
  }
  return EF_OK;
}

static ef_status build(ef_workload *w, double bytes) {
  static const char source[] =
      "computed from the architecture of BART-base, one forward pass with 32 source and 32 target tokens, "
      "inputs as 4-byte token numbers; accuracy in per cent of the full model's" EF_POLICY_SOURCE("+1.10");
  EF_TRY(ef_network_begin(w, "bart_base", source, 2 * LAYERS, EXITS));
  w->input_bytes = TOKEN_BYTES * (SOURCE + TARGET);
  EF_TRY(add_layers(w, bytes));
  EF_TRY(add_exits(w));
  return ef_network_add_policies(w, 1.10);
}

ef_status ef_bart_make(double bytes_per_element, ef_workload *w) {
  *w = (ef_workload){0};
  EF_TRY(EF_CHECK(bytes_per_element > 0 && isfinite(bytes_per_element), EF_INPUT,
                  "bart_base: bytes per element must be a positive number"));
  ef_status status = build(w, bytes_per_element);
  if (status != EF_OK) ef_workload_free(w);
  return status;
}
