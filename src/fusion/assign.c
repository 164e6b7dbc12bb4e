#include "fusion/proxy.h"

#include "base/memory.h"
#include "fusion/cluster.h"
#include "fusion/proxy_weights.h"
#include "store/safetensors.h"
#include <math.h>
#include <string.h>

/* Devices of one family entry that uploaded, with their embeddings. */
typedef struct group {
  size_t count;
  size_t *devices;     /* (count) ascending */
  float *points;       /* (count, EF_EMBEDDING) */
  int32_t *assignment; /* (count) */
  float *centres;      /* (quota, EF_EMBEDDING) */
} group;

static void decode(const uint16_t *bits, float *e) {
  for (size_t i = 0; i < EF_EMBEDDING; i++) e[i] = ef_f16_to_f32(bits[i]);
}

static ef_status gather_group(const ef_population *population, const ef_devices *devices, size_t entry,
                              group *g) {
  EF_TRY(EF_NEW(g->devices, devices->count));
  EF_TRY(EF_NEW(g->points, devices->count * EF_EMBEDDING));
  EF_TRY(EF_NEW(g->assignment, devices->count));
  for (size_t n = 0; n < devices->count; n++) {
    if ((size_t)population->entry[n] != entry || devices->records[n].state != EF_DEVICE_OK) continue;
    decode(devices->records[n].embedding, g->points + g->count * EF_EMBEDDING);
    g->devices[g->count++] = n;
  }
  return EF_OK;
}

static void free_group(group *g) {
  ef_free(g->devices);
  ef_free(g->points);
  ef_free(g->assignment);
  ef_free(g->centres);
  *g = (group){0};
}

/* Subtracts the mean over n points from the points and from m further ones. */
static void centre_points(float *points, size_t n, float *others, size_t m) {
  for (size_t c = 0; c < EF_EMBEDDING; c++) {
    double mean = 0.0;
    for (size_t i = 0; i < n; i++) mean += (double)points[i * EF_EMBEDDING + c] / (double)n;
    for (size_t i = 0; i < n; i++) points[i * EF_EMBEDDING + c] -= (float)mean;
    for (size_t i = 0; i < m; i++) others[i * EF_EMBEDDING + c] -= (float)mean;
  }
}

/* Embeddings of the public text of each domain: what a cluster's domain is told by. */
static ef_status embed_domains(ef_run *run, float *points) {
  const ef_tokens *t = &run->tokens;
  ef_encoder *encoder = NULL;
  size_t *documents = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_encoder_create(t, run->tokenizer, (uint64_t)run->deck->run.seed, &encoder));
  EF_GO(EF_NEW(documents, t->documents));
  for (size_t d = 0; d < t->domain_count; d++) {
    size_t n = 0;
    for (size_t i = 0; i < t->documents; i++) {
      if (t->split[i] == EF_PUBLIC && (size_t)t->domain[i] == d) documents[n++] = i;
    }
    uint16_t e[EF_EMBEDDING];
    EF_GO(ef_encode_documents(encoder, t, documents, n, e));
    decode(e, points + d * EF_EMBEDDING);
  }
done:
  ef_encoder_free(encoder);
  ef_free(documents);
  return status;
}

static double cosine(const float *a, const float *b) {
  double ab = 0.0, aa = 0.0, bb = 0.0;
  for (size_t i = 0; i < EF_EMBEDDING; i++) {
    ab += (double)a[i] * (double)b[i];
    aa += (double)a[i] * (double)a[i];
    bb += (double)b[i] * (double)b[i];
  }
  return aa > 0.0 && bb > 0.0 ? ab / sqrt(aa * bb) : 0.0;
}

static int nearest_domain(const float *centre, const float *domains, size_t count) {
  size_t best = 0;
  for (size_t d = 1; d < count; d++) {
    if (cosine(centre, domains + d * EF_EMBEDDING) > cosine(centre, domains + best * EF_EMBEDDING)) best = d;
  }
  return (int)best;
}

/* What the members' records say: their mean loss, the best of them, what each counts in the mean. */
static void judge_members(const ef_run *run, const ef_devices *devices, ef_cluster *c) {
  bool equal = strcmp(run->deck->fusion.proxy_weights, "equal") == 0;
  c->best = c->devices[0];
  c->member_loss = 0.0;
  for (size_t m = 0; m < c->members; m++) {
    const ef_device_record *record = &devices->records[c->devices[m]];
    if (record->holdout_loss < devices->records[c->best].holdout_loss) c->best = c->devices[m];
    c->member_loss += record->holdout_loss;
    c->losses[m] = record->local_loss;
    c->holdout_losses[m] = record->holdout_loss;
  }
  c->member_loss /= (double)c->members;
  ef_proxy_weights(c->members, c->losses, equal ? 0.0 : run->deck->fusion.proxy_sharpness, c->weights);
}

/* One cluster of a group: its members, what they say, the domain it is nearest to. */
static ef_status make_cluster(const ef_run *run, const ef_devices *devices, const group *g, size_t entry,
                              int32_t index, const float *domains, ef_cluster *c) {
  *c = (ef_cluster){.entry = entry, .loss = NAN};
  EF_TRY(EF_NEW(c->devices, g->count));
  EF_TRY(EF_NEW(c->losses, g->count));
  EF_TRY(EF_NEW(c->holdout_losses, g->count));
  EF_TRY(EF_NEW(c->weights, g->count));
  EF_TRY(EF_NEW(c->validation, run->tokens.domain_count));
  float centre[EF_EMBEDDING] = {0};
  for (size_t i = 0; i < g->count; i++) {
    if (g->assignment[i] != index) continue;
    for (size_t k = 0; k < EF_EMBEDDING; k++) centre[k] += g->points[i * EF_EMBEDDING + k];
    c->devices[c->members++] = g->devices[i];
  }
  judge_members(run, devices, c);
  c->domain = nearest_domain(centre, domains, run->tokens.domain_count);
  return EF_OK;
}

