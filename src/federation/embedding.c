#include "federation/embedding.h"

#include "base/memory.h"
#include "base/rng.h"
#include "store/safetensors.h"
#include <math.h>
#include <string.h>

enum { BUCKET_BITS = 14, BUCKETS = 1 << BUCKET_BITS, SHORTEST = 3, LONGEST = 5, PASSES = 4 };
static const double SHIFT = 1e-6;

struct ef_encoder {
  const ef_tokenizer *tokenizer; /* borrowed */
  float *idf;                    /* (BUCKETS) */
  double *mean;                  /* (BUCKETS) of the unit vectors of the public documents */
  double *matrix;                /* (BUCKETS, EF_EMBEDDING), orthonormal columns */
  uint32_t *count;               /* (BUCKETS) of the document at hand; zero between documents */
  uint16_t *touched;             /* (BUCKETS) buckets of the document at hand */
  double *value;                 /* (BUCKETS) its unit vector, beside `touched` */
  size_t touched_count;
};

/* ---- n-grams ------------------------------------------------------------------------------------------ */

/* Lower case, runs of white space as one space, in place; returns the new number of bytes. */
static size_t fold(char *text, size_t bytes) {
  size_t n = 0;
  for (size_t i = 0; i < bytes; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == ' ' || (c >= '\t' && c <= '\r')) {
      if (n > 0 && text[n - 1] == ' ') continue;
      c = ' ';
    }
    text[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : (char)c;
  }
  return n;
}

/* FNV-1a of the bytes, spread by a multiplication whose upper bits are the bucket. */
static size_t bucket_of(uint64_t hash) {
  return (size_t)((hash * 0x9E3779B97F4A7C15u) >> (64 - BUCKET_BITS));
}

static void count_ngrams(ef_encoder *e, const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t n = 1; n <= LONGEST && i + n <= bytes; n++) {
      hash = (hash ^ (unsigned char)text[i + n - 1]) * 0x100000001B3u;
      if (n < SHORTEST) continue;
      size_t bucket = bucket_of(hash);
      if (e->count[bucket]++ == 0) e->touched[e->touched_count++] = (uint16_t)bucket;
    }
  }
}

/* Counts the n-grams of a document of the token file, in place of the one before. */
static ef_status count_document(ef_encoder *e, const ef_tokens *tokens, size_t document) {
  size_t n = (size_t)(tokens->offset[document + 1] - tokens->offset[document]), bytes;
  int32_t *ids = NULL;
  char *text = NULL;
  ef_status status;
  for (size_t i = 0; i < e->touched_count; i++) e->count[e->touched[i]] = 0;
  e->touched_count = 0;
  EF_GO(EF_NEW(ids, n));
  EF_GO(ef_tokens_read(tokens, document, ids));
  EF_GO(ef_tokenizer_decode(e->tokenizer, ids, n, &text, &bytes));
  count_ngrams(e, text, fold(text, bytes));
done:
  ef_free(ids);
  ef_free(text);
  return status;
}

/* The unit vector of a document: touched, value. */
static ef_status load_document(ef_encoder *e, const ef_tokens *tokens, size_t document) {
  EF_TRY(count_document(e, tokens, document));
  double square = 0;
  for (size_t i = 0; i < e->touched_count; i++) {
    size_t b = e->touched[i];
    e->value[i] = (double)e->count[b] * (double)e->idf[b];
    square += e->value[i] * e->value[i];
  }
  double scale = square > 0 ? 1 / sqrt(square) : 0;
  for (size_t i = 0; i < e->touched_count; i++) e->value[i] *= scale;
  return EF_OK;
}

/* ---- the encoder -------------------------------------------------------------------------------------- */

