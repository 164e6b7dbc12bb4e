#include "train/feed.h"

ef_text_feed ef_text_feed_of(const ef_run *run, const ef_stream *text, uint64_t unit) {
  return (ef_text_feed){.source = {.general = text, .seed = (uint64_t)run->deck->run.seed, .unit = unit},
                        .B = (size_t)run->deck->tune.micro_batch,
                        .T = (size_t)run->deck->global.context};
}

ef_status ef_text_feed_batch(const ef_text_feed *text, size_t step, size_t micro, int32_t *ids,
                             int32_t *targets) {
  return ef_source_sample(&text->source, step, micro * text->B, text->B, text->T, ids, targets);
}

static ef_status plain_batch(void *ctx, size_t step, size_t micro, int32_t *ids, int32_t *targets) {
  return ef_text_feed_batch(ctx, step, micro, ids, targets);
}

ef_feed ef_text_feed_plain(ef_text_feed *text) {
  return (ef_feed){.ctx = text, .batch = plain_batch, .ce = 1.0f, .tau = 1.0f};
}
