#include "federation/embedding.h"

#include "base/memory.h"
#include "base/rng.h"
#include "federation/partition.h"
#include "kernels/kernels.h"
#include "store/safetensors.h"
#include "support/support.h"
#include "text/prepare.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)EF_TOKEN_IGNORE == (int)EF_IGNORE, "text/ and kernels/ agree on what is not counted");

enum { PATH_SIZE = 4096, MOST = 64 };

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

/* A token file of two corpora, its tokenizer and encoder. */
typedef struct setup {
  char folder[256];
  ef_tokens tokens;
  ef_tokenizer *tokenizer;
  ef_encoder *encoder;
} setup;

static void open_setup(setup *s, const char *a, const char *b, double share, size_t vocabulary) {
  char path[PATH_SIZE];
  const char *const files[] = {a, b};
  ef_prepare prepare = {.files = files,
                        .file_count = 2,
                        .vocabulary = vocabulary,
                        .public_share = share,
                        .validation_share = 0,
                        .seed = 3,
                        .deck = ""};
  void *model;
  size_t bytes;
  test_make_folder(s->folder, sizeof s->folder);
  snprintf(path, sizeof path, "%s/t.h5", s->folder);
  cr_ok(ef_prepare_run(&prepare, path));
  cr_ok(ef_tokens_open(path, &s->tokens));
  cr_ok(ef_tokens_tokenizer(&s->tokens, &model, &bytes));
  cr_ok(ef_tokenizer_load(model, bytes, &s->tokenizer));
  ef_free(model);
  cr_ok(ef_encoder_create(&s->tokens, s->tokenizer, 5, &s->encoder));
}

static void close_setup(setup *s) {
  ef_encoder_free(s->encoder);
  ef_tokenizer_free(s->tokenizer);
  ef_tokens_free(&s->tokens);
  test_remove_folder(s->folder);
}

static void open_shipped(setup *s) {
  const char *source = getenv("EDGEFUSE_SOURCE");
  char a[PATH_SIZE], b[PATH_SIZE];
  snprintf(a, sizeof a, "%s/inputs/corpus/gardening.jsonl", source ? source : ".");
  snprintf(b, sizeof b, "%s/inputs/corpus/seafaring.jsonl", source ? source : ".");
  open_setup(s, a, b, 0.3, 400);
}

static double dot(const double *a, const double *b) {
  double sum = 0;
  for (size_t k = 0; k < EF_EMBEDDING; k++) sum += a[k] * b[k];
  return sum;
}

/* Takes the mean of all from each and scales to unit length. */
static void centre(double e[][EF_EMBEDDING], size_t n) {
  double mean[EF_EMBEDDING] = {0};
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < EF_EMBEDDING; k++) mean[k] += e[i][k] / (double)n;
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < EF_EMBEDDING; k++) e[i][k] -= mean[k];
    double scale = 1 / sqrt(dot(e[i], e[i]));
    for (size_t k = 0; k < EF_EMBEDDING; k++) e[i][k] *= scale;
  }
}

/* Two-means on the sphere from the two points farthest apart; returns the share in the majority domain of its
 * cluster. */
static double purity(double e[][EF_EMBEDDING], const int *domain, size_t n) {
  double seeds[2][EF_EMBEDDING], least = 2;
  size_t chosen[MOST];
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < i; j++) {
      if (dot(e[i], e[j]) >= least) continue;
      least = dot(e[i], e[j]);
      memcpy(seeds[0], e[i], sizeof seeds[0]);
      memcpy(seeds[1], e[j], sizeof seeds[1]);
    }
  }
  for (int round = 0; round < 30; round++) {
    double sums[2][EF_EMBEDDING] = {{0}};
    for (size_t i = 0; i < n; i++) {
      chosen[i] = dot(e[i], seeds[1]) > dot(e[i], seeds[0]);
      for (size_t k = 0; k < EF_EMBEDDING; k++) sums[chosen[i]][k] += e[i][k];
    }
    for (int c = 0; c < 2; c++) {
      double length = sqrt(dot(sums[c], sums[c]));
      for (size_t k = 0; k < EF_EMBEDDING; k++) seeds[c][k] = length > 0 ? sums[c][k] / length : seeds[c][k];
    }
  }
  size_t count[2][2] = {{0}};
  for (size_t i = 0; i < n; i++) count[chosen[i]][domain[i]]++;
  size_t a = count[0][0] > count[0][1] ? count[0][0] : count[0][1];
  size_t b = count[1][0] > count[1][1] ? count[1][0] : count[1][1];
  return (double)(a + b) / (double)n;
}

static void embed(const setup *s, const size_t *documents, size_t count, double *e) {
  uint16_t bits[EF_EMBEDDING];
  cr_ok(ef_encode_documents(s->encoder, &s->tokens, documents, count, bits));
  for (size_t k = 0; k < EF_EMBEDDING; k++) e[k] = (double)ef_f16_to_f32(bits[k]);
}

