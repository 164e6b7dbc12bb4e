#include "support/tiny_run.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/rng.h"
#include "support/support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char yaml[] =
    "run: {backend: ref, checkpoint_every: 1000000}\n"
    "text: {files: [none.txt], vocabulary: 300, public_holdout: 0.2}\n"
    "federation:\n"
    "  devices: 4\n"
    "  context: 8\n"
    "  batch: 2\n"
    "  families:\n"
    "    - {family: gpt2, width: 8, layers: 2, heads: 2}\n"
    "    - {family: llama, width: 12, layers: 3, heads: 2}\n"
    "    - {family: qwen2, width: 8, layers: 2, heads: 2}\n"
    "    - {family: olmo, width: 8, layers: 2, heads: 2}\n"
    "    - {family: bloom, width: 8, layers: 2, heads: 2}\n"
    "fusion: {clusters: 4, batch: 2, vaa_heads: 2, patch: 4}\n"
    "global: {family: qwen2_moe, width: 8, layers: 2, heads: 2, experts: 4, top_k: 2,\n"
    "  expert_width: 6, shared_width: 6, context: 8}\n"
    "tune: {batch: 2, micro_batch: 1}\n"
    "eval: {batch: 3}\n";

static void check(ef_status status) {
  if (status == EF_OK) return;
  fprintf(stderr, "tiny_run: %s\n", ef_message());
  abort();
}

ef_stream tiny_stream(size_t count, unsigned seed) {
  ef_stream stream = {.count = count, .bytes = (int64_t)(3 * count)};
  ef_rng rng = ef_rng_stream(77, EF_RNG_TEST, seed, 0);
  check(EF_NEW(stream.ids, count));
  for (size_t i = 0; i < count; i++) {
    stream.ids[i] = i % 37 == 0 ? EF_TOKEN_BOS : 3 + (int32_t)ef_rng_below(&rng, TINY_V - 3);
  }
  return stream;
}

/* Documents of ten tokens; a fifth is public, the others are private. */
static void make_index(ef_tokens *t) {
  *t = (ef_tokens){.documents = TINY_DOCUMENTS,
                   .domain_count = TINY_DOMAINS,
                   .subdomain_count = TINY_DOMAINS,
                   .vocabulary = TINY_V,
                   .path = ef_strdup("memory"),
                   .hash = ef_strdup("00000000000000000000000000000000")};
  check(EF_NEW(t->split, t->documents));
  check(EF_NEW(t->offset, t->documents + 1));
  check(EF_NEW(t->bytes, t->documents));
  check(EF_NEW(t->domain, t->documents));
  check(EF_NEW(t->subdomain, t->documents));
  check(EF_NEW(t->domains, TINY_DOMAINS));
  check(EF_NEW(t->subdomains, TINY_DOMAINS));
  for (size_t d = 0; d < t->documents; d++) {
    t->split[d] = d % 5 == 0 ? EF_PUBLIC : EF_PRIVATE;
    t->offset[d + 1] = t->offset[d] + 10;
    t->bytes[d] = 30;
    t->domain[d] = t->subdomain[d] = (int32_t)(d % TINY_DOMAINS);
  }
  for (size_t d = 0; d < TINY_DOMAINS; d++) {
    t->domains[d] = ef_strdup(d ? "sea" : "garden");
    t->subdomains[d] = ef_strdup(t->domains[d]);
  }
}

static void make_streams(ef_run *run) {
  run->public_text = tiny_stream(300, 1);
  run->holdout = tiny_stream(100, 2);
  check(EF_NEW(run->public_by_domain, TINY_DOMAINS));
  check(EF_NEW(run->holdout_by_domain, TINY_DOMAINS));
  check(EF_NEW(run->validation, TINY_DOMAINS));
  for (unsigned d = 0; d < TINY_DOMAINS; d++) {
    run->public_by_domain[d] = tiny_stream(150, 10 + d);
    run->holdout_by_domain[d] = tiny_stream(50, 20 + d);
    run->validation[d] = tiny_stream(70, 30 + d);
  }
}

static void make_folder(tiny_run *t) {
  char path[4200];
  if (ef_par_root(t->run.par)) {
    test_make_folder(t->folder, sizeof t->folder);
    snprintf(path, sizeof path, "%s/parts", t->folder);
    if (mkdir(path, 0700) != 0) abort();
  }
  if (t->run.par->size > 1) check(ef_bcast(t->run.par, 0, t->folder, sizeof t->folder));
}

void tiny_run_open(tiny_run *t, ef_par *par, const char *const *overrides) {
  size_t count = 0;
  while (overrides && overrides[count]) count++;
  *t = (tiny_run){.alone = ef_par_alone()};
  check(ef_deck_parse("tiny", yaml, overrides, count, &t->deck));
  t->run = (ef_run){.par = par ? par : &t->alone,
                    .deck = &t->deck,
                    .kernels = ef_kernels_find(t->deck.run.backend),
                    .folder = t->folder,
                    .last_checkpoint = ef_clock()};
  check(ef_stop_setup(&t->run.stop, NULL, 0.0));
  make_index(&t->run.tokens);
  make_streams(&t->run);
  make_folder(t);
}

void tiny_run_text(tiny_run *t) {
  ef_tokens *index = &t->run.tokens;
  char path[4200];
  snprintf(path, sizeof path, "%s/tokens.h5", t->folder);
  ef_stream ids = tiny_stream((size_t)index->offset[index->documents], 50);
  for (size_t d = 0; d < index->documents; d++) ids.ids[index->offset[d]] = EF_TOKEN_BOS;
  if (ef_par_root(t->run.par)) check(ef_tokens_write(path, index, ids.ids, "none", 4, "", 1));
  if (t->run.par->size > 1) check(ef_barrier(t->run.par));
  ef_stream_free(&ids);
  ef_tokens_free(index);
  check(ef_tokens_open(path, index));
}

void tiny_run_close(tiny_run *t) {
  bool root = ef_par_root(t->run.par);
  if (t->run.par->size > 1) check(ef_barrier(t->run.par));
  ef_run_close(&t->run);
  ef_deck_free(&t->deck);
  if (root) test_remove_folder(t->folder);
}
