#include "federation/partition.h"

#include "base/memory.h"
#include "base/rng.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { MOST = 20000, SUBDOMAINS = 12, DOMAINS = 3 };

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

/* An index in memory: subdomain s belongs to domain s % 3; a fifth of the documents is not private. */
static uint8_t split[MOST];
static int32_t domain[MOST], subdomain[MOST];
static int64_t offset[MOST + 1], bytes[MOST];

static ef_tokens index_of(size_t n) {
  ef_rng rng = ef_rng_stream(11, EF_RNG_TEST, n, 0);
  for (size_t d = 0; d < n; d++) {
    subdomain[d] = (int32_t)ef_rng_below(&rng, SUBDOMAINS);
    domain[d] = subdomain[d] % DOMAINS;
    split[d] = (uint8_t)(ef_rng_below(&rng, 5) == 0 ? EF_PUBLIC : EF_PRIVATE);
    offset[d + 1] = offset[d] + 10 + (int64_t)ef_rng_below(&rng, 90) * (1 + domain[d]);
  }
  return (ef_tokens){.documents = n,
                     .split = split,
                     .offset = offset,
                     .bytes = bytes,
                     .domain = domain,
                     .subdomain = subdomain,
                     .domain_count = DOMAINS,
                     .subdomain_count = SUBDOMAINS};
}

static ef_partition_settings settings_of(bool dirichlet, size_t devices) {
  return (ef_partition_settings){
      .dirichlet = dirichlet, .alpha = 0.5, .sigma = 0.7, .devices = devices, .seed = 21};
}

static size_t size_of(const ef_partition *p, size_t device) {
  return p->first[device + 1] - p->first[device];
}

/* Each private document `wanted` times in all, ascending within a device, no other document. */
static void check_whole(const ef_tokens *t, const ef_partition *p, size_t devices) {
  static unsigned char seen[MOST];
  memset(seen, 0, sizeof seen);
  cr_assert_eq(p->devices, devices);
  cr_assert_eq(p->first[0], 0);
  for (size_t i = 0; i < devices; i++) {
    cr_assert_leq(p->first[i], p->first[i + 1]);
    for (size_t k = p->first[i]; k < p->first[i + 1]; k++) {
      size_t d = p->documents[k];
      cr_assert_lt(d, t->documents);
      cr_assert(k == p->first[i] || p->documents[k - 1] < d);
      cr_assert_eq(t->split[d], EF_PRIVATE);
      cr_assert_eq(seen[d]++, 0, "document %zu is given twice", d);
      if (p->domain[i] >= 0) cr_assert_eq(t->domain[d], p->domain[i]);
    }
  }
  for (size_t d = 0; d < t->documents; d++) cr_assert_eq(seen[d], t->split[d] == EF_PRIVATE);
}

Test(partition, every_private_document_goes_to_exactly_one_device) {
  static const size_t devices[] = {1, 2, 3, 7, 64, 3000};
  static const size_t documents[] = {5, 40, 1000, MOST};
  for (size_t m = 0; m < sizeof documents / sizeof documents[0]; m++) {
    ef_tokens t = index_of(documents[m]);
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
      for (int dirichlet = 0; dirichlet < 2; dirichlet++) {
        ef_partition_settings s = settings_of(dirichlet, devices[i]);
        ef_partition p;
        if (dirichlet && devices[i] < DOMAINS) continue;
        cr_ok(ef_partition_make(&t, &s, &p));
        check_whole(&t, &p, devices[i]);
        for (size_t k = 0; k < p.devices; k++) cr_assert_eq(p.domain[k] >= 0, dirichlet);
        ef_partition_free(&p);
      }
    }
  }
  cr_assert_eq(ef_memory_blocks(), 0);
}