static ef_status find_idf(ef_encoder *e, const ef_tokens *tokens, size_t *documents) {
  size_t n = 0;
  for (size_t d = 0; d < tokens->documents; d++) {
    if (tokens->split[d] != EF_PUBLIC) continue;
    EF_TRY(count_document(e, tokens, d));
    for (size_t i = 0; i < e->touched_count; i++) e->idf[e->touched[i]] += 1;
    n++;
  }
  for (size_t b = 0; b < BUCKETS; b++) e->idf[b] = (float)log((double)(n + 1) / ((double)e->idf[b] + 1));
  *documents = n;
  return EF_CHECK(n > 0, EF_INPUT, "no public document for the data embedding; raise text.public_share");
}

static ef_status find_mean(ef_encoder *e, const ef_tokens *tokens, size_t documents) {
  for (size_t d = 0; d < tokens->documents; d++) {
    if (tokens->split[d] != EF_PUBLIC) continue;
    EF_TRY(load_document(e, tokens, d));
    for (size_t i = 0; i < e->touched_count; i++) e->mean[e->touched[i]] += e->value[i] / (double)documents;
  }
  return EF_OK;
}

static void draw_matrix(ef_encoder *e, uint64_t seed) {
  for (size_t b = 0; b < BUCKETS; b++) {
    ef_rng rng = ef_rng_stream(seed, EF_RNG_PROJECTION, b, 0);
    for (size_t k = 0; k < EF_EMBEDDING; k++) e->matrix[b * EF_EMBEDDING + k] = ef_rng_normal(&rng);
  }
}

static double column_dot(const double *matrix, size_t j, size_t k) {
  double sum = 0;
  for (size_t b = 0; b < BUCKETS; b++) sum += matrix[b * EF_EMBEDDING + j] * matrix[b * EF_EMBEDDING + k];
  return sum;
}

/* Modified Gram-Schmidt over the columns. */
static void orthonormalise(double *matrix) {
  for (size_t k = 0; k < EF_EMBEDDING; k++) {
    for (size_t j = 0; j < k; j++) {
      double part = column_dot(matrix, j, k);
      for (size_t b = 0; b < BUCKETS; b++)
        matrix[b * EF_EMBEDDING + k] -= part * matrix[b * EF_EMBEDDING + j];
    }
    double scale = 1 / sqrt(column_dot(matrix, k, k));
    for (size_t b = 0; b < BUCKETS; b++) matrix[b * EF_EMBEDDING + k] *= scale;
  }
}

/* y = Q^T (x - mean) of the document at hand; offset = Q^T mean. */
static void project_document(const ef_encoder *e, const double *offset, double *y) {
  for (size_t k = 0; k < EF_EMBEDDING; k++) y[k] = -offset[k];
  for (size_t i = 0; i < e->touched_count; i++) {
    const double *row = e->matrix + (size_t)e->touched[i] * EF_EMBEDDING;
    for (size_t k = 0; k < EF_EMBEDDING; k++) y[k] += e->value[i] * row[k];
  }
}

/* next (BUCKETS, EF_EMBEDDING) += C Q, C the covariance of the public documents. The means of x - mean
 * vanish, so the sum over documents of x y^T is enough. */
static ef_status multiply(ef_encoder *e, const ef_tokens *tokens, size_t documents, double *next) {
  double offset[EF_EMBEDDING] = {0}, y[EF_EMBEDDING];
  for (size_t b = 0; b < BUCKETS; b++) {
    for (size_t k = 0; k < EF_EMBEDDING; k++) offset[k] += e->mean[b] * e->matrix[b * EF_EMBEDDING + k];
  }
  for (size_t d = 0; d < tokens->documents; d++) {
    if (tokens->split[d] != EF_PUBLIC) continue;
    EF_TRY(load_document(e, tokens, d));
    project_document(e, offset, y);
    for (size_t i = 0; i < e->touched_count; i++) {
      double *row = next + (size_t)e->touched[i] * EF_EMBEDDING, x = e->value[i] / (double)documents;
      for (size_t k = 0; k < EF_EMBEDDING; k++) row[k] += x * y[k];
    }
  }
  return EF_OK;
}

/* Turns the random matrix towards the directions in which public documents differ most, by subspace iteration
 * (Halko, Martinsson, Tropp, SIAM Review 53, 2011, algorithm 4.4). The shift keeps the rank when there are
 * few documents; it changes no direction. */
