#include "train/source.h"

#include "base/rng.h"

static bool usable(const ef_stream *stream) { return stream && stream->count >= 2; }

/* The choice of the stream draws from a stream of numbers beside that of the windows. */
static const ef_stream *stream_of(const ef_source *source, size_t step, size_t window) {
  ef_rng rng = ef_rng_stream(source->seed, EF_RNG_MIXTURE, source->unit << 24 | window, (uint32_t)step);
  double own = ef_rng_uniform(&rng), generated = ef_rng_uniform(&rng);
  if (usable(source->generated) && generated < source->generated_share) return source->generated;
  return usable(source->own) && own < source->own_share ? source->own : source->general;
}

static ef_status draw_consecutive(const ef_source *source, size_t step, size_t first, size_t B, size_t T,
                                  int32_t *ids, int32_t *targets) {
  size_t windows = ef_stream_windows(source->general, T);
  EF_TRY(EF_CHECK(windows > 0, EF_INPUT, "a stream of %zu tokens has no windows", source->general->count));
  for (size_t b = 0; b < B; b++) {
    ef_rng rng = ef_rng_stream(source->seed, EF_RNG_BATCH, source->unit, (uint32_t)step);
    rng.counter[0] = (uint32_t)(first + b); /* a window does not depend on those before it */
    source->drawn[b] = (size_t)ef_rng_below(&rng, windows);
    ef_stream_window(source->general, T, source->drawn[b], ids + b * T, targets + b * T);
  }
  return EF_OK;
}

ef_status ef_source_sample(const ef_source *source, size_t step, size_t first, size_t B, size_t T,
                           int32_t *ids, int32_t *targets) {
  if (source->drawn) return draw_consecutive(source, step, first, B, T, ids, targets);
  for (size_t b = 0; b < B; b++) {
    const ef_stream *stream = stream_of(source, step, first + b);
    EF_TRY(ef_stream_sample(stream, source->seed, source->unit, (uint32_t)step, first + b, 1, T, ids + b * T,
                            targets + b * T));
  }
  return EF_OK;
}

void ef_source_labels(const ef_source *source, size_t step, size_t first, size_t B, size_t T,
                      const int32_t *targets, int32_t *labels) {
  for (size_t b = 0; b < B; b++) {
    bool generated = source->generated && stream_of(source, step, first + b) == source->generated;
    for (size_t t = b * T; t < (b + 1) * T; t++) labels[t] = generated ? EF_TOKEN_IGNORE : targets[t];
  }
}
