#include "fusion/proxy.h"

#include "base/memory.h"
#include "train/events.h"
#include "train/measure.h"
#include "train/model_file.h"
#include "train/record.h"
#include <math.h>

static const char SECTIONS[] = "text,federation,eval,fusion";

static size_t unit_of(const ef_clusters *clusters, size_t index) {
  return clusters->round * clusters->count + index;
}

static ef_part_key mean_key(const ef_clusters *clusters, size_t index) {
  return (ef_part_key){.kind = EF_UNIT_MEAN, .index = unit_of(clusters, index), .sections = SECTIONS};
}

static ef_part_key proxy_key(const ef_clusters *clusters, size_t index) {
  return (ef_part_key){.kind = EF_UNIT_PROXY, .index = unit_of(clusters, index), .sections = SECTIONS};
}

/* ---- the mean of a cluster ----------------------------------------------------------------------------- */

/* Of what a device sends; a row is its number and the bytes of each. */
static const ef_message_class sent[] = {EF_MSG_WEIGHTS, EF_MSG_EMBEDDING, EF_MSG_LOSS};
enum { SENT = sizeof sent / sizeof *sent, BYTES_FIELDS = 1 + SENT };

static ef_h5_array bytes_array(size_t members) {
  return (ef_h5_array){.path = "/upload/bytes",
                       .type = EF_H5_I64,
                       .rank = 2,
                       .shape = {members, BYTES_FIELDS},
                       .description = "device, bytes of weights, data embedding and local loss that came up",
                       .units = "byte",
                       .dims = "member,field"};
}

typedef struct mean_content {
  const ef_cluster *cluster;
  const ef_ledger *ledger; /* of these uploads alone */
  const ef_model *mean;
} mean_content;

/* The ledger's lines of a cluster travel with its mean, so that a resumed run does not count anew. */
static ef_status write_mean(void *ctx, ef_h5 *file) {
  const mean_content *content = ctx;
  const ef_cluster *c = content->cluster;
  const ef_model *mean = content->mean;
  int64_t *rows = NULL;
  ef_status status = EF_OK;
  EF_GO(EF_NEW(rows, BYTES_FIELDS * c->members));
  for (size_t m = 0; m < c->members; m++) {
    int64_t *row = rows + BYTES_FIELDS * m;
    *row++ = (int64_t)c->devices[m];
    for (size_t i = 0; i < SENT; i++) row[i] = (int64_t)content->ledger->bytes[c->devices[m]][EF_UP][sent[i]];
  }
  ef_h5_array array = bytes_array(c->members);
  EF_GO(ef_model_file_write_made(file, mean));
  EF_GO(ef_h5_write(file, &array, rows));
done:
  ef_free(rows);
  return status;
}

static ef_status restore_ledger(const ef_run *run, const ef_part_key *key, const ef_cluster *c,
                                ef_ledger *ledger) {
  ef_h5 *file = NULL;
  int64_t *rows = NULL;
  EF_TRY(ef_part_open(run, key, false, &file));
  ef_status status = EF_OK;
  EF_GO(EF_NEW(rows, BYTES_FIELDS * c->members));
  ef_h5_array array = bytes_array(c->members);
  EF_GO(ef_h5_read(file, &array, rows));
  for (size_t m = 0; m < c->members; m++) {
    const int64_t *row = rows + BYTES_FIELDS * m + 1;
    for (size_t i = 0; i < SENT; i++)
      ef_ledger_count(ledger, c->devices[m], EF_UP, sent[i], (uint64_t)row[i]);
  }
done:
  ef_free(rows);
  ef_h5_close(file);
  return status;
}

/* The mean over the members (Fig. 4), uploads one at a time in ascending order. The root sums. Collective. */
static ef_status stream_mean(ef_run *run, const ef_population *population, const ef_devices *devices,
                             const ef_part_key *key, const ef_cluster *c, ef_ledger *ledger) {
  bool root = ef_par_root(run->par);
  const ef_dims *dims = &population->dims[c->entry];
  ef_model upload = {0}, mean = {0};
  ef_ledger came = {0};
  mean_content content = {c, &came, &mean};
  ef_status status = EF_OK;
  EF_GO(ef_agree(run->par, ef_ledger_create(devices->count, &came)));
  EF_GO(ef_agree(run->par, root ? ef_model_create(dims, &upload) : EF_OK));
  EF_GO(ef_agree(run->par, root ? ef_model_create(dims, &mean) : EF_OK));
  for (size_t m = 0; m < c->members; m++) {
    EF_GO(ef_upload_weights(run, population, devices, c->devices[m], &came, &upload));
    if (root) run->kernels->axpy(mean.table.floats, c->weights[m], upload.params, mean.params);
  }
  if (root) EF_GO(ef_part_write(run, key, false, &(ef_part_content){&content, write_mean}));
  if (root) ef_ledger_add(ledger, &came);
done:
  ef_ledger_free(&came);
  ef_model_free(&upload);
  ef_model_free(&mean);
  return status;
}