static bool equal(const ef_partition *a, const ef_partition *b) {
  size_t n = a->first[a->devices];
  return n == b->first[b->devices] && memcmp(a->first, b->first, (a->devices + 1) * sizeof *a->first) == 0 &&
         memcmp(a->documents, b->documents, n * sizeof *a->documents) == 0 &&
         memcmp(a->domain, b->domain, a->devices * sizeof *a->domain) == 0;
}

Test(partition, it_is_a_function_of_the_seed) {
  ef_tokens t = index_of(2000);
  for (int dirichlet = 0; dirichlet < 2; dirichlet++) {
    ef_partition_settings s = settings_of(dirichlet, 16), other = s;
    ef_partition a, b, c;
    other.seed++;
    cr_ok(ef_partition_make(&t, &s, &a));
    cr_ok(ef_partition_make(&t, &s, &b));
    cr_ok(ef_partition_make(&t, &other, &c));
    cr_assert(equal(&a, &b));
    cr_assert_not(equal(&a, &c));
    ef_partition_free(&a);
    ef_partition_free(&b);
    ef_partition_free(&c);
  }
}

/* Mean over the devices of the entropy of their subdomains, in nats. */
static double mean_entropy(const ef_tokens *t, const ef_partition *p) {
  double sum = 0;
  for (size_t i = 0; i < p->devices; i++) {
    double count[SUBDOMAINS] = {0}, n = (double)size_of(p, i);
    for (size_t k = p->first[i]; k < p->first[i + 1]; k++) count[t->subdomain[p->documents[k]]]++;
    for (size_t s = 0; s < SUBDOMAINS; s++) {
      if (count[s] > 0) sum -= count[s] / n * log(count[s] / n);
    }
  }
  return sum / (double)p->devices;
}

Test(partition, a_small_alpha_concentrates_and_a_large_one_mixes) {
  ef_tokens t = index_of(MOST);
  double entropy[4];
  static const double alpha[] = {1e-3, 0.1, 1, 1e6};
  for (int i = 0; i < 4; i++) {
    ef_partition_settings s = settings_of(true, 60);
    ef_partition p;
    s.alpha = alpha[i];
    s.sigma = 0.1;
    cr_ok(ef_partition_make(&t, &s, &p));
    entropy[i] = mean_entropy(&t, &p);
    ef_partition_free(&p);
  }
  for (int i = 0; i < 3; i++)
    cr_assert_lt(entropy[i], entropy[i + 1] - 0.05, "%g: %g, %g", alpha[i], entropy[i], entropy[i + 1]);
  cr_assert_lt(entropy[0], 0.5 * entropy[3]);
  cr_assert_float_eq(entropy[3], log(SUBDOMAINS / DOMAINS), 0.05,
                     "uniform over the four subdomains of a domain");
}

Test(partition, the_first_draws_follow_a_dirichlet) {
  /* Few small devices and many documents: nothing runs out, so shares are those of the mixture. For
   * Dirichlet(a) over k parts the expected sum of squared shares is (a + 1) / (k a + 1). */
  ef_tokens t = index_of(MOST);
  double squares = 0;
  size_t n = 0;
  for (uint64_t seed = 0; seed < 12; seed++) {
    ef_partition_settings s = settings_of(true, 300);
    ef_partition p;
    s.alpha = 1;
    s.sigma = 0;
    s.seed = seed;
    cr_ok(ef_partition_make(&t, &s, &p));
    for (size_t i = 0; i < p.devices; i++, n++) {
      double count[SUBDOMAINS] = {0}, m = (double)size_of(&p, i), square = 0;
      for (size_t k = p.first[i]; k < p.first[i + 1]; k++) count[t.subdomain[p.documents[k]]]++;
      for (size_t k = 0; k < SUBDOMAINS; k++) square += count[k] * (count[k] - 1) / (m * (m - 1));
      squares += square;
    }
    ef_partition_free(&p);
  }
  cr_assert_float_eq(squares / (double)n, 2.0 / 5.0, 0.04, "%g", squares / (double)n);
}

