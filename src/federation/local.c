#include "federation/local.h"

#include <math.h>

/* A window is one token and the next. */
enum { LEAST_TOKENS = 2 };

size_t ef_local_tokens(const ef_run *run, const ef_population *population, size_t device) {
  const size_t *documents;
  size_t n = ef_population_documents(population, device, &documents), tokens = 0;
  for (size_t i = 0; i < n; i++) {
    tokens += (size_t)(run->tokens.offset[documents[i] + 1] - run->tokens.offset[documents[i]]);
  }
  return tokens;
}

size_t ef_local_slice(const ef_deck *d, size_t tokens) {
  return (size_t)((double)tokens * d->federation.validation_share);
}

ef_status ef_local_text_read(const ef_run *run, const ef_population *population, size_t device,
                             ef_local_text *text) {
  const size_t *documents;
  size_t n = ef_population_documents(population, device, &documents);
  EF_TRY(ef_stream_read(&run->tokens, documents, n, &text->all));
  size_t slice = ef_local_slice(run->deck, text->all.count);
  text->train = (ef_stream){.ids = text->all.ids, .count = text->all.count - slice};
  text->slice = (ef_stream){.ids = text->all.ids + text->train.count, .count = slice};
  return EF_OK;
}

void ef_local_text_free(ef_local_text *text) {
  ef_stream_free(&text->all);
  *text = (ef_local_text){0};
}

bool ef_local_has_text(const ef_run *run, const ef_population *population, size_t device) {
  size_t tokens = ef_local_tokens(run, population, device);
  return tokens - ef_local_slice(run->deck, tokens) >= LEAST_TOKENS;
}

bool ef_local_trains(const ef_run *run, const ef_population *population, size_t device) {
  return !population->fails[device] && ef_local_has_text(run, population, device);
}

size_t ef_local_steps(const ef_deck *d, size_t tokens) {
  size_t most = (size_t)d->federation.steps;
  if (d->federation.epochs == 0.0) return most;
  double step = (double)(d->federation.batch * d->federation.context);
  double passes = ceil(d->federation.epochs * (double)tokens / step);
  return passes < (double)most ? (size_t)fmax(passes, 1.0) : most;
}

ef_recipe ef_local_recipe(const ef_deck *d, double lr, const ef_stream *slice) {
  return (ef_recipe){.steps = (size_t)d->federation.steps,
                     .batch = (size_t)d->federation.batch,
                     .context = (size_t)d->federation.context,
                     .lr = lr,
                     .min_lr = d->federation.min_lr,
                     .decay = d->federation.weight_decay,
                     .clip = d->federation.clip,
                     .warmup = (size_t)d->federation.warmup,
                     .holdout = slice,
                     .look_every = (size_t)d->federation.eval_every,
                     .patience = (size_t)d->federation.patience,
                     .look_windows = EF_LOCAL_LOOK};
}