static ef_status make_means(ef_run *run, const ef_population *population, const ef_devices *devices,
                            const ef_clusters *clusters, ef_ledger *ledger) {
  for (size_t i = 0; i < clusters->count; i++) {
    ef_part_key key = mean_key(clusters, i);
    bool there;
    EF_TRY(ef_part_there(run, &key, &there));
    ef_status status = EF_OK;
    if (!there)
      status = stream_mean(run, population, devices, &key, &clusters->clusters[i], ledger);
    else if (ef_par_root(run->par))
      status = restore_ledger(run, &key, &clusters->clusters[i], ledger);
    EF_TRY(ef_agree(run->par, status));
  }
  return EF_OK;
}

/* ---- the guard ----------------------------------------------------------------------------------------- */

typedef struct guard_context {
  ef_run *run;
  const ef_population *population;
  const ef_devices *devices;
  ef_clusters *clusters;
} guard_context;

enum { ROW_FIELDS = 2 };

static void pack(void *ctx, size_t unit, double *row) {
  const guard_context *g = ctx;
  const ef_cluster *c = &g->clusters->clusters[unit % g->clusters->count];
  row[0] = c->loss;
  row[1] = c->fell_back;
  ef_quality_pack(c->validation, g->run->tokens.domain_count, row + ROW_FIELDS);
}

static void unpack(void *ctx, size_t unit, const double *row) {
  const guard_context *g = ctx;
  ef_cluster *c = &g->clusters->clusters[unit % g->clusters->count];
  c->loss = row[0];
  c->fell_back = row[1] != 0.0;
  ef_quality_unpack(row + ROW_FIELDS, g->run->tokens.domain_count, c->validation);
}

static ef_records records_of(guard_context *g) {
  return (ef_records){
      .path = "/proxy/record",
      .description =
          "holdout loss, 1 if the best member stands in; validation nll, tokens, hits, bytes by domain",
      .width = ROW_FIELDS + EF_QUALITY_FIELDS * g->run->tokens.domain_count,
      .ctx = g,
      .pack = pack,
      .unpack = unpack};
}

typedef struct proxy_content {
  guard_context *guard;
  size_t index;
  const ef_model *proxy;
} proxy_content;

static ef_status write_proxy(void *ctx, ef_h5 *file) {
  const proxy_content *content = ctx;
  const ef_model *proxy = content->proxy;
  ef_records records = records_of(content->guard);
  EF_TRY(ef_model_file_write_made(file, proxy));
  return ef_record_write(&records, content->index, file);
}

static ef_status guard_proxy(void *ctx, size_t index, ef_effort *effort) {
  (void)effort;
  guard_context *g = ctx;
  ef_cluster *c = &g->clusters->clusters[index];
  ef_part_key mean = mean_key(g->clusters, index), key = proxy_key(g->clusters, index);
  if (ef_part_exists(g->run, &key)) {
    ef_records records = records_of(g);
    return ef_record_read(g->run, &key, &records);
  }
  ef_model proxy = {0};
  proxy_content content = {g, index, &proxy};
  ef_status status = EF_OK;
  EF_GO(ef_part_load(g->run, &mean, &g->population->dims[c->entry], &proxy));
  EF_GO(ef_run_measure(g->run, &proxy, &c->loss, c->validation));
  c->fell_back = !(c->loss <= c->member_loss + g->run->deck->fusion.guard_tolerance);
  if (c->fell_back) {
    ef_model_free(&proxy);
    EF_GO(ef_device_load(g->run, g->population, g->clusters->round * g->devices->count + c->best, &proxy));
    EF_GO(ef_run_measure(g->run, &proxy, &c->loss, c->validation));
  }
  EF_GO(ef_part_write(g->run, &key, false, &(ef_part_content){&content, write_proxy}));
done:
  ef_model_free(&proxy);
  return status;
}

ef_status ef_proxies_make(ef_run *run, const ef_population *population, const ef_devices *devices,
                          ef_clusters *clusters, ef_ledger *ledger) {
  guard_context context = {run, population, devices, clusters};
  ef_records records = records_of(&context);
  double *cost = NULL;
  int *owner = NULL;
  ef_status status = EF_OK;
  ef_lap lap = ef_lap_begin(run);
  EF_GO(make_means(run, population, devices, clusters, ledger));
  EF_GO(ef_event_phase(run, "uploads", EF_ON_SERVER, &lap, &(ef_effort){0}));
  EF_GO(ef_agree(run->par, EF_NEW(cost, clusters->count)));
  EF_GO(ef_agree(run->par, EF_NEW(owner, clusters->count)));
  for (size_t i = 0; i < clusters->count; i++) {
    cost[i] = ef_train_cost(&population->dims[clusters->clusters[i].entry], 1, 1, 1);
  }
  ef_phase phase = {"proxies", clusters->count, cost, owner, &context, guard_proxy, EF_ON_SERVER};
  EF_GO(ef_phase_run(run, &phase));
  EF_GO(ef_records_share(run, &records, clusters->count, owner));
done:
  ef_free(cost);
  ef_free(owner);
  return status;
}

ef_status ef_proxy_load(const ef_run *run, const ef_population *population, const ef_clusters *clusters,
                        size_t index, ef_model *model) {
  ef_part_key key = proxy_key(clusters, index);
  return ef_part_load(run, &key, &population->dims[clusters->clusters[index].entry], model);
}
