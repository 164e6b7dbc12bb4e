#include "train/run.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/rng.h"
#include "text/prepare.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

void ef_run_path(const ef_run *run, char *path, size_t size, const char *fmt, ...) {
  int n = snprintf(path, size, "%s/", run->folder);
  if (n < 0 || (size_t)n >= size) return;
  va_list args;
  va_start(args, fmt);
  vsnprintf(path + n, size - (size_t)n, fmt, args);
  va_end(args);
}

bool ef_run_held_out(const ef_run *run, size_t document) {
  ef_rng rng = ef_rng_stream((uint64_t)run->deck->run.seed, EF_RNG_SPLIT, document, 1);
  return ef_rng_uniform(&rng) < run->deck->text.public_holdout;
}

/* Documents of a split and a domain (-1: all), of the public split only those on one side of the holdout. */
static size_t choose(const ef_run *run, ef_split split, int domain, bool held_out, size_t *documents) {
  const ef_tokens *t = &run->tokens;
  size_t count = 0;
  for (size_t d = 0; d < t->documents; d++) {
    if (t->split[d] != split || (domain >= 0 && t->domain[d] != domain)) continue;
    if (split == EF_PUBLIC && ef_run_held_out(run, d) != held_out) continue;
    documents[count++] = d;
  }
  return count;
}

static ef_status read_streams(ef_run *run, size_t *documents) {
  const ef_tokens *t = &run->tokens;
  size_t n = choose(run, EF_PUBLIC, -1, false, documents);
  EF_TRY(ef_stream_read(t, documents, n, &run->public_text));
  n = choose(run, EF_PUBLIC, -1, true, documents);
  EF_TRY(ef_stream_read(t, documents, n, &run->holdout));
  for (size_t d = 0; d < t->domain_count; d++) {
    n = choose(run, EF_PUBLIC, (int)d, false, documents);
    EF_TRY(ef_stream_read(t, documents, n, &run->public_by_domain[d]));
    n = choose(run, EF_PUBLIC, (int)d, true, documents);
    EF_TRY(ef_stream_read(t, documents, n, &run->holdout_by_domain[d]));
    n = choose(run, EF_VALIDATION, (int)d, false, documents);
    EF_TRY(ef_stream_read(t, documents, n, &run->validation[d]));
  }
  size_t window = (size_t)run->deck->global.context;
  return EF_CHECK(run->public_text.count > window, EF_INPUT,
                  "the public text that is trained on has %zu tokens, less than one window of %zu: raise "
                  "text.public_share or give more text",
                  run->public_text.count, window);
}

static ef_status open_text(ef_run *run) {
  char path[4096];
  ef_run_path(run, path, sizeof path, "tokens/tokens.h5");
  EF_TRY(ef_tokens_open(path, &run->tokens));
  void *model = NULL;
  size_t bytes = 0, *documents = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_tokens_tokenizer(&run->tokens, &model, &bytes));
  EF_GO(ef_tokenizer_load(model, bytes, &run->tokenizer));
  EF_GO(EF_NEW(documents, run->tokens.documents));
  EF_GO(EF_NEW(run->public_by_domain, run->tokens.domain_count));
  EF_GO(EF_NEW(run->holdout_by_domain, run->tokens.domain_count));
  EF_GO(EF_NEW(run->validation, run->tokens.domain_count));
  EF_GO(read_streams(run, documents));
done:
  ef_free(model);
  ef_free(documents);
  return status;
}

ef_status ef_run_open(ef_par *par, const ef_deck *deck, const char *folder, ef_run *run) {
  *run = (ef_run){.par = par, .deck = deck, .folder = folder, .last_checkpoint = ef_clock()};
  run->kernels = ef_kernels_find(deck->run.backend);
  char stop_file[4096];
  ef_run_path(run, stop_file, sizeof stop_file, "stop");
  ef_status status = ef_stop_setup(&run->stop, stop_file, deck->run.time_limit);
  if (status == EF_OK) status = open_text(run);
  status = ef_agree(par, status);
  if (status != EF_OK) ef_run_close(run);
  return status;
}

static void free_streams(ef_stream *streams, size_t count) {
  for (size_t i = 0; streams && i < count; i++) ef_stream_free(&streams[i]);
  ef_free(streams);
}

void ef_run_close(ef_run *run) {
  free_streams(run->public_by_domain, run->tokens.domain_count);
  free_streams(run->holdout_by_domain, run->tokens.domain_count);
  free_streams(run->validation, run->tokens.domain_count);
  ef_stream_free(&run->public_text);
  ef_stream_free(&run->holdout);
  ef_tokenizer_free(run->tokenizer);
  ef_tokens_free(&run->tokens);
  *run = (ef_run){0};
}

bool ef_run_told_to_stop(ef_run *run) {
  if (!run->stopping) run->stopping = ef_stop_poll(&run->stop);
  return run->stopping;
}

bool ef_run_checkpoint_due(ef_run *run) {
  double now = ef_clock();
  if (now - run->last_checkpoint < run->deck->run.checkpoint_every) return false;
  run->last_checkpoint = now;
  return true;
}

ef_status ef_run_meet(ef_run *run, ef_status status) {
  if (status == EF_STOPPED) {
    run->stopping = true;
    status = EF_OK;
  }
  EF_TRY(ef_agree(run->par, status));
  bool stop = false;
  EF_TRY(ef_stop_now(&run->stop, run->par, &stop));
  run->stopping = stop;
  const char *reason = ef_stop_reason(&run->stop);
  return EF_CHECK(!stop, EF_STOPPED, "stopped by %s: the state is saved, run again with --resume",
                  reason[0] ? reason : "another rank");
}

ef_status ef_run_identity(const ef_run *run, const char *sections, char out[33]) {
  char *yaml = NULL, seed[32];
  EF_TRY(ef_deck_dump(run->deck, sections, &yaml));
  snprintf(seed, sizeof seed, "%lld", (long long)run->deck->run.seed);
  XXH3_state_t *state = XXH3_createState();
  if (!state) {
    ef_free(yaml);
    return ef_fail(EF_MACHINE, __FILE__, __LINE__, "out of memory");
  }
  XXH3_128bits_reset(state);
  XXH3_128bits_update(state, seed, strlen(seed) + 1);
  XXH3_128bits_update(state, run->tokens.hash, strlen(run->tokens.hash) + 1);
  XXH3_128bits_update(state, yaml, strlen(yaml));
  XXH128_hash_t hash = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  ef_free(yaml);
  snprintf(out, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
  return EF_OK;
}
