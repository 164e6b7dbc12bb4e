#include "base/memory.h"
#include "market/networks/networks_internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { IMAGE_SIZE = 224, IMAGE_CHANNELS = 3, CLASSES = 1000, NAME_BYTES = 32 };

/* The network so far. All counts are whole numbers far below 2^53. */
typedef struct builder {
  ef_workload *w;
  const ef_architecture *a;
  double bytes;          /* per element */
  double channels, size; /* of what the last layer gives: (channels, size, size) */
  size_t layers, exits;  /* made so far */
} builder;

/* ---- formulas of aeria.md, section 6 ------------------------------------------------------------------ */

static double conv_out(double in, int kernel, int stride, int pad) {
  return floor((in + 2.0 * pad - kernel) / stride) + 1;
}

/* 2 k^2 (Cin / groups) Cout out^2; in_group = Cin / groups. */
static double conv_flops(double kernel, double in_group, double out, double size) {
  return 2 * kernel * kernel * in_group * out * size * size;
}

static double fc_flops(double in, double out) { return 2 * in * out; }

static double head_flops(const builder *b) {
  return b->channels * b->size * b->size + fc_flops(b->channels, CLASSES);
}

/* Residual add and, where the shape changes, the 1x1 convolution of the shortcut. */
static double shortcut_flops(const builder *b, double out, double size, int stride) {
  double add = out * size * size;
  return stride != 1 || b->channels != out ? add + conv_flops(1, b->channels, out, size) : add;
}

static double basic_flops(const builder *b, double out, double size, int stride) {
  return conv_flops(3, b->channels, out, size) + conv_flops(3, out, out, size) +
         shortcut_flops(b, out, size, stride);
}

static double bottleneck_flops(const builder *b, double width, double size, int stride) {
  double out = 4 * width;
  return conv_flops(1, b->channels, width, b->size) + conv_flops(3, width, width, size) +
         conv_flops(1, width, out, size) + shortcut_flops(b, out, size, stride);
}

static double inverted_flops(const builder *b, const ef_unit *u, double size, int stride) {
  double wide = b->channels * u->expand, out = u->out;
  double flops = conv_flops(3, 1, wide, size) + conv_flops(1, wide, out, size);
  if (u->expand != 1) flops += conv_flops(1, b->channels, wide, b->size);
  if (stride == 1 && b->channels == out) flops += out * size * size;
  return flops;
}

/* FLOPs of one layer; leaves its output's shape in the builder. */
static double apply(builder *b, const ef_unit *u, int stride) {
  double in = b->channels * b->size * b->size, out = u->out, size = 1, flops = 0;
  bool block = u->kind == EF_UNIT_BASIC || u->kind == EF_UNIT_BOTTLENECK || u->kind == EF_UNIT_INVERTED;
  if (block) size = conv_out(b->size, 3, stride, 1);
  if (u->kind == EF_UNIT_CONV || u->kind == EF_UNIT_POOL) size = conv_out(b->size, u->kernel, stride, u->pad);
  switch (u->kind) {
  case EF_UNIT_CONV:
    flops = conv_flops(u->kernel, b->channels, out, size);
    break;
  case EF_UNIT_POOL:
    out = b->channels;
    flops = (double)u->kernel * u->kernel * out * size * size;
    break;
  case EF_UNIT_FC:
    flops = fc_flops(in, out);
    break;
  case EF_UNIT_BASIC:
    flops = basic_flops(b, out, size, stride);
    break;
  case EF_UNIT_BOTTLENECK:
    flops = bottleneck_flops(b, out, size, stride);
    out *= 4;
    break;
  case EF_UNIT_INVERTED:
    flops = inverted_flops(b, u, size, stride);
    break;
  case EF_UNIT_CLASSIFIER:
    flops = head_flops(b);
    break;
  }
  b->channels = out;
  b->size = size;
  return flops;
}

/* ---- building ----------------------------------------------------------------------------------------- */

/* An exit behind the layer just made, if the architecture has one there. */
static ef_status add_exit(builder *b, const char *layer) {
  const ef_unit_exit *x = &b->a->exits[b->exits];
  if (!x->layer || strcmp(x->layer, layer) != 0) return EF_OK;
  bool end = b->layers == b->w->layer_count;
  ef_exit *out = &b->w->exits[b->exits++];
  *out = (ef_exit){.after = b->layers,
                   .head_flops = end ? 0 : head_flops(b),
                   .accuracy = x->accuracy,
                   .source = ef_strdup(x->source)};
  return EF_CHECK(out->source, EF_MACHINE, "out of memory: %s", layer);
}

static ef_status add_layer(builder *b, const ef_unit *u, int number) {
  char name[NAME_BYTES];
  if (number)
    snprintf(name, sizeof name, "%s%d", u->name, number);
  else
    snprintf(name, sizeof name, "%s", u->name);
  ef_layer_cost *layer = &b->w->layers[b->layers++];
  layer->flops = apply(b, u, number == u->first ? u->stride : 1);
  layer->out_bytes = b->bytes * b->channels * b->size * b->size;
  EF_TRY(EF_CHECK((layer->name = ef_strdup(name)), EF_MACHINE, "out of memory: %s", name));
  return add_exit(b, name);
}

static ef_status build(builder *b) {
  const ef_architecture *a = b->a;
  size_t layers = 0, exits = 0;
  for (const ef_unit *u = a->units; u->name; u++) layers += u->first ? (size_t)u->repeat : 1;
  while (a->exits[exits].layer) exits++;
  EF_TRY(ef_network_begin(b->w, a->name, a->source, layers, exits));
  b->w->input_bytes = b->bytes * b->channels * b->size * b->size;
  for (const ef_unit *u = a->units; u->name; u++) {
    for (int i = 0; i < (u->first ? u->repeat : 1); i++) EF_TRY(add_layer(b, u, u->first + i));
  }
  return a->has_policies ? ef_network_add_policies(b->w, a->accuracy_change) : EF_OK;
}

ef_status ef_architecture_make(const ef_architecture *a, double bytes_per_element, ef_workload *w) {
  *w = (ef_workload){0};
  EF_TRY(EF_CHECK(bytes_per_element > 0 && isfinite(bytes_per_element), EF_INPUT,
                  "%s: bytes per element must be a positive number", a->name));
  builder b = {.w = w, .a = a, .bytes = bytes_per_element, .channels = IMAGE_CHANNELS, .size = IMAGE_SIZE};
  ef_status status = build(&b);
  if (status != EF_OK) ef_workload_free(w);
  return status;
}
