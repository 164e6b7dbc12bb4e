#include "model/hf.h"
#include <string.h>

static const char prefix[] = "transformer.";

static bool has_prefix_names(const ef_dims *d) { return d->family == EF_GPT2 || d->family == EF_BLOOM; }

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

bool ef_hf_same_name(const ef_dims *dims, const char *stored, const char *tensor) {
  if (strcmp(stored, tensor) == 0) return true;
  size_t n = sizeof prefix - 1;
  return has_prefix_names(dims) && strncmp(tensor, prefix, n) == 0 && strcmp(stored, tensor + n) == 0;
}

bool ef_hf_ignored_name(const ef_dims *dims, const char *stored) {
  if (dims->tied && strcmp(stored, "lm_head.weight") == 0) return true;
  if (dims->family == EF_GPT2)
    return ends_with(stored, ".attn.bias") || ends_with(stored, ".attn.masked_bias");
  return dims->position == EF_ROPE && ends_with(stored, "rotary_emb.inv_freq");
}
