#include "report/quality_json.h"

#include "train/measure.h"
#include <math.h>

json_t *ef_number_json(double x) { return isfinite(x) ? json_real(x) : json_null(); }

json_t *ef_quality_json(const ef_quality *q) {
  double nll = ef_log_perplexity(q);
  return json_pack("{s:o, s:o, s:o, s:o, s:I}", "log_perplexity", ef_number_json(nll), "perplexity",
                   ef_number_json(exp(nll)), "token_accuracy", ef_number_json(ef_token_accuracy(q)),
                   "bits_per_byte", ef_number_json(ef_bits_per_byte(q)), "tokens", (json_int_t)q->tokens);
}

json_t *ef_quality_table_json(const ef_quality *by_domain, char *const *domains, size_t count) {
  json_t *table = json_object();
  for (size_t d = 0; d < count; d++) json_object_set_new(table, domains[d], ef_quality_json(&by_domain[d]));
  ef_quality all = ef_quality_total(by_domain, count);
  json_object_set_new(table, "all", ef_quality_json(&all));
  return table;
}
