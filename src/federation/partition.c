#include "federation/partition.h"

#include "base/memory.h"
#include "base/rng.h"
#include <math.h>
#include <stdlib.h>

/* What the random numbers of the partition are drawn for: the step of their stream. */
enum { STEP_ORDER, STEP_SIZE, STEP_MIXTURE, STEP_DEAL, STEP_DRAW };

enum { NOBODY = -1 };

/* The work: private documents in pools, and who gets each. */
typedef struct ef_deal {
  const ef_tokens *tokens;
  const ef_partition_settings *settings;
  ef_partition *out;
  size_t count, *documents; /* private documents */
  int64_t *owner;           /* (documents of the file) device, or NOBODY */
} ef_deal;

static ef_rng stream_of(const ef_deal *deal, size_t unit, uint32_t step) {
  return ef_rng_stream(deal->settings->seed, EF_RNG_PARTITION, unit, step);
}

static void shuffle(size_t *items, size_t count, ef_rng *rng) {
  for (size_t i = count; i > 1; i--) {
    size_t j = (size_t)ef_rng_below(rng, i), keep = items[i - 1];
    items[i - 1] = items[j];
    items[j] = keep;
  }
}

/* ---- sharing out -------------------------------------------------------------------------------------- */

typedef struct ef_remainder {
  double part;
  size_t index;
} ef_remainder;

