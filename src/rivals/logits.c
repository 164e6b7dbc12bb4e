#include "rivals/logits.h"

#include "base/memory.h"
#include "store/safetensors.h"
#include <string.h>

/* ---- samples ------------------------------------------------------------------------------------------- */

static ef_status count_tokens(ef_samples *s) {
  int32_t *ids = NULL, *targets = NULL;
  ef_status status = EF_OK;
  EF_GO(EF_NEW(ids, s->T));
  EF_GO(EF_NEW(targets, s->T));
  for (size_t w = 0; w < s->windows; w++) {
    s->first[w + 1] = s->first[w];
    ef_stream_window(s->text, s->T, w, ids, targets);
    for (size_t t = 0; t < s->T; t++) s->first[w + 1] += targets[t] != EF_IGNORE;
  }
done:
  ef_free(ids);
  ef_free(targets);
  return status;
}

ef_status ef_samples_make(const ef_stream *text, size_t T, ef_samples *s) {
  *s = (ef_samples){.text = text, .T = T, .windows = ef_stream_windows(text, T)};
  ef_status status = EF_NEW(s->first, s->windows + 1);
  if (status == EF_OK) status = count_tokens(s);
  if (status != EF_OK) ef_samples_free(s);
  return status;
}

void ef_samples_free(ef_samples *s) {
  ef_free(s->first);
  *s = (ef_samples){0};
}

/* ---- sets ---------------------------------------------------------------------------------------------- */

ef_status ef_logit_set_create(const ef_samples *samples, size_t k, ef_logit_set *set) {
  *set = (ef_logit_set){.tokens = ef_samples_tokens(samples), .windows = samples->windows, .k = k};
  ef_status status = EF_NEW(set->index, set->tokens * k);
  if (status == EF_OK) status = EF_NEW(set->logit, set->tokens * k);
  if (status == EF_OK) status = EF_NEW(set->loss, set->windows);
  if (status != EF_OK) ef_logit_set_free(set);
  return status;
}

void ef_logit_set_free(ef_logit_set *set) {
  ef_free(set->index);
  ef_free(set->logit);
  ef_free(set->loss);
  *set = (ef_logit_set){0};
}

/* ---- files --------------------------------------------------------------------------------------------- */

static ef_h5_array index_array(const ef_logit_set *set) {
  return (ef_h5_array){.path = "/logits/index",
                       .type = EF_H5_I32,
                       .rank = 2,
                       .shape = {set->tokens, set->k},
                       .description = "token numbers of the largest logits of every scored token",
                       .units = "1",
                       .dims = "token,place"};
}

static ef_h5_array value_array(const ef_logit_set *set) {
  return (ef_h5_array){.path = "/logits/value",
                       .type = EF_H5_F32,
                       .rank = 2,
                       .shape = {set->tokens, set->k},
                       .description = "these logits, in descending order",
                       .units = "1",
                       .dims = "token,place"};
}

static ef_h5_array loss_array(const ef_logit_set *set) {
  return (ef_h5_array){.path = "/logits/loss",
                       .type = EF_H5_F32,
                       .rank = 1,
                       .shape = {set->windows},
                       .description = "mean cross-entropy of the scored tokens of every window",
                       .units = "nat",
                       .dims = "window"};
}

ef_status ef_logit_set_write(ef_h5 *file, const ef_logit_set *set) {
  ef_h5_array index = index_array(set), value = value_array(set), loss = loss_array(set);
  EF_TRY(ef_h5_write(file, &index, set->index));
  EF_TRY(ef_h5_write(file, &value, set->logit));
  return ef_h5_write(file, &loss, set->loss);
}

ef_status ef_logit_set_read(ef_h5 *file, ef_logit_set *set) {
  ef_h5_array index = index_array(set), value = value_array(set), loss = loss_array(set);
  EF_TRY(ef_h5_read(file, &index, set->index));
  EF_TRY(ef_h5_read(file, &value, set->logit));
  return ef_h5_read(file, &loss, set->loss);
}

/* ---- messages ------------------------------------------------------------------------------------------ */

uint64_t ef_logit_set_formula(size_t tokens, size_t windows, size_t k, bool half) {
  uint64_t b = half ? 2 : 4;
  return tokens * k * (b + 4) + 4 * windows;
}

/* Where the three blocks of a message stand. */
typedef struct layout {
  size_t index, loss, bytes; /* the logits come first */
} layout;

static layout layout_of(const ef_logit_set *set, bool half) {
  size_t count = set->tokens * set->k;
  layout at = {.index = count * (half ? sizeof(uint16_t) : sizeof *set->logit)};
  at.loss = at.index + count * sizeof *set->index;
  at.bytes = at.loss + set->windows * sizeof *set->loss;
  return at;
}

size_t ef_logit_set_pack(const ef_logit_set *set, bool half, unsigned char *message) {
  layout at = layout_of(set, half);
  if (!message) return at.bytes;
  if (half) {
    ef_bf16_pack(set->tokens * set->k, set->logit, message);
  } else {
    memcpy(message, set->logit, at.index);
  }
  memcpy(message + at.index, set->index, at.loss - at.index);
  memcpy(message + at.loss, set->loss, at.bytes - at.loss);
  return at.bytes;
}

void ef_logit_set_unpack(const unsigned char *message, bool half, ef_logit_set *set) {
  layout at = layout_of(set, half);
  if (half) {
    ef_bf16_unpack(set->tokens * set->k, message, set->logit);
  } else {
    memcpy(set->logit, message, at.index);
  }
  memcpy(set->index, message + at.index, at.loss - at.index);
  memcpy(set->loss, message + at.loss, at.bytes - at.loss);
}
