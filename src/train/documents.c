#include "train/documents.h"

#include "base/memory.h"

/* ---- the list ------------------------------------------------------------------------------------------ */

static bool is_member(const ef_tokens *t, ef_split split, size_t domain, size_t document) {
  return t->split[document] == split && (size_t)t->domain[document] == domain;
}

static void list_domain(const ef_tokens *t, ef_split split, size_t domain, ef_documents *d) {
  size_t start = 0;
  for (size_t i = 0; i < t->documents; i++) {
    if (!is_member(t, split, domain, i)) continue;
    d->start[d->count] = start;
    d->number[d->count] = (int64_t)i;
    d->domain[d->count] = (int64_t)domain;
    d->quality[d->count++].bytes = t->bytes[i];
    start += (size_t)(t->offset[i + 1] - t->offset[i]);
  }
}

ef_status ef_documents_make(const ef_tokens *tokens, ef_split split, ef_documents *d) {
  *d = (ef_documents){0};
  size_t count = 0;
  for (size_t i = 0; i < tokens->documents; i++) count += tokens->split[i] == split;
  ef_status status = EF_OK;
  EF_GO(EF_NEW(d->start, count));
  EF_GO(EF_NEW(d->number, count));
  EF_GO(EF_NEW(d->domain, count));
  EF_GO(EF_NEW(d->quality, count));
  for (size_t domain = 0; domain < tokens->domain_count; domain++) list_domain(tokens, split, domain, d);
done:
  if (status != EF_OK) ef_documents_free(d);
  return status;
}

void ef_documents_free(ef_documents *d) {
  ef_free(d->start);
  ef_free(d->number);
  ef_free(d->domain);
  ef_free(d->quality);
  *d = (ef_documents){0};
}

ef_documents ef_documents_of(const ef_documents *all, size_t domain) {
  size_t first = 0, next;
  while (first < all->count && (size_t)all->domain[first] < domain) first++;
  for (next = first; next < all->count && (size_t)all->domain[next] == domain;) next++;
  if (first == next) return (ef_documents){0};
  return (ef_documents){.count = next - first,
                        .start = all->start + first,
                        .number = all->number + first,
                        .domain = all->domain + first,
                        .quality = all->quality + first};
}

/* ---- pieces -------------------------------------------------------------------------------------------- */

/* The last document that starts at or before a token. */
static size_t holder(const ef_documents *d, size_t token) {
  size_t low = 0, high = d->count;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (d->start[middle] <= token)
      low = middle;
    else
      high = middle;
  }
  return low;
}

size_t ef_documents_span(const ef_documents *d, size_t from, size_t to, size_t *first) {
  *first = holder(d, from);
  return holder(d, to - 1) - *first + 1;
}

void ef_documents_cut(const ef_documents *d, const ef_scored_rows *rows, ef_quality *pieces) {
  size_t first, count = ef_documents_span(d, rows->from, rows->to, &first), at = 0;
  for (size_t i = 0; i < count; i++) pieces[i] = (ef_quality){0};
  for (size_t token = rows->from; token < rows->to; token++) {
    size_t row = token - rows->from;
    while (at + 1 < count && d->start[first + at + 1] <= token) at++;
    if (rows->targets[row] == EF_TOKEN_IGNORE) continue;
    ef_quality_add(&pieces[at], &(ef_quality){(double)rows->losses[row], 1, rows->hits[row], 0});
  }
}
