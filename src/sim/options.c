#include "sim/options.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct setting {
  const char *name;
  size_t offset;
  double value; /* unless it is given */
  bool whole;   /* a whole number, and above 0 unless that is the default */
} setting;

#define NUMBER(name, member, value)                                                                          \
  { name, offsetof(ef_sim_options, member), value, false }
#define COUNT(name, member, value)                                                                           \
  { name, offsetof(ef_sim_options, member), value, true }

static const setting settings[] = {
    COUNT("layers", layers, 1),
    COUNT("width", width, 32),
    COUNT("heads", heads, 4),
    COUNT("vocabulary", vocabulary, 1024),
    COUNT("experts", experts, 64),
    COUNT("top-k", top_k, 2),
    COUNT("expert-width", expert_width, 32),
    COUNT("batch", batch, 1),
    COUNT("context", context, 16),
    COUNT("micro-batches", micro_batches, 0),
    COUNT("steps", steps, 1),
    NUMBER("adam-seconds", adam_seconds, 3e-9),
    NUMBER("latency", network.latency, 1e-6),
    NUMBER("bandwidth", network.bandwidth, 12.5e9),
    NUMBER("node-latency", network.node_latency, 3e-7),
    NUMBER("node-bandwidth", network.node_bandwidth, 5e9),
    NUMBER("overhead", network.overhead, 0),
};
enum { SETTING_COUNT = sizeof settings / sizeof *settings };

static double *member(ef_sim_options *o, const setting *which) {
  return (double *)(void *)((char *)o + which->offset);
}

static ef_status read_one(const char *name, const char *text, ef_sim_options *o) {
  for (size_t i = 0; i < SETTING_COUNT; i++) {
    if (strncmp(name, "--", 2) != 0 || strcmp(name + 2, settings[i].name) != 0) continue;
    char *rest;
    double value = strtod(text, &rest);
    bool good = rest != text && *rest == '\0' && isfinite(value) && value >= 0.0;
    if (settings[i].whole)
      good = good && value == floor(value) && value < 1e9 && value >= fmin(1.0, settings[i].value);
    EF_TRY(EF_CHECK(good, EF_INPUT, "%s %s: a %s number is due", name, text,
                    settings[i].whole ? "whole, positive" : "positive"));
    *member(o, &settings[i]) = value;
    return EF_OK;
  }
  return EF_CHECK(false, EF_INPUT, "%s: no such option of edgefuse-sim (src/sim/options.c lists them)", name);
}

ef_status ef_sim_options_read(int argc, char **argv, ef_sim_options *o) {
  for (size_t i = 0; i < SETTING_COUNT; i++) *member(o, &settings[i]) = settings[i].value;
  for (int i = 1; i < argc; i += 2) {
    EF_TRY(EF_CHECK(i + 1 < argc, EF_INPUT, "%s: its value is missing", argv[i]));
    EF_TRY(read_one(argv[i], argv[i + 1], o));
  }
  return EF_OK;
}

ef_status ef_sim_dims(const ef_sim_options *o, ef_dims *dims) {
  const ef_shape shape = {.V = (size_t)o->vocabulary,
                          .D = (size_t)o->width,
                          .L = (size_t)o->layers,
                          .H = (size_t)o->heads,
                          .max_positions = (size_t)o->context,
                          .E = (size_t)o->experts,
                          .K = (size_t)o->top_k,
                          .Fe = (size_t)o->expert_width,
                          .Fs = (size_t)o->expert_width};
  return ef_dims_make(EF_QWEN2_MOE, &shape, dims);
}

ef_step_shape ef_sim_shape(const ef_sim_options *o, int ranks) {
  size_t M = o->micro_batches > 0.0 ? (size_t)o->micro_batches : (size_t)ranks;
  return (ef_step_shape){.B = (size_t)o->batch, .T = (size_t)o->context, .M = M, .train_experts = true};
}
