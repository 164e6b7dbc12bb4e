#include "train/source.h"

#include "base/rng.h"

/* The choice of the stream draws from a stream of numbers beside that of the windows. */
static bool from_own(const ef_source *source, size_t step, size_t window) {
  if (!source->own || source->own->count < 2 || source->own_share <= 0.0) return false;
  ef_rng rng = ef_rng_stream(source->seed, EF_RNG_MIXTURE, source->unit << 24 | window, (uint32_t)step);
  return ef_rng_uniform(&rng) < source->own_share;
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
    const ef_stream *stream = from_own(source, step, first + b) ? source->own : source->general;
    EF_TRY(ef_stream_sample(stream, source->seed, source->unit, (uint32_t)step, first + b, 1, T, ids + b * T,
                            targets + b * T));
  }
  return EF_OK;
}