Test(partition, sizes_are_log_normal) {
  ef_tokens t = index_of(MOST);
  ef_partition_settings s = settings_of(false, 200);
  ef_partition p;
  double sum = 0, square = 0;
  cr_ok(ef_partition_make(&t, &s, &p));
  for (size_t i = 0; i < p.devices; i++) {
    double x = log((double)size_of(&p, i));
    sum += x;
    square += x * x;
  }
  sum /= 200;
  double deviation = sqrt(square / 200 - sum * sum);
  cr_assert_float_eq(deviation, 0.7, 0.1, "%g", deviation);
  ef_partition_free(&p);
  s.sigma = 0;
  cr_ok(ef_partition_make(&t, &s, &p));
  for (size_t i = 0; i < p.devices; i++) cr_assert_leq(size_of(&p, i) - p.first[200] / 200, 1);
  ef_partition_free(&p);
}

Test(partition, devices_are_dealt_in_proportion_to_tokens) {
  ef_tokens t = index_of(MOST);
  ef_partition_settings s = settings_of(true, 1000);
  ef_partition p;
  double tokens[DOMAINS] = {0}, all = 0;
  size_t devices[DOMAINS] = {0};
  cr_ok(ef_partition_make(&t, &s, &p));
  for (size_t d = 0; d < MOST; d++) {
    if (split[d] == EF_PRIVATE) tokens[domain[d]] += (double)(offset[d + 1] - offset[d]);
  }
  for (size_t k = 0; k < DOMAINS; k++) all += tokens[k];
  for (size_t i = 0; i < 1000; i++) devices[p.domain[i]]++;
  for (size_t k = 0; k < DOMAINS; k++) cr_assert_float_eq((double)devices[k], 1000 * tokens[k] / all, 2);
  ef_partition_free(&p);
}

Test(partition, small_domains_get_a_device_each) {
  ef_tokens t = index_of(1000);
  ef_partition_settings s = settings_of(true, 3);
  ef_partition p;
  for (size_t d = 0; d < 1000; d++) {
    if (domain[d] != 0 && d > 30) domain[d] = subdomain[d] = 0;
  }
  cr_ok(ef_partition_make(&t, &s, &p));
  cr_assert_eq(p.domain[0] + p.domain[1] + p.domain[2], 3);
  cr_assert(p.domain[0] != p.domain[1] && p.domain[1] != p.domain[2] && p.domain[0] != p.domain[2]);
  check_whole(&t, &p, 3);
  ef_partition_free(&p);
  s.devices = 1;
  cr_ok(ef_partition_make(&t, &s, &p));
  cr_assert_eq(p.domain[0], 0, "the domain with the most tokens");
  ef_partition_free(&p);
}

Test(partition, devices_without_documents_are_allowed) {
  ef_tokens t = index_of(20);
  size_t private = 0;
  for (size_t d = 0; d < 20; d++) private += split[d] == EF_PRIVATE;
  for (int dirichlet = 0; dirichlet < 2; dirichlet++) {
    ef_partition_settings s = settings_of(dirichlet, 100);
    ef_partition p;
    size_t empty = 0;
    cr_ok(ef_partition_make(&t, &s, &p));
    check_whole(&t, &p, 100);
    for (size_t i = 0; i < 100; i++) empty += size_of(&p, i) == 0;
    cr_assert_geq(empty, 100 - private);
    ef_partition_free(&p);
  }
}

Test(partition, no_private_document_is_an_error) {
  ef_tokens t = index_of(10);
  ef_partition_settings s = settings_of(true, 4);
  ef_partition p;
  for (size_t d = 0; d < 10; d++) split[d] = EF_PUBLIC;
  cr_assert_eq(ef_partition_make(&t, &s, &p), EF_INPUT);
  cr_assert(strstr(ef_message(), "no private document"));
  cr_assert_eq(ef_memory_blocks(), 0);
}
