#include "report/run_documents.h"

#include "base/memory.h"
#include <stdio.h>
#include <string.h>

static const char GROUP[] = "/validation";

static ef_status write_nll(ef_h5 *out, const ef_documents *d) {
  double *values = NULL;
  EF_TRY(EF_NEW(values, d->count));
  for (size_t i = 0; i < d->count; i++) values[i] = d->quality[i].nll;
  ef_status status =
      ef_h5_write_vector(out, "/validation/nll", EF_H5_F64, d->count, "document",
                         "negative log-likelihood of the document's scored tokens", "nat", values);
  ef_free(values);
  return status;
}

static ef_status write_counts(ef_h5 *out, const ef_documents *d) {
  int64_t *values = NULL;
  ef_status status = EF_OK;
  EF_GO(EF_NEW(values, d->count));
  for (size_t i = 0; i < d->count; i++) values[i] = (int64_t)d->quality[i].tokens;
  EF_GO(ef_h5_write_vector(out, "/validation/tokens", EF_H5_I64, d->count, "document",
                           "scored tokens: all but the first, BOS", "token", values));
  for (size_t i = 0; i < d->count; i++) values[i] = (int64_t)d->quality[i].hits;
  EF_GO(ef_h5_write_vector(out, "/validation/hits", EF_H5_I64, d->count, "document",
                           "scored tokens that the model held most likely", "token", values));
done:
  ef_free(values);
  return status;
}

/* One name a line, in the order of their numbers, as in the token file. */
static ef_status write_names(ef_h5 *out, char *const *names, size_t count) {
  size_t bytes = 1, at = 0;
  for (size_t i = 0; i < count; i++) bytes += strlen(names[i]) + 1;
  char *text = NULL;
  EF_TRY(EF_NEW(text, bytes));
  for (size_t i = 0; i < count; i++) {
    at += (size_t)snprintf(text + at, bytes - at, "%s%s", i ? "\n" : "", names[i]);
  }
  ef_status status = ef_h5_set_text(out, GROUP, "domains", text);
  ef_free(text);
  return status;
}

ef_status ef_report_write_documents(const ef_report *r, ef_h5 *out) {
  const ef_documents *d = &r->outcome->tuned.documents;
  if (d->count == 0) return EF_OK;
  EF_TRY(write_nll(out, d));
  EF_TRY(write_counts(out, d));
  EF_TRY(ef_h5_write_vector(out, "/validation/document", EF_H5_I64, d->count, "document",
                            "number of the document in the token file", "1", d->number));
  EF_TRY(ef_h5_write_vector(out, "/validation/domain", EF_H5_I64, d->count, "document",
                            "number of the document's domain, a line of the attribute domains, from 0", "1",
                            d->domain));
  EF_TRY(write_names(out, r->run->tokens.domains, r->domains));
  return ef_h5_set_nxdata(out, GROUP, "nll", "document", "validation text by document");
}