/* Purity of the devices of one partition. */
static double purity_of_devices(const setup *s, double alpha, size_t devices, uint64_t seed) {
  ef_partition_settings settings = {
      .dirichlet = true, .alpha = alpha, .sigma = 0.7, .devices = devices, .seed = seed};
  ef_partition p;
  double e[MOST][EF_EMBEDDING];
  int domain[MOST];
  size_t n = 0;
  cr_ok(ef_partition_make(&s->tokens, &settings, &p));
  for (size_t i = 0; i < devices; i++) {
    if (p.first[i + 1] == p.first[i]) continue;
    embed(s, p.documents + p.first[i], p.first[i + 1] - p.first[i], e[n]);
    domain[n++] = p.domain[i];
  }
  ef_partition_free(&p);
  centre(e, n);
  return purity(e, domain, n);
}

/* Purity of random halves of each domain, `pairs` pairs a domain. */
static double purity_of_halves(const setup *s, size_t pairs, uint64_t seed) {
  double e[MOST][EF_EMBEDDING];
  int domain[MOST];
  size_t *halves[2], count[2], n = 0;
  for (int h = 0; h < 2; h++) halves[h] = ef_alloc(s->tokens.documents, sizeof(size_t));
  for (size_t pair = 0; pair < 2 * pairs; pair++) {
    ef_rng rng = ef_rng_stream(seed, EF_RNG_TEST, pair, 0);
    count[0] = count[1] = 0;
    for (size_t d = 0; d < s->tokens.documents; d++) {
      if (s->tokens.split[d] != EF_PRIVATE || s->tokens.domain[d] != (int32_t)(pair % 2)) continue;
      size_t h = (size_t)ef_rng_below(&rng, 2);
      halves[h][count[h]++] = d;
    }
    for (int h = 0; h < 2; h++) {
      embed(s, halves[h], count[h], e[n]);
      domain[n++] = (int)(pair % 2);
    }
  }
  for (int h = 0; h < 2; h++) ef_free(halves[h]);
  centre(e, n);
  return purity(e, domain, n);
}

Test(embedding, it_is_of_unit_length_and_follows_from_seed_and_text) {
  setup s;
  open_shipped(&s);
  size_t documents[] = {1, 5, 9}, other[] = {2, 40};
  uint16_t a[EF_EMBEDDING], b[EF_EMBEDDING];
  double e[EF_EMBEDDING];
  embed(&s, documents, 3, e);
  cr_assert_float_eq(dot(e, e), 1, 2e-3);
  cr_ok(ef_encode_documents(s.encoder, &s.tokens, documents, 3, a));
  cr_ok(ef_encode_documents(s.encoder, &s.tokens, other, 2, b));
  cr_assert(memcmp(a, b, sizeof a) != 0);
  cr_ok(ef_encode_documents(s.encoder, &s.tokens, documents, 3, b));
  cr_assert(memcmp(a, b, sizeof a) == 0, "nothing is left over from other documents");
  ef_encoder_free(s.encoder);
  cr_ok(ef_encoder_create(&s.tokens, s.tokenizer, 5, &s.encoder));
  cr_ok(ef_encode_documents(s.encoder, &s.tokens, documents, 3, b));
  cr_assert(memcmp(a, b, sizeof a) == 0);
  ef_encoder_free(s.encoder);
  cr_ok(ef_encoder_create(&s.tokens, s.tokenizer, 6, &s.encoder));
  cr_ok(ef_encode_documents(s.encoder, &s.tokens, documents, 3, b));
  cr_assert(memcmp(a, b, sizeof a) != 0);
  close_setup(&s);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(embedding, no_document_gives_zeros) {
  setup s;
  open_shipped(&s);
  uint16_t e[EF_EMBEDDING];
  memset(e, 0xFF, sizeof e);
  cr_ok(ef_encode_documents(s.encoder, &s.tokens, NULL, 0, e));
  for (size_t k = 0; k < EF_EMBEDDING; k++) cr_assert_eq(e[k], 0);
  close_setup(&s);
}

Test(embedding, the_domains_of_the_shipped_corpus_separate) {
  setup s;
  open_shipped(&s);
  for (uint64_t seed = 0; seed < 5; seed++) {
    cr_assert_eq(purity_of_halves(&s, 4, seed), 1.0);
    double p = purity_of_devices(&s, 0.5, 8, seed);
    cr_assert_eq(p, 1.0, "seed %d: purity %g", (int)seed, p);
  }
  close_setup(&s);
}

Test(embedding, medicine_and_finance_separate) {
  char a[PATH_SIZE], b[PATH_SIZE];
  if (!test_data_path(a, sizeof a, "medical.valid.jsonl") ||
      !test_data_path(b, sizeof b, "finance.valid.jsonl")) {
    cr_skip_test("no real text here");
  }
  setup s;
  open_setup(&s, a, b, 0.2, 1000);
  for (uint64_t seed = 0; seed < 3; seed++) {
    cr_assert_eq(purity_of_halves(&s, 4, seed), 1.0);
    for (size_t devices = 8; devices <= 32; devices *= 2) {
      double p = purity_of_devices(&s, 0.3, devices, seed);
      /* 32 devices hold six documents each: one of them may look like the other domain */
      cr_assert_geq(p, devices < 32 ? 1.0 : 0.96, "seed %d, %zu devices: purity %g", (int)seed, devices, p);
    }
  }
  close_setup(&s);
}
