#include "text/tokens.h"

#include "base/memory.h"
#include "base/rng.h"
#include "text/tokenizer.h"
#include <string.h>

/* ---- building ----------------------------------------------------------------------------------------- */

static ef_status fill(const ef_tokens *tokens, const size_t *documents, size_t count, ef_stream *stream) {
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    size_t d = documents[i];
    EF_TRY(ef_tokens_read(tokens, d, stream->ids + at));
    at += (size_t)(tokens->offset[d + 1] - tokens->offset[d]);
  }
  return EF_OK;
}

ef_status ef_stream_read(const ef_tokens *tokens, const size_t *documents, size_t count, ef_stream *stream) {
  *stream = (ef_stream){0};
  for (size_t i = 0; i < count; i++) {
    size_t d = documents[i];
    stream->count += (size_t)(tokens->offset[d + 1] - tokens->offset[d]);
    stream->bytes += tokens->bytes[d];
  }
  EF_TRY(EF_NEW(stream->ids, stream->count));
  ef_status status = fill(tokens, documents, count, stream);
  if (status != EF_OK) ef_stream_free(stream);
  return status;
}

ef_status ef_stream_split(const ef_tokens *tokens, ef_split split, int domain, ef_stream *stream) {
  size_t *documents, count = 0;
  *stream = (ef_stream){0};
  EF_TRY(EF_NEW(documents, tokens->documents));
  for (size_t d = 0; d < tokens->documents; d++) {
    if (tokens->split[d] == split && (domain < 0 || tokens->domain[d] == domain)) documents[count++] = d;
  }
  ef_status status = ef_stream_read(tokens, documents, count, stream);
  ef_free(documents);
  return status;
}

ef_status ef_stream_join(const ef_stream *first, const ef_stream *second, ef_stream *joined) {
  *joined = (ef_stream){.count = first->count + second->count, .bytes = first->bytes + second->bytes};
  EF_TRY(EF_NEW(joined->ids, joined->count));
  if (first->count > 0) memcpy(joined->ids, first->ids, first->count * sizeof *joined->ids);
  if (second->count > 0) memcpy(joined->ids + first->count, second->ids, second->count * sizeof *joined->ids);
  return EF_OK;
}

void ef_stream_free(ef_stream *stream) {
  ef_free(stream->ids);
  *stream = (ef_stream){0};
}

/* ---- windows ------------------------------------------------------------------------------------------ */

static int32_t target_of(int32_t id) { return id == EF_TOKEN_BOS ? EF_TOKEN_IGNORE : id; }

void ef_stream_ring(const ef_stream *stream, size_t start, size_t T, int32_t *ids, int32_t *targets) {
  size_t at = start;
  for (size_t t = 0; t < T; t++) {
    ids[t] = stream->ids[at];
    at = at + 1 < stream->count ? at + 1 : 0;
    targets[t] = target_of(stream->ids[at]);
  }
}

ef_status ef_stream_sample(const ef_stream *stream, uint64_t seed, uint64_t unit, uint32_t step, size_t first,
                           size_t B, size_t T, int32_t *ids, int32_t *targets) {
  EF_TRY(
      EF_CHECK(stream->count >= 2, EF_INPUT, "a stream of %zu tokens cannot be trained on", stream->count));
  for (size_t b = 0; b < B; b++) {
    /* Each window has its own block of random numbers, so it does not depend on those before it. */
    ef_rng rng = ef_rng_stream(seed, EF_RNG_BATCH, unit, step);
    rng.counter[0] = (uint32_t)(first + b);
    size_t start = (size_t)ef_rng_below(&rng, stream->count);
    ef_stream_ring(stream, start, T, ids + b * T, targets + b * T);
  }
  return EF_OK;
}

size_t ef_stream_windows(const ef_stream *stream, size_t T) {
  return stream->count < 2 ? 0 : (stream->count - 2) / T + 1;
}

void ef_stream_window(const ef_stream *stream, size_t T, size_t w, int32_t *ids, int32_t *targets) {
  for (size_t t = 0; t < T; t++) {
    size_t at = w * T + t;
    bool inside = at + 1 < stream->count;
    ids[t] = inside ? stream->ids[at] : EF_TOKEN_BOS;
    targets[t] = inside ? target_of(stream->ids[at + 1]) : EF_TOKEN_IGNORE;
  }
}