/* All points of the run, centred by their common mean if the deck says so, and the domains with them. */
static void centre_groups(const ef_run *run, group *groups, size_t entries, float *domains, float *scratch) {
  size_t n = 0;
  if (!run->deck->fusion.centre) return;
  for (size_t e = 0; e < entries; e++) {
    memcpy(scratch + n * EF_EMBEDDING, groups[e].points, groups[e].count * EF_EMBEDDING * sizeof(float));
    n += groups[e].count;
  }
  if (n < 2) return;
  centre_points(scratch, n, domains, run->tokens.domain_count);
  for (size_t e = 0, at = 0; e < entries; at += groups[e++].count) {
    memcpy(groups[e].points, scratch + at * EF_EMBEDDING, groups[e].count * EF_EMBEDDING * sizeof(float));
  }
}

static ef_status cluster_groups(ef_run *run, const ef_devices *devices, group *groups, size_t entries,
                                const size_t *quota, const float *domains, ef_clusters *clusters) {
  const ef_deck *deck = run->deck;
  for (size_t e = 0; e < entries; e++) {
    group *g = &groups[e];
    if (quota[e] == 0) continue;
    EF_TRY(ef_spherical_kmeans(g->count, EF_EMBEDDING, g->points, quota[e], (size_t)deck->fusion.restarts,
                               false, (uint64_t)deck->run.seed, e, g->assignment, NULL));
    for (size_t k = 0; k < quota[e]; k++) {
      ef_cluster *c = &clusters->clusters[clusters->count++];
      EF_TRY(make_cluster(run, devices, g, e, (int32_t)k, domains, c));
    }
  }
  return EF_OK;
}

/* Clusters against the devices' own domains: known to the simulation only, for the report. */
static ef_status score(const ef_population *population, ef_clusters *clusters, size_t devices) {
  int32_t *assignment = NULL;
  EF_TRY(EF_NEW(assignment, 2 * devices));
  int32_t *label = assignment + devices;
  for (size_t n = 0; n < devices; n++) label[n] = -1;
  for (size_t i = 0; i < clusters->count; i++) {
    const ef_cluster *c = &clusters->clusters[i];
    for (size_t m = 0; m < c->members; m++) {
      assignment[c->devices[m]] = (int32_t)i;
      label[c->devices[m]] = population->partition.domain[c->devices[m]];
    }
  }
  clusters->purity = ef_purity(devices, assignment, label);
  clusters->nmi = ef_nmi(devices, assignment, label);
  ef_free(assignment);
  return EF_OK;
}

static ef_status assign(ef_run *run, const ef_population *population, const ef_devices *devices,
                        ef_clusters *clusters) {
  size_t entries = population->entries, uploaded = 0, K = (size_t)run->deck->fusion.clusters;
  *clusters = (ef_clusters){0};
  group *groups = NULL;
  size_t *present = NULL, *quota = NULL;
  float *domains = NULL, *scratch = NULL;
  ef_status status = EF_OK;
  EF_GO(EF_NEW(groups, entries));
  EF_GO(EF_NEW(present, entries));
  EF_GO(EF_NEW(quota, entries));
  EF_GO(EF_NEW(domains, run->tokens.domain_count * EF_EMBEDDING));
  EF_GO(EF_NEW(scratch, devices->count * EF_EMBEDDING));
  EF_GO(EF_NEW(clusters->clusters, K));
  for (size_t e = 0; e < entries; e++) {
    EF_GO(gather_group(population, devices, e, &groups[e]));
    uploaded += present[e] = groups[e].count;
  }
  EF_GO(EF_CHECK(
      uploaded >= K, EF_DECK,
      "%zu of %zu devices can upload, fewer than fusion.clusters = %zu: lower it, or use more devices",
      uploaded, devices->count, K));
  EF_GO(ef_cluster_quota(entries, present, K, quota));
  EF_GO(embed_domains(run, domains));
  centre_groups(run, groups, entries, domains, scratch);
  EF_GO(cluster_groups(run, devices, groups, entries, quota, domains, clusters));
  EF_GO(score(population, clusters, devices->count));
done:
  for (size_t e = 0; groups && e < entries; e++) free_group(&groups[e]);
  ef_free(groups);
  ef_free(present);
  ef_free(quota);
  ef_free(domains);
  ef_free(scratch);
  return status;
}

/* Every rank does the same work, but each reads the public text on its own. */
ef_status ef_clusters_assign(ef_run *run, const ef_population *population, const ef_devices *devices,
                             ef_clusters *clusters) {
  ef_status status = ef_agree(run->par, assign(run, population, devices, clusters));
  if (status != EF_OK) ef_clusters_free(clusters);
  return status;
}

void ef_clusters_advance(const ef_run *run, const ef_devices *devices, ef_clusters *clusters) {
  clusters->round = devices->round;
  for (size_t i = 0; i < clusters->count; i++) judge_members(run, devices, &clusters->clusters[i]);
}

void ef_clusters_free(ef_clusters *clusters) {
  for (size_t i = 0; i < clusters->count; i++) {
    ef_free(clusters->clusters[i].devices);
    ef_free(clusters->clusters[i].losses);
    ef_free(clusters->clusters[i].holdout_losses);
    ef_free(clusters->clusters[i].weights);
    ef_free(clusters->clusters[i].validation);
  }
  ef_free(clusters->clusters);
  *clusters = (ef_clusters){0};
}
