/* Scores by document of a model whose experts are spread over ranks: the bits of one rank, the sums of a
 * serial evaluation that looks for the start of each document. */
#include "base/memory.h"
#include "step/shard.h"
#include "support/mpi_test.h"
#include "support/support.h"
#include "support/tiny_run.h"
#include "train/spread.h"
#include <math.h>
#include <string.h>

enum { E = 5, T = 8, B = 3, MOST = 200 };

static ef_par par;
static const ef_kernels *k;

static ef_dims dims_of(void) {
  ef_shape shape = {
      .V = TINY_V, .D = 16, .L = 2, .H = 2, .F = 20, .max_positions = 16, .E = E, .K = 2, .Fe = 6, .Fs = 8};
  ef_dims dims;
  cr_assert(mpi_all(ef_dims_make(EF_QWEN2_MOE, &shape, &dims) == EF_OK), "%s", ef_message());
  return dims;
}

/* Text whose documents have lengths of this pattern, over and over: 0 ends it. */
static ef_stream stream_of(const size_t *lengths, size_t count, size_t *documents, size_t *start) {
  ef_stream stream = tiny_stream(count, 8);
  *documents = 0;
  for (size_t i = 0; i < count; i++) {
    if (stream.ids[i] == EF_TOKEN_BOS) stream.ids[i] = 3;
  }
  for (size_t at = 0, i = 0; at < count; at += lengths[i], i = lengths[i + 1] ? i + 1 : 0) {
    stream.ids[at] = EF_TOKEN_BOS;
    start[(*documents)++] = at;
  }
  return stream;
}

static ef_quality spread_over(ef_par *ranks, const ef_dims *dims, const ef_stream *stream,
                              ef_documents *documents) {
  ef_model shard;
  ef_spread spread;
  ef_quality q;
  cr_assert(mpi_all(ef_shard_create(ranks, dims, &shard) == EF_OK), "%s", ef_message());
  ef_model_init(&shard, 3, 0);
  cr_assert(mpi_all(ef_spread_create(ranks, k, &shard, B, T, &spread) == EF_OK), "%s", ef_message());
  cr_assert(mpi_all(ef_spread_documents(&spread, stream, documents, &q) == EF_OK), "%s", ef_message());
  ef_spread_free(&spread);
  ef_model_free(&shard);
  return q;
}

/* Token by token: the loss of each from the logits of its window. */
static void serial(const ef_dims *dims, const ef_stream *stream, ef_quality *by_document) {
  ef_model model;
  ef_pass *pass = NULL;
  bool made = ef_model_create(dims, &model) == EF_OK &&
              ef_pass_create(dims, k, EF_PASS_EVAL, 1, T, false, NULL, &pass) == EF_OK;
  cr_assert(mpi_all(made));
  ef_model_init(&model, 3, 0);
  ef_quality *of = by_document;
  for (size_t w = 0; w < ef_stream_windows(stream, T); w++) {
    int32_t ids[T], targets[T];
    float logits[T * TINY_V];
    ef_stream_window(stream, T, w, ids, targets);
    cr_assert(ef_forward(pass, &model, ids, 1, T) == EF_OK);
    ef_logits(pass, &model, 0, T, logits);
    for (size_t t = 0; t < T && w * T + t + 1 < stream->count; t++) {
      const float *z = logits + t * TINY_V;
      int32_t token = stream->ids[w * T + t + 1];
      if (token == EF_TOKEN_BOS) of++;
      if (token == EF_TOKEN_BOS) continue;
      double sum = 0.0;
      bool hit = true;
      for (int v = 0; v < TINY_V; v++) {
        sum += exp((double)z[v]);
        hit = hit && (z[v] < z[token] || (z[v] == z[token] && v >= token));
      }
      of->nll += log(sum) - (double)z[token];
      of->hits += hit;
      of->tokens++;
    }
  }
  ef_pass_free(pass);
  ef_model_free(&model);
}

static bool same(const ef_quality *a, const ef_quality *b) {
  return a->nll == b->nll && a->tokens == b->tokens && a->hits == b->hits;
}

static void check(const ef_dims *dims, const size_t *lengths, size_t count) {
  size_t start[MOST], documents;
  int64_t domain[MOST] = {0};
  ef_quality here[MOST] = {0}, one[MOST] = {0}, plain[MOST] = {0}, sum = {0};
  ef_stream stream = stream_of(lengths, count, &documents, start);
  ef_documents mine = {.count = documents, .start = start, .domain = domain, .quality = here};
  ef_documents single = {.count = documents, .start = start, .domain = domain, .quality = one};
  ef_par alone = ef_par_alone();
  ef_quality q = spread_over(&par, dims, &stream, &mine);
  ef_quality q_one = spread_over(&alone, dims, &stream, &single);
  serial(dims, &stream, plain);
  bool bits = same(&q, &q_one), near = true;
  for (size_t d = 0; d < documents; d++) {
    bits = bits && same(&here[d], &one[d]);
    near = near && here[d].tokens == plain[d].tokens && here[d].hits == plain[d].hits &&
           fabs(here[d].nll - plain[d].nll) <= 1e-5 * (1.0 + plain[d].nll);
    ef_quality_add(&sum, &here[d]);
  }
  cr_assert(mpi_all(bits), "%zu tokens: other bits than on one rank", count);
  cr_assert(mpi_all(near), "%zu tokens: other scores than token by token", count);
  cr_assert(mpi_all(sum.tokens == q.tokens && sum.hits == q.hits && fabs(sum.nll - q.nll) <= 1e-9 * q.nll),
            "%zu tokens: the documents give %.17g, the text %.17g", count, sum.nll, q.nll);
  ef_stream_free(&stream);
}

static void start_up(void) {
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  k = ef_kernels_find("blas");
}

MPI_TEST(train_documents, have_the_bits_of_one_rank) {
  static const size_t mixed[] = {1, 37, 2, 90, 5, 24, 1, 1, 8, 0}, whole[] = {1000, 0}, least[] = {1, 2, 0};
  start_up();
  size_t blocks = ef_memory_blocks();
  ef_dims dims = dims_of();
  check(&dims, mixed, 333);
  check(&dims, mixed, B * T + 1);
  check(&dims, mixed, B * T + 2);
  check(&dims, mixed, 3);
  check(&dims, whole, 250);
  check(&dims, least, 150);
  cr_assert(mpi_all(ef_memory_blocks() == blocks));
  ef_par_finish(&par);
}

MPI_TEST(train_documents, a_text_needs_the_list_of_its_documents) {
  start_up();
  ef_dims dims = dims_of();
  ef_model shard;
  ef_spread spread;
  ef_quality q;
  ef_documents none = {0};
  ef_stream stream = tiny_stream(50, 8), nothing = tiny_stream(1, 8);
  cr_assert(mpi_all(ef_shard_create(&par, &dims, &shard) == EF_OK));
  cr_assert(mpi_all(ef_spread_create(&par, k, &shard, B, T, &spread) == EF_OK));
  cr_assert(mpi_all(ef_spread_documents(&spread, &stream, &none, &q) == EF_FAULT));
  cr_assert(mpi_all(ef_spread_documents(&spread, &nothing, &none, &q) == EF_OK && q.tokens == 0));
  ef_spread_free(&spread);
  ef_model_free(&shard);
  ef_stream_free(&stream);
  ef_stream_free(&nothing);
  ef_par_finish(&par);
}
