/* Qualities as JSON: one object {"log_perplexity", "perplexity", "token_accuracy", "bits_per_byte",
 * "tokens"}, null where a number is not known; and a table of them by domain, with "all" as their sum.
 */
#pragma once

#include "train/evaluate.h"
#include <jansson.h>

/* New references; NULL when memory is short. */
json_t *ef_quality_json(const ef_quality *q);
json_t *ef_quality_table_json(const ef_quality *by_domain, char *const *domains, size_t count);
/* A number, or null if it is not finite. */
json_t *ef_number_json(double x);
