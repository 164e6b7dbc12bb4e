#include "fusion/generated.h"

#include "base/memory.h"
#include "model/generate.h"
#include "text/tokenizer.h"
#include "train/part.h"
#include <string.h>

static const char SECTIONS[] = "text,federation,eval,fusion";
enum { GIVEN = 1 + EF_PROMPT }; /* BOS and prompt */

bool ef_generated_on(const ef_deck *deck) { return strcmp(deck->fusion.transfer, "generated") == 0; }

static size_t samples_of(const ef_deck *deck) {
  size_t drawn = (size_t)deck->federation.context - GIVEN;
  return ((size_t)deck->fusion.generated_tokens + drawn - 1) / drawn;
}

size_t ef_generated_length(const ef_deck *deck) {
  return (size_t)deck->fusion.generated_tokens + samples_of(deck) * GIVEN;
}

static ef_part_key key_of(const ef_clusters *clusters, size_t index) {
  return (ef_part_key){
      .kind = EF_UNIT_GENERATED, .index = clusters->round * clusters->count + index, .sections = SECTIONS};
}

static ef_h5_array array_of(const ef_deck *deck) {
  return (ef_h5_array){.path = "/text/ids",
                       .type = EF_H5_I32,
                       .rank = 1,
                       .shape = {ef_generated_length(deck)},
                       .description = "tokens of the proxy's text, prompts with it",
                       .units = "1",
                       .dims = "token"};
}

/* ---- one proxy ----------------------------------------------------------------------------------------- */

typedef struct context {
  ef_run *run;
  const ef_population *population;
  const ef_clusters *clusters;
} context;

/* Prompts are spread evenly over the windows of the public text of the domain, or of all where it has none.
 */
static void set_prompt(const ef_run *run, size_t domain, size_t sample, int32_t *ids, int32_t *scratch) {
  const ef_stream *own = &run->public_by_domain[domain];
  const ef_stream *text = own->count > EF_PROMPT ? own : &run->public_text;
  size_t windows = ef_stream_windows(text, EF_PROMPT), samples = samples_of(run->deck);
  ids[0] = EF_TOKEN_BOS;
  ef_stream_window(text, EF_PROMPT, sample % samples * windows / samples, ids + 1, scratch);
}

/* Writes samples first .. first+EF_GENERATED_ROWS-1 into ids (EF_GENERATED_ROWS, federation.context). */
static ef_status write_samples(const context *c, size_t index, size_t first, const ef_model *proxy,
                               int32_t *ids) {
  const ef_deck *deck = c->run->deck;
  size_t T = (size_t)deck->federation.context, domain = (size_t)c->clusters->clusters[index].domain;
  ef_part_key key = key_of(c->clusters, index);
  int32_t scratch[EF_PROMPT];
  ef_batch_sampling how = {.temperature = deck->fusion.generated_temperature,
                           .seed = (uint64_t)deck->run.seed,
                           .unit = ef_unit(key.kind, key.index) << 24 | first,
                           .never = EF_TOKEN_BOS};
  for (size_t b = 0; b < EF_GENERATED_ROWS; b++) set_prompt(c->run, domain, first + b, ids + b * T, scratch);
  return ef_generate_batch(proxy, c->run->kernels, &how, EF_GENERATED_ROWS, GIVEN, T, ids);
}

/* The last sample is as short as the number of tokens makes it. */
static ef_status write_text(const context *c, size_t index, const ef_model *proxy, int32_t *text) {
  const ef_deck *deck = c->run->deck;
  size_t T = (size_t)deck->federation.context, rows = samples_of(deck), length = ef_generated_length(deck);
  int32_t *ids = NULL;
  EF_TRY(EF_NEW(ids, EF_GENERATED_ROWS * T));
  ef_status status = EF_OK;
  for (size_t first = 0; status == EF_OK && first < rows; first += EF_GENERATED_ROWS) {
    if (ef_run_told_to_stop(c->run)) status = EF_STOPPED;
    if (status == EF_OK) status = write_samples(c, index, first, proxy, ids);
    size_t at = first * T, left = length - at;
    memcpy(text + at, ids, (left < EF_GENERATED_ROWS * T ? left : EF_GENERATED_ROWS * T) * sizeof *ids);
  }
  ef_free(ids);
  return status;
}

typedef struct content {
  const ef_deck *deck;
  const int32_t *text;
} content;

static ef_status write_part(void *ctx, ef_h5 *file) {
  const content *written = ctx;
  ef_h5_array array = array_of(written->deck);
  return ef_h5_write(file, &array, written->text);
}

static void count(const ef_deck *deck, const ef_dims *dims, ef_effort *effort) {
  size_t T = (size_t)deck->federation.context;
  effort->tokens += (double)ef_generated_length(deck);
  effort->flops += ef_forward_flops_per_token(dims, T) * (double)(samples_of(deck) * T);
}

static ef_status make_one(void *ctx, size_t index, ef_effort *effort) {
  const context *c = ctx;
  ef_run *run = c->run;
  ef_part_key key = key_of(c->clusters, index);
  if (ef_part_exists(run, &key)) return EF_OK;
  ef_model proxy = {0};
  int32_t *text = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_proxy_load(run, c->population, c->clusters, index, &proxy));
  EF_GO(EF_NEW(text, ef_generated_length(run->deck)));
  EF_GO(write_text(c, index, &proxy, text));
  EF_GO(ef_part_write(run, &key, false, &(ef_part_content){&(content){run->deck, text}, write_part}));
  count(run->deck, &proxy.dims, effort);
done:
  ef_model_free(&proxy);
  ef_free(text);
  return status;
}

/* ---- all of them --------------------------------------------------------------------------------------- */

ef_status ef_generated_make(ef_run *run, const ef_population *population, const ef_clusters *clusters) {
  context c = {run, population, clusters};
  double *cost = NULL;
  int *owner = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_agree(run->par, EF_NEW(cost, clusters->count)));
  EF_GO(ef_agree(run->par, EF_NEW(owner, clusters->count)));
  for (size_t i = 0; i < clusters->count; i++)
    cost[i] = ef_train_cost(&population->dims[clusters->clusters[i].entry], 1, 1, 1);
  ef_phase phase = {"generated text", clusters->count, cost, owner, &c, make_one, EF_ON_SERVER};
  EF_GO(ef_phase_run(run, &phase));
done:
  ef_free(cost);
  ef_free(owner);
  return status;
}

ef_status ef_generated_load(const ef_run *run, const ef_clusters *clusters, size_t first, size_t count,
                            ef_stream *text) {
  size_t length = ef_generated_length(run->deck);
  ef_h5_array array = array_of(run->deck);
  *text = (ef_stream){.count = count * length};
  EF_TRY(EF_NEW(text->ids, count * length));
  ef_status status = EF_OK;
  for (size_t i = 0; i < count && status == EF_OK; i++) {
    ef_part_key key = key_of(clusters, first + i);
    ef_h5 *file = NULL;
    status = ef_part_open(run, &key, false, &file);
    if (status == EF_OK) status = ef_h5_read(file, &array, text->ids + i * length);
    ef_h5_close(file);
  }
  if (status != EF_OK) ef_stream_free(text);
  return status;
}