static int larger_first(const void *a, const void *b) {
  const ef_remainder *x = a, *y = b;
  if (x->part != y->part) return x->part > y->part ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

/* Shares `total` things in proportion to the weights (n of them, >= 0), by largest remainders; one each first
 * where there are enough. shares (n). */
static ef_status apportion(const double *weight, size_t n, size_t total, size_t *shares) {
  ef_remainder *rest;
  double sum = 0;
  size_t base = total >= n ? 1 : 0, left = total - base * n, given = 0;
  if (n == 0) return EF_OK;
  EF_TRY(EF_NEW(rest, n));
  for (size_t i = 0; i < n; i++) sum += weight[i];
  for (size_t i = 0; i < n; i++) {
    double exact = (double)left * (sum > 0 ? weight[i] / sum : 1.0 / (double)n);
    size_t whole = (size_t)exact;
    if (whole > left - given) whole = left - given;
    given += whole;
    shares[i] = base + whole;
    rest[i] = (ef_remainder){exact - (double)whole, i};
  }
  qsort(rest, n, sizeof *rest, larger_first);
  for (size_t i = 0; given < left; i = (i + 1) % n, given++) shares[rest[i].index]++;
  ef_free(rest);
  return EF_OK;
}

/* Log-normal shares of `total` documents for the devices listed. */
static ef_status draw_sizes(const ef_deal *deal, const size_t *devices, size_t n, size_t total,
                            size_t *sizes) {
  double *weight;
  EF_TRY(EF_NEW(weight, n));
  for (size_t i = 0; i < n; i++) {
    ef_rng rng = stream_of(deal, devices[i], STEP_SIZE);
    weight[i] = exp(deal->settings->sigma * ef_rng_normal(&rng));
  }
  ef_status status = apportion(weight, n, total, sizes);
  ef_free(weight);
  return status;
}

/* ---- paper: uniform documents ------------------------------------------------------------------------- */

static ef_status deal_uniformly(ef_deal *deal) {
  size_t n = deal->settings->devices, *sizes = NULL, *devices = NULL, at = 0;
  ef_status status;
  EF_GO(EF_NEW(sizes, n));
  EF_GO(EF_NEW(devices, n));
  for (size_t i = 0; i < n; i++) devices[i] = i;
  EF_GO(draw_sizes(deal, devices, n, deal->count, sizes));
  ef_rng rng = stream_of(deal, 0, STEP_ORDER);
  shuffle(deal->documents, deal->count, &rng);
  for (size_t i = 0; i < n; i++) {
    deal->out->domain[i] = -1;
    for (size_t k = 0; k < sizes[i]; k++) deal->owner[deal->documents[at++]] = (int64_t)i;
  }
done:
  ef_free(sizes);
  ef_free(devices);
  return status;
}

/* ---- dirichlet: one domain a device, a mixture of its subdomains -------------------------------------- */

/* The documents of one domain by subdomain, in random order; the last `left` of a pool are not yet given. */
typedef struct ef_pools {
  size_t count;                     /* subdomains of the file */
  size_t *first, *left, *documents; /* (count + 1), (count); documents by subdomain */
  size_t total;
} ef_pools;

static void free_pools(ef_pools *pools) {
  ef_free(pools->first);
  ef_free(pools->left);
  ef_free(pools->documents);
}

static bool in_domain(const ef_deal *deal, size_t i, size_t domain) {
  return (size_t)deal->tokens->domain[deal->documents[i]] == domain;
}

static ef_status fill_pools(const ef_deal *deal, size_t domain, ef_pools *pools) {
  const ef_tokens *t = deal->tokens;
  *pools = (ef_pools){.count = t->subdomain_count};
  EF_TRY(EF_NEW(pools->first, pools->count + 1));
  EF_TRY(EF_NEW(pools->left, pools->count));
  EF_TRY(EF_NEW(pools->documents, deal->count));
  for (size_t i = 0; i < deal->count; i++) {
    if (in_domain(deal, i, domain)) pools->first[t->subdomain[deal->documents[i]] + 1]++;
  }
  for (size_t s = 0; s < pools->count; s++) pools->first[s + 1] += pools->first[s];
  for (size_t i = 0; i < deal->count; i++) {
    size_t d = deal->documents[i], s = (size_t)t->subdomain[d];
    if (in_domain(deal, i, domain)) pools->documents[pools->first[s] + pools->left[s]++] = d;
  }
  pools->total = pools->first[pools->count];
  for (size_t s = 0; s < pools->count; s++) {
    ef_rng rng = stream_of(deal, domain * pools->count + s, STEP_ORDER);
    shuffle(pools->documents + pools->first[s], pools->left[s], &rng);
  }
  return EF_OK;
}

/* Dirichlet(alpha) over the subdomains that have documents; zero for the others. mixture (count). */
static void draw_mixture(const ef_deal *deal, const ef_pools *pools, size_t device, double *mixture) {
  ef_rng rng = stream_of(deal, device, STEP_MIXTURE);
  double sum = 0;
  size_t used = 0;
  for (size_t s = 0; s < pools->count; s++) {
    mixture[s] = pools->left[s] > 0 ? ef_rng_gamma(&rng, deal->settings->alpha) : 0;
    used += pools->left[s] > 0;
    sum += mixture[s];
  }
  if (sum > 0) {
    for (size_t s = 0; s < pools->count; s++) mixture[s] /= sum;
    return;
  }
  /* A very small alpha underflows: the limit of the distribution is one subdomain alone. */
  size_t chosen = (size_t)ef_rng_below(&rng, used);
  for (size_t s = 0; s < pools->count; s++) mixture[s] = pools->left[s] > 0 && chosen-- == 0 ? 1 : 0;
}

/* A subdomain drawn from the mixture among those with documents left; when the device wants none of these,
 * one in proportion to what is left. */
static size_t draw_subdomain(const ef_pools *pools, const double *mixture, ef_rng *rng) {
  double wanted = 0, all = 0;
  for (size_t s = 0; s < pools->count; s++) {
    if (pools->left[s] > 0) wanted += mixture[s];
    all += (double)pools->left[s];
  }
  double at = ef_rng_uniform(rng) * (wanted > 0 ? wanted : all);
  size_t last = 0;
  for (size_t s = 0; s < pools->count; s++) {
    double part = wanted > 0 ? mixture[s] : (double)pools->left[s];
    if (pools->left[s] == 0 || part <= 0) continue;
    last = s;
    at -= part;
    if (at < 0) break;
  }
  return last;
}

/* A device while its documents are drawn. */
typedef struct ef_drawer {
  size_t device, left; /* documents that it still gets */
  double *mixture;     /* (subdomains) */
  ef_rng rng;
} ef_drawer;

/* The devices draw in turn, one document each time, until each has its number. */
static void draw_documents(ef_deal *deal, ef_pools *pools, ef_drawer *drawers, size_t n) {
  for (size_t given = 0; given < pools->total;) {
    for (size_t i = 0; i < n; i++) {
      ef_drawer *drawer = &drawers[i];
      if (drawer->left == 0) continue;
      size_t s = draw_subdomain(pools, drawer->mixture, &drawer->rng);
      deal->owner[pools->documents[pools->first[s] + --pools->left[s]]] = (int64_t)drawer->device;
      drawer->left--;
      given++;
    }
  }
}

static ef_status deal_domain(ef_deal *deal, size_t domain, const size_t *devices, size_t n) {
  ef_pools pools = {0};
  ef_drawer *drawers = NULL;
  double *mixtures = NULL;
  size_t *sizes = NULL;
  ef_status status;
  EF_GO(fill_pools(deal, domain, &pools));
  EF_GO(EF_NEW(sizes, n));
  EF_GO(EF_NEW(drawers, n));
  EF_GO(EF_NEW(mixtures, n * pools.count));
  EF_GO(draw_sizes(deal, devices, n, pools.total, sizes));
  for (size_t i = 0; i < n; i++) {
    double *mixture = mixtures + i * pools.count;
    draw_mixture(deal, &pools, devices[i], mixture);
    drawers[i] = (ef_drawer){devices[i], sizes[i], mixture, stream_of(deal, devices[i], STEP_DRAW)};
  }
  draw_documents(deal, &pools, drawers, n);
done:
  free_pools(&pools);
  ef_free(sizes);
  ef_free(drawers);
  ef_free(mixtures);
  return status;
}

/* Number of devices of each domain, in proportion to its private tokens. Domains without any get none; with
 * fewer devices than domains those with the most tokens get one each. */
static ef_status count_devices(const ef_deal *deal, size_t *devices) {
  const ef_tokens *t = deal->tokens;
  double *weight = NULL;
  size_t *index = NULL, *shares = NULL, n = 0;
  ef_status status;
  EF_GO(EF_NEW(weight, t->domain_count));
  EF_GO(EF_NEW(index, t->domain_count));
  EF_GO(EF_NEW(shares, t->domain_count));
  for (size_t i = 0; i < deal->count; i++) {
    size_t d = deal->documents[i];
    weight[t->domain[d]] += (double)(t->offset[d + 1] - t->offset[d]);
  }
  for (size_t k = 0; k < t->domain_count; k++) {
    if (weight[k] <= 0) continue;
    index[n] = k;
    weight[n++] = weight[k];
  }
  EF_GO(apportion(weight, n, deal->settings->devices, shares));
  for (size_t i = 0; i < n; i++) devices[index[i]] = shares[i];
done:
  ef_free(weight);
  ef_free(index);
  ef_free(shares);
  return status;
}

static ef_status deal_domains(ef_deal *deal) {
  size_t *numbers = NULL, *devices = NULL, at = 0;
  ef_status status;
  EF_GO(EF_NEW(numbers, deal->tokens->domain_count));
  EF_GO(EF_NEW(devices, deal->settings->devices));
  EF_GO(count_devices(deal, numbers));
  for (size_t i = 0; i < deal->settings->devices; i++) devices[i] = i;
  ef_rng rng = stream_of(deal, 0, STEP_DEAL);
  shuffle(devices, deal->settings->devices, &rng);
  for (size_t k = 0; k < deal->tokens->domain_count; k++) {
    for (size_t i = 0; i < numbers[k]; i++) deal->out->domain[devices[at + i]] = (int32_t)k;
    if (numbers[k] > 0) EF_GO(deal_domain(deal, k, devices + at, numbers[k]));
    at += numbers[k];
  }
done:
  ef_free(numbers);
  ef_free(devices);
  return status;
}

/* ---- the result --------------------------------------------------------------------------------------- */

/* Documents by device from their owners: counts, first places, and one pass in ascending order. */
static void collect(ef_deal *deal) {
  ef_partition *p = deal->out;
  const ef_tokens *t = deal->tokens;
  for (size_t d = 0; d < t->documents; d++) {
    if (deal->owner[d] != NOBODY) p->first[deal->owner[d] + 1]++;
  }
  for (size_t i = 0; i < p->devices; i++) p->first[i + 1] += p->first[i];
  for (size_t d = 0; d < t->documents; d++) {
    if (deal->owner[d] != NOBODY) p->documents[p->first[deal->owner[d]]++] = d;
  }
  for (size_t i = p->devices; i > 0; i--) p->first[i] = p->first[i - 1];
  p->first[0] = 0;
}

static ef_status find_private(ef_deal *deal) {
  const ef_tokens *t = deal->tokens;
  EF_TRY(EF_NEW(deal->documents, t->documents));
  EF_TRY(EF_NEW(deal->owner, t->documents));
  for (size_t d = 0; d < t->documents; d++) {
    deal->owner[d] = NOBODY;
    if (t->split[d] == EF_PRIVATE) deal->documents[deal->count++] = d;
  }
  return EF_CHECK(deal->count > 0, EF_INPUT, "no private document for the devices; lower text.public_share");
}

static ef_status make(ef_deal *deal) {
  ef_partition *p = deal->out;
  EF_TRY(find_private(deal));
  EF_TRY(EF_NEW(p->first, p->devices + 1));
  EF_TRY(EF_NEW(p->documents, deal->count));
  EF_TRY(EF_NEW(p->domain, p->devices));
  EF_TRY(deal->settings->dirichlet ? deal_domains(deal) : deal_uniformly(deal));
  collect(deal);
  return EF_OK;
}

ef_status ef_partition_make(const ef_tokens *tokens, const ef_partition_settings *settings,
                            ef_partition *partition) {
  *partition = (ef_partition){.devices = settings->devices};
  ef_deal deal = {.tokens = tokens, .settings = settings, .out = partition};
  ef_status status = make(&deal);
  ef_free(deal.documents);
  ef_free(deal.owner);
  if (status != EF_OK) ef_partition_free(partition);
  return status;
}

void ef_partition_free(ef_partition *partition) {
  ef_free(partition->first);
  ef_free(partition->documents);
  ef_free(partition->domain);
  *partition = (ef_partition){0};
}
