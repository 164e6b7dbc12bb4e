/* Tiny models of every family and option, each given as a config.json, with random parameters at which every
 * term matters (an initialised model would hide errors: zero biases, norms of one, flat routers).
 */
#pragma once

#include "model/model.h"

typedef struct test_case {
  const char *name, *config;
} test_case;

extern const test_case test_cases[];
extern const size_t test_case_count;

enum { CASE_B = 2, CASE_T = 9, CASE_V = 37 };

/* The model of a case; asserts on failure. Freed with ef_model_free. */
ef_model case_model(const char *config);

/* Random parameters for any model. */
void case_fill(ef_model *model, unsigned stream);

/* ids (CASE_B,CASE_T) and next-token targets, some of them EF_IGNORE. */
void case_batch(int32_t *ids, int32_t *targets);

/* The case of this name. */
const test_case *case_named(const char *name);
