#include "support/sample.h"

#include "base/memory.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const char yaml[] = "text: {files: [corpus.jsonl]}\n"
                           "federation:\n"
                           "  devices: 3\n"
                           "  context: 8\n"
                           "  batch: 2\n"
                           "  steps: 10\n"
                           "  pretrain_steps: 4\n"
                           "  fail: [2]\n"
                           "  families: [{family: llama, width: 8, layers: 1, heads: 2, ffn: 16},\n"
                           "             {family: gpt2, width: 8, layers: 1, heads: 2, ffn: 16}]\n"
                           "fusion: {clusters: 2, steps: 3, batch: 2, stages: 1, patch: 4, vaa_heads: 2}\n"
                           "global: {width: 8, layers: 1, heads: 2, experts: 2, top_k: 1, expert_width: 4,\n"
                           "         shared_width: 4, context: 8, pretrain_steps: 4}\n"
                           "tune: {steps: 5, batch: 4, micro_batch: 2}\n";

/* ---- text --------------------------------------------------------------------------------------- */

enum { DOCUMENTS = 8 };
static uint8_t split[DOCUMENTS] = {EF_PUBLIC,  EF_PUBLIC,  EF_PRIVATE,    EF_PRIVATE,
                                   EF_PRIVATE, EF_PRIVATE, EF_VALIDATION, EF_VALIDATION};
static int64_t offset[DOCUMENTS + 1] = {0, 10, 30, 60, 100, 150, 210, 280, 360};
static int32_t domain[DOCUMENTS] = {0, 1, 0, 1, 0, 1, 0, 1};
static char *domains[] = {"med", "fin"};
static int64_t bytes[DOCUMENTS];

static void make_text(ef_tokens *t) {
  *t = (ef_tokens){.documents = DOCUMENTS,
                   .split = split,
                   .offset = offset,
                   .bytes = bytes,
                   .domain = domain,
                   .subdomain = domain,
                   .domain_count = 2,
                   .subdomain_count = 2,
                   .domains = domains,
                   .subdomains = domains,
                   .vocabulary = SAMPLE_VOCABULARY,
                   .duplicates = 5,
                   .hash = "0123456789abcdef"};
}

/* ---- outcome ------------------------------------------------------------------------------------ */

/* Pooled: 3.0, 2.9 and 2.8 of proxies and bases do not matter; (2.0, 3.0) tuned; (2.5, 3.25) public only. */
static ef_quality of_devices[3][2] = {{{250, 100, 40, 300}, {1200, 300, 30, 600}},
                                      {{300, 100, 30, 300}, {990, 300, 50, 600}},
                                      {{0, 0, 0, 0}, {0, 0, 0, 0}}};
static ef_quality of_proxies[2][2] = {{{300, 100, 20, 300}, {900, 300, 60, 600}},
                                      {{300, 100, 20, 300}, {900, 300, 60, 600}}};
static ef_quality of_bases[2][2] = {{{290, 100, 20, 300}, {870, 300, 60, 600}},
                                    {{290, 100, 20, 300}, {870, 300, 60, 600}}};
static double of_views[4] = {0.25, 0.5, 1.0, 1.0}; /* of one stage: CKA before, after, mass before, after */
static ef_quality before[2] = {{280, 100, 25, 300}, {840, 300, 65, 600}};
static ef_quality after[2] = {{200, 100, 50, 300}, {900, 300, 60, 600}};
static ef_documents of_documents = {2, (size_t[]){0, 0}, (int64_t[]){6, 7}, (int64_t[]){0, 1}, after};
static ef_quality control_before[2] = {{400, 100, 25, 300}, {1200, 300, 65, 600}};
static ef_quality control_after[2] = {{250, 100, 50, 300}, {975, 300, 60, 0}}; /* not all of fin was scored */

