#include "federation/population.h"

#include "base/memory.h"
#include "base/rng.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static ef_status make_dims(const ef_run *run, ef_population *p) {
  const ef_deck *deck = run->deck;
  for (size_t i = 0; i < p->entries; i++) {
    const ef_family_entry *e = &deck->federation.families[i];
    ef_shape shape = {.V = run->tokens.vocabulary,
                      .D = (size_t)e->width,
                      .L = (size_t)e->layers,
                      .H = (size_t)e->heads,
                      .G = (size_t)(e->kv_heads ? e->kv_heads : e->heads),
                      .F = (size_t)e->ffn,
                      .max_positions = (size_t)deck->federation.context};
    if (shape.max_positions < (size_t)deck->global.context)
      shape.max_positions = (size_t)deck->global.context;
    ef_family family;
    EF_TRY(EF_CHECK(ef_family_find(e->family, &family), EF_DECK, "federation.families.%zu: unknown family %s",
                    i, e->family));
    if (ef_dims_make(family, &shape, &p->dims[i]) != EF_OK)
      return ef_context(EF_DECK, "federation.families.%zu", i);
    p->dims[i].embed_std = (float)e->embedding_std;
  }
  return EF_OK;
}

/* Each device draws its entry with the weights of the deck. */
static ef_status draw_entries(const ef_run *run, ef_population *p) {
  const ef_family_entry *families = run->deck->federation.families;
  double all = 0.0;
  for (size_t i = 0; i < p->entries; i++) all += families[i].share;
  EF_TRY(EF_CHECK(all > 0.0, EF_DECK, "federation.families: every share is 0"));
  for (size_t n = 0; n < p->devices; n++) {
    ef_rng rng = ef_rng_stream((uint64_t)run->deck->run.seed, EF_RNG_FAMILY, n, 0);
    double u = ef_rng_uniform(&rng) * all;
    size_t entry = 0;
    while (entry + 1 < p->entries && u >= families[entry].share) u -= families[entry++].share;
    p->entry[n] = (int32_t)entry;
  }
  return EF_OK;
}

static ef_status draw_failures(const ef_run *run, ef_population *p) {
  const ef_deck *deck = run->deck;
  for (size_t i = 0; i < deck->federation.fail.count; i++) {
    const char *text = deck->federation.fail.items[i];
    char *end = NULL;
    unsigned long device = strtoul(text, &end, 10);
    EF_TRY(EF_CHECK(end != text && *end == '\0' && device < p->devices, EF_DECK,
                    "federation.fail: %s is no device; devices are 0 to %zu", text, p->devices - 1));
    p->fails[device] = true;
  }
  for (size_t n = 0; n < p->devices; n++) {
    ef_rng rng = ef_rng_stream((uint64_t)deck->run.seed, EF_RNG_DROPOUT, n, 0);
    if (ef_rng_uniform(&rng) < deck->federation.fail_probability) p->fails[n] = true;
  }
  return EF_OK;
}

/* What the fusion needs is known before any training: a device for each cluster, a cluster for each family.
 */
static ef_status check_uploads(const ef_run *run, const ef_population *p) {
  size_t clusters = (size_t)run->deck->fusion.clusters, uploads = 0, families = 0;
  for (size_t e = 0; e < p->entries; e++) {
    size_t present = 0;
    for (size_t n = 0; n < p->devices; n++) present += (size_t)p->entry[n] == e && !p->fails[n];
    uploads += present;
    families += present > 0;
  }
  EF_TRY(
      EF_CHECK(uploads > 0, EF_DECK,
               "all %zu devices fail (federation.fail, federation.fail_probability): name fewer of them, or "
               "lower the probability, until at least fusion.clusters = %zu are left",
               p->devices, clusters));
  EF_TRY(EF_CHECK(
      uploads >= clusters, EF_DECK,
      "%zu of %zu devices can upload, fewer than fusion.clusters = %zu: lower it, or use more devices",
      uploads, p->devices, clusters));
  return EF_CHECK(
      families <= clusters, EF_DECK,
      "fusion.clusters is %zu, but devices of %zu families take part and a cluster holds one family: "
      "set it to at least %zu",
      clusters, families, families);
}

ef_status ef_population_make(const ef_run *run, ef_population *p) {
  const ef_deck *deck = run->deck;
  *p = (ef_population){.devices = (size_t)deck->federation.devices, .entries = deck->federation.family_count};
  ef_partition_settings settings = {.dirichlet = strcmp(deck->federation.partition, "dirichlet") == 0,
                                    .alpha = deck->federation.alpha,
                                    .sigma = deck->federation.sigma,
                                    .devices = p->devices,
                                    .seed = (uint64_t)deck->run.seed};
  ef_status status = EF_OK;
  EF_GO(EF_NEW(p->dims, p->entries));
  EF_GO(EF_NEW(p->entry, p->devices));
  EF_GO(EF_NEW(p->fails, p->devices));
  EF_GO(make_dims(run, p));
  EF_GO(draw_entries(run, p));
  EF_GO(draw_failures(run, p));
  EF_GO(check_uploads(run, p));
  EF_GO(ef_partition_make(&run->tokens, &settings, &p->partition));
done:
  if (status != EF_OK) ef_population_free(p);
  return status;
}

void ef_population_free(ef_population *p) {
  ef_free(p->dims);
  ef_free(p->entry);
  ef_free(p->fails);
  ef_partition_free(&p->partition);
  *p = (ef_population){0};
}