static ef_status turn_matrix(ef_encoder *e, const ef_tokens *tokens, size_t documents) {
  double *next;
  orthonormalise(e->matrix);
  for (int pass = 0; pass < PASSES; pass++) {
    EF_TRY(EF_NEW(next, BUCKETS * EF_EMBEDDING));
    for (size_t i = 0; i < BUCKETS * EF_EMBEDDING; i++) next[i] = SHIFT * e->matrix[i];
    ef_status status = multiply(e, tokens, documents, next);
    ef_free(e->matrix);
    e->matrix = next;
    EF_TRY(status);
    orthonormalise(e->matrix);
  }
  return EF_OK;
}

static ef_status build(ef_encoder *e, const ef_tokens *tokens, uint64_t seed) {
  size_t documents;
  EF_TRY(EF_NEW(e->idf, BUCKETS));
  EF_TRY(EF_NEW(e->mean, BUCKETS));
  EF_TRY(EF_NEW(e->matrix, BUCKETS * EF_EMBEDDING));
  EF_TRY(EF_NEW(e->count, BUCKETS));
  EF_TRY(EF_NEW(e->touched, BUCKETS));
  EF_TRY(EF_NEW(e->value, BUCKETS));
  EF_TRY(find_idf(e, tokens, &documents));
  EF_TRY(find_mean(e, tokens, documents));
  draw_matrix(e, seed);
  return turn_matrix(e, tokens, documents);
}

ef_status ef_encoder_create(const ef_tokens *tokens, const ef_tokenizer *tokenizer, uint64_t seed,
                            ef_encoder **encoder) {
  ef_encoder *e;
  *encoder = NULL;
  EF_TRY(EF_NEW(e, 1));
  e->tokenizer = tokenizer;
  ef_status status = build(e, tokens, seed);
  if (status == EF_OK) {
    *encoder = e;
  } else {
    ef_encoder_free(e);
  }
  return status;
}

void ef_encoder_free(ef_encoder *encoder) {
  if (!encoder) return;
  ef_free(encoder->idf);
  ef_free(encoder->mean);
  ef_free(encoder->matrix);
  ef_free(encoder->count);
  ef_free(encoder->touched);
  ef_free(encoder->value);
  ef_free(encoder);
}

/* ---- devices ------------------------------------------------------------------------------------------ */

/* Projects the vector (BUCKETS) less the public mean and rounds its direction. */
static void project(const ef_encoder *encoder, const double *vector, uint16_t *e) {
  double out[EF_EMBEDDING] = {0}, square = 0;
  for (size_t b = 0; b < BUCKETS; b++) {
    double x = vector[b] - encoder->mean[b];
    for (size_t k = 0; k < EF_EMBEDDING; k++) out[k] += x * encoder->matrix[b * EF_EMBEDDING + k];
  }
  for (size_t k = 0; k < EF_EMBEDDING; k++) square += out[k] * out[k];
  double scale = square > 0 ? 1 / sqrt(square) : 0;
  for (size_t k = 0; k < EF_EMBEDDING; k++) e[k] = ef_f16_from_f32((float)(scale * out[k]));
}

ef_status ef_encode_documents(ef_encoder *encoder, const ef_tokens *tokens, const size_t *documents,
                              size_t count, uint16_t *e) {
  double *sum;
  ef_status status = EF_OK;
  memset(e, 0, EF_EMBEDDING * sizeof *e);
  if (count == 0) return EF_OK;
  EF_TRY(EF_NEW(sum, BUCKETS));
  for (size_t i = 0; i < count && status == EF_OK; i++) {
    status = load_document(encoder, tokens, documents[i]);
    for (size_t j = 0; status == EF_OK && j < encoder->touched_count; j++) {
      sum[encoder->touched[j]] += encoder->value[j] / (double)count;
    }
  }
  if (status == EF_OK) project(encoder, sum, e);
  ef_free(sum);
  return status;
}