static size_t members[2][1] = {{0}, {1}};
static float whole_weight[1] = {1.0f};
static size_t load[2] = {7, 9};
static int32_t entries[3] = {0, 1, 0};
static bool fails[3] = {false, false, true};
static int owners[3];
static ef_device_record records[3];
static ef_cluster clusters[2];
static ef_base bases[2];

static void make_devices(sample *s) {
  ef_outcome *o = &s->outcome;
  ef_population drawn = {0};
  cr_assert_eq(ef_population_make(&s->run, &drawn), EF_OK, "%s", ef_message());
  o->population =
      (ef_population){.devices = 3, .entries = 2, .dims = drawn.dims, .entry = entries, .fails = fails};
  drawn.dims = NULL; /* kept */
  ef_population_free(&drawn);
  records[0] = (ef_device_record){EF_DEVICE_OK, 10, 8, 90, 3.1, 1000, {0}, 3.0};
  records[1] = (ef_device_record){EF_DEVICE_OK, 6, 6, 90, 3.2, 2000, {0}, NAN};
  records[2] = (ef_device_record){.state = EF_DEVICE_FAILED};
  o->devices = (ef_devices){3, owners, records, &of_devices[0][0], 0};
  cr_assert_eq(ef_ledger_create(3, &o->ledger), EF_OK);
  for (size_t n = 0; n < 2; n++) {
    uint64_t weights = ef_dims_params(&o->population.dims[entries[n]]) * 4;
    ef_ledger_count(&o->ledger, n, EF_UP, EF_MSG_WEIGHTS, weights);
    ef_ledger_count(&o->ledger, n, EF_UP, EF_MSG_EMBEDDING, 32);
    o->formula[EF_UP] += weights + 32;
  }
}

static void make_fusion(sample *s) {
  ef_outcome *o = &s->outcome;
  o->peak_bytes = 64e6;
  clusters[0] =
      (ef_cluster){0, 1, members[0], 1, false, 0, 3.1, 3.05, of_proxies[0], NULL, NULL, whole_weight};
  clusters[1] = (ef_cluster){1, 1, members[1], 0, true, 1, 3.2, 3.2, of_proxies[1], NULL, NULL, whole_weight};
  o->clusters = (ef_clusters){2, clusters, 1.0, NAN, 0};
  bases[0] = (ef_base){true, 3, 3, 3.5, 3.05, 3.0, of_bases[0], of_views};
  bases[1] = (ef_base){false, 2, 1, 3.1, 3.2, (double)INFINITY, of_bases[1], NULL};
  o->bases = (ef_bases){.count = 2, .bases = bases};
  cr_assert_eq(ef_global_dims(&s->run, &o->bases.global, &o->bases.dims), EF_OK, "%s", ef_message());
  o->global = o->bases.global;
  o->tuned = (ef_tuned){5, 4, 2.8, 2.75, before, after, load, of_documents};
  o->public_only = (ef_tuned){11, 9, 4.0, 3.1, control_before, control_after, load, {0}};
  cr_assert_eq(ef_deepfusion_stages(&s->run, o), EF_OK);
}

void sample_make(sample *s, const char *const *overrides) {
  size_t count = 0;
  while (overrides && overrides[count]) count++;
  *s = (sample){.par = ef_par_alone()};
  cr_assert_eq(ef_deck_parse("deck.yaml", yaml, overrides, count, &s->deck), EF_OK, "%s", ef_message());
  test_make_folder(s->folder, sizeof s->folder);
  s->run =
      (ef_run){.par = &s->par, .deck = &s->deck, .folder = s->folder, .kernels = ef_kernels_find("blas")};
  make_text(&s->run.tokens);
  make_devices(s);
  make_fusion(s);
}

void sample_free(sample *s) {
  ef_free(s->outcome.population.dims);
  ef_ledger_free(&s->outcome.ledger);
  for (size_t i = 0; i < s->outcome.stage_count; i++) ef_free(s->outcome.stages[i].by_domain);
  ef_free(s->outcome.stages);
  ef_deck_free(&s->deck);
  test_remove_folder(s->folder);
}
