/* Scores by document against sums that look for each token's document from the start. */
#include "base/memory.h"
#include "base/rng.h"
#include "train/documents.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { DOCUMENTS = 23, DOMAINS = 3, LONGEST = 40, MOST = DOCUMENTS * LONGEST };

/* A token index without a file, drawn anew for each seed; domain 1 has no validation text in seed 5. */
typedef struct token_index {
  ef_tokens tokens;
  uint8_t split[DOCUMENTS];
  int64_t offset[DOCUMENTS + 1], bytes[DOCUMENTS];
  int32_t domain[DOCUMENTS];
} token_index;

static void make_index(token_index *x, unsigned seed) {
  ef_rng rng = ef_rng_stream(7, EF_RNG_TEST, seed, 0);
  *x = (token_index){0};
  for (size_t d = 0; d < DOCUMENTS; d++) {
    x->split[d] = ef_rng_below(&rng, 3) > 0 ? EF_VALIDATION : EF_PRIVATE;
    x->domain[d] = (int32_t)ef_rng_below(&rng, DOMAINS);
    if (seed == 5 && x->domain[d] == 1) x->split[d] = EF_PUBLIC;
    x->offset[d + 1] = x->offset[d] + 1 + (int64_t)ef_rng_below(&rng, ef_rng_below(&rng, 2) ? LONGEST : 3);
    x->bytes[d] = 100 + (int64_t)d;
  }
  x->tokens = (ef_tokens){.documents = DOCUMENTS,
                          .split = x->split,
                          .offset = x->offset,
                          .bytes = x->bytes,
                          .domain = x->domain,
                          .domain_count = DOMAINS};
}

/* ---- the list ----------------------------------------------------------------------------------- */

Test(documents, are_those_of_the_split_by_domain) {
  for (unsigned seed = 0; seed < 10; seed++) {
    token_index x;
    ef_documents all;
    size_t blocks = ef_memory_blocks(), count = 0, at = 0;
    make_index(&x, seed);
    cr_assert_eq(ef_documents_make(&x.tokens, EF_VALIDATION, &all), EF_OK);
    for (size_t domain = 0; domain < DOMAINS; domain++) {
      ef_documents own = ef_documents_of(&all, domain);
      size_t found = 0, start = 0;
      for (size_t d = 0; d < DOCUMENTS; d++) {
        if (x.split[d] != EF_VALIDATION || (size_t)x.domain[d] != domain) continue;
        cr_assert(found < own.count && own.number[found] == (int64_t)d && own.start[found] == start);
        cr_assert(all.number[at] == (int64_t)d && all.domain[at] == (int64_t)domain);
        cr_assert(own.quality[found].tokens == 0 && own.quality[found].bytes == x.bytes[d]);
        start += (size_t)(x.offset[d + 1] - x.offset[d]);
        found++, at++;
      }
      cr_assert_eq(own.count, found, "domain %zu of seed %u", domain, seed);
      count += found;
    }
    cr_assert_eq(all.count, count);
    ef_documents_free(&all);
    cr_assert_eq(ef_memory_blocks(), blocks);
  }
}

Test(documents, a_text_without_documents_has_none) {
  ef_tokens none = {.domain_count = 2};
  ef_documents all;
  cr_assert_eq(ef_documents_make(&none, EF_VALIDATION, &all), EF_OK);
  cr_assert(all.count == 0 && ef_documents_of(&all, 1).count == 0);
  ef_documents_free(&all);
}

/* ---- pieces ------------------------------------------------------------------------------------- */

typedef struct text {
  size_t count;
  size_t owner[MOST]; /* document of each token */
  int32_t targets[MOST];
  float losses[MOST];
  uint8_t hits[MOST];
} text;

/* The tokens of one domain: BOS at the start of a document, and some that are not scored. */
static void make_text(const token_index *x, size_t domain, unsigned seed, text *t) {
  ef_rng rng = ef_rng_stream(8, EF_RNG_TEST, seed, 0);
  size_t document = 0;
  t->count = 0;
  for (size_t d = 0; d < DOCUMENTS; d++) {
    if (x->split[d] != EF_VALIDATION || (size_t)x->domain[d] != domain) continue;
    for (int64_t i = x->offset[d]; i < x->offset[d + 1]; i++, t->count++) {
      bool scored = i > x->offset[d] && ef_rng_below(&rng, 9) > 0;
      t->owner[t->count] = document;
      t->targets[t->count] = scored ? 5 : EF_TOKEN_IGNORE;
      t->losses[t->count] = scored ? (float)ef_rng_below(&rng, 1000) / 37.0f : 0.0f;
      t->hits[t->count] = (uint8_t)ef_rng_below(&rng, 2);
    }
    document++;
  }
}

static void add_batch(const text *t, size_t from, size_t to, ef_documents *own) {
  ef_scored_rows rows = {from, to, t->targets + from, t->losses + from, t->hits + from};
  ef_quality pieces[DOCUMENTS + 1];
  size_t first, count = ef_documents_span(own, from, to, &first);
  memset(pieces, 0x55, sizeof pieces);
  cr_assert(first == t->owner[from] && first + count - 1 == t->owner[to - 1]);
  ef_documents_cut(own, &rows, pieces);
  for (size_t i = 0; i < count; i++) ef_quality_add(&own->quality[first + i], &pieces[i]);
}

static void check_sums(const text *t, const ef_documents *own) {
  for (size_t d = 0; d < own->count; d++) {
    double nll = 0.0;
    size_t tokens = 0, hits = 0;
    for (size_t i = 0; i < t->count; i++) {
      if (t->owner[i] != d || t->targets[i] == EF_TOKEN_IGNORE) continue;
      nll += (double)t->losses[i];
      hits += t->hits[i];
      tokens++;
    }
    const ef_quality *q = &own->quality[d];
    cr_assert(q->tokens == tokens && q->hits == hits && fabs(q->nll - nll) <= 1e-12 * nll,
              "document %zu: %zu tokens, %zu hits, %.17g nat; not %zu, %zu, %.17g", d, q->tokens, q->hits,
              q->nll, tokens, hits, nll);
    cr_assert_eq(q->bytes, 100 + own->number[d]);
  }
}

Test(documents, scores_are_those_of_a_search_for_each_token) {
  static text t;
  for (unsigned seed = 0; seed < 20; seed++) {
    token_index x;
    make_index(&x, seed);
    for (size_t batch = 1; batch < 2 * LONGEST; batch += 1 + seed % 5) {
      ef_documents all;
      cr_assert_eq(ef_documents_make(&x.tokens, EF_VALIDATION, &all), EF_OK);
      for (size_t domain = 0; domain < DOMAINS; domain++) {
        ef_documents own = ef_documents_of(&all, domain);
        make_text(&x, domain, seed, &t);
        for (size_t from = 1; from < t.count; from += batch) {
          add_batch(&t, from, from + batch < t.count ? from + batch : t.count, &own);
        }
        check_sums(&t, &own);
      }
      ef_documents_free(&all);
    }
  }
}
