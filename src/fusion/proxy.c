#include "fusion/proxy.h"

#include "base/memory.h"
#include "train/block_file.h"
#include "train/measure.h"
#include "train/trainer_file.h"
#include <math.h>

static const char SECTIONS[] = "text,federation,eval,fusion";

static ef_part_key mean_key(size_t index) {
  return (ef_part_key){.kind = EF_UNIT_MEAN, .index = index, .sections = SECTIONS};
}

static ef_part_key proxy_key(size_t index) {
  return (ef_part_key){.kind = EF_UNIT_PROXY, .index = index, .sections = SECTIONS};
}

/* ---- the mean of a cluster ----------------------------------------------------------------------------- */

static ef_h5_array bytes_array(size_t members) {
  return (ef_h5_array){.path = "/upload/bytes",
                       .type = EF_H5_I64,
                       .rank = 2,
                       .shape = {members, 3},
                       .description = "device, bytes of weights and bytes of data embedding that came up",
                       .units = "byte",
                       .dims = "member,field"};
}

/* The ledger's lines of a cluster travel with its mean, so that a resumed run does not count anew. */
static ef_status write_mean(const ef_run *run, size_t index, const ef_cluster *c, const ef_ledger *ledger,
                            const ef_model *mean) {
  ef_part_key key = mean_key(index);
  ef_h5 *file = NULL;
  int64_t *rows = NULL;
  EF_TRY(ef_part_create(run, &key, false, &file));
  ef_status status = EF_OK;
  EF_GO(EF_NEW(rows, 3 * c->members));
  for (size_t m = 0; m < c->members; m++) {
    const uint64_t *up = ledger->bytes[c->devices[m]][EF_UP];
    rows[3 * m] = (int64_t)c->devices[m];
    rows[3 * m + 1] = (int64_t)up[EF_MSG_WEIGHTS];
    rows[3 * m + 2] = (int64_t)up[EF_MSG_EMBEDDING];
  }
  ef_h5_array array = bytes_array(c->members);
  EF_GO(ef_block_write(file, "/model", &mean->table, mean->params, EF_BLOCK_ALL, true, "mean of the members' parameters"));
  EF_GO(ef_h5_write(file, &array, rows));
done:
  ef_free(rows);
  if (status == EF_OK) return ef_h5_commit(file);
  ef_h5_close(file);
  return status;
}

static ef_status restore_ledger(const ef_run *run, size_t index, const ef_cluster *c, ef_ledger *ledger) {
  ef_part_key key = mean_key(index);
  ef_h5 *file = NULL;
  int64_t *rows = NULL;
  EF_TRY(ef_part_open(run, &key, false, &file));
  ef_status status = EF_OK;
  EF_GO(EF_NEW(rows, 3 * c->members));
  ef_h5_array array = bytes_array(c->members);
  EF_GO(ef_h5_read(file, &array, rows));
  for (size_t m = 0; m < c->members; m++) {
    ef_ledger_count(ledger, c->devices[m], EF_UP, EF_MSG_WEIGHTS, (uint64_t)rows[3 * m + 1]);
    ef_ledger_count(ledger, c->devices[m], EF_UP, EF_MSG_EMBEDDING, (uint64_t)rows[3 * m + 2]);
  }
done:
  ef_free(rows);
  ef_h5_close(file);
  return status;
}

/* The mean over the members (Fig. 4), uploads one at a time in ascending order. All ranks call; the root
 * sums. */
static ef_status stream_mean(ef_run *run, const ef_population *population, const ef_devices *devices,
                             size_t index, const ef_cluster *c, ef_ledger *ledger) {
  bool root = ef_par_root(run->par);
  ef_model upload = {0}, mean = {0};
  ef_status status = EF_OK;
  if (root) {
    EF_GO(ef_model_create(&population->dims[c->entry], &upload));
    EF_GO(ef_model_create(&population->dims[c->entry], &mean));
  }
  for (size_t m = 0; m < c->members; m++) {
    EF_GO(ef_upload_weights(run, population, devices, c->devices[m], ledger, &upload));
    if (root) run->kernels->axpy(mean.table.floats, 1.0f / (float)c->members, upload.params, mean.params);
  }
  if (root) EF_GO(write_mean(run, index, c, ledger, &mean));
done:
  ef_model_free(&upload);
  ef_model_free(&mean);
  return status;
}

static ef_status make_means(ef_run *run, const ef_population *population, const ef_devices *devices,
                            const ef_clusters *clusters, ef_ledger *ledger) {
  for (size_t i = 0; i < clusters->count; i++) {
    ef_part_key key = mean_key(i);
    bool root = ef_par_root(run->par), there = root && ef_part_exists(run, &key);
    EF_TRY(ef_bcast(run->par, 0, &there, sizeof there));
    ef_status status = EF_OK;
    if (!there)
      status = stream_mean(run, population, devices, i, &clusters->clusters[i], ledger);
    else if (root)
      status = restore_ledger(run, i, &clusters->clusters[i], ledger);
    EF_TRY(ef_agree(run->par, status));
  }
  return EF_OK;
}

/* ---- the guard ----------------------------------------------------------------------------------------- */

typedef struct guard_context {
  ef_run *run;
  const ef_population *population;
  ef_clusters *clusters;
} guard_context;

enum { ROW_FIELDS = 2 };

static size_t row_width(const ef_run *run) {
  return ROW_FIELDS + EF_QUALITY_FIELDS * run->tokens.domain_count;
}

static void cluster_to_row(const ef_cluster *c, size_t domains, double *row) {
  *row++ = c->loss;
  *row++ = c->fell_back;
  ef_quality_pack(c->validation, domains, row);
}

static void row_to_cluster(const double *row, size_t domains, ef_cluster *c) {
  c->loss = row[0];
  c->fell_back = row[1] != 0.0;
  ef_quality_unpack(row + ROW_FIELDS, domains, c->validation);
}

static ef_h5_array row_array(size_t width) {
  return (ef_h5_array){
      .path = "/proxy/record",
      .type = EF_H5_F64,
      .rank = 1,
      .shape = {width},
      .description = "holdout loss, 1 if the best member stands in; validation nll, tokens, hits, bytes by "
                     "domain",
      .units = "1",
      .dims = "field"};
}

static ef_status write_proxy(const guard_context *g, size_t index, const ef_model *proxy) {
  const ef_cluster *c = &g->clusters->clusters[index];
  ef_part_key key = proxy_key(index);
  ef_h5 *file = NULL;
  double *row = NULL;
  EF_TRY(ef_part_create(g->run, &key, false, &file));
  ef_status status = EF_OK;
  EF_GO(EF_NEW(row, row_width(g->run)));
  cluster_to_row(c, g->run->tokens.domain_count, row);
  ef_h5_array array = row_array(row_width(g->run));
  EF_GO(ef_block_write(file, "/model", &proxy->table, proxy->params, EF_BLOCK_ALL, true, "parameter"));
  EF_GO(ef_h5_write(file, &array, row));
done:
  ef_free(row);
  if (status == EF_OK) return ef_h5_commit(file);
  ef_h5_close(file);
  return status;
}

static ef_status read_proxy(const guard_context *g, size_t index) {
  ef_part_key key = proxy_key(index);
  ef_h5 *file = NULL;
  double *row = NULL;
  EF_TRY(ef_part_open(g->run, &key, false, &file));
  ef_status status = EF_OK;
  EF_GO(EF_NEW(row, row_width(g->run)));
  ef_h5_array array = row_array(row_width(g->run));
  EF_GO(ef_h5_read(file, &array, row));
  row_to_cluster(row, g->run->tokens.domain_count, &g->clusters->clusters[index]);
done:
  ef_h5_close(file);
  ef_free(row);
  return status;
}

static ef_status guard_proxy(void *ctx, size_t index, ef_effort *effort) {
  (void)effort;
  guard_context *g = ctx;
  ef_cluster *c = &g->clusters->clusters[index];
  ef_part_key mean = mean_key(index), key = proxy_key(index);
  if (ef_part_exists(g->run, &key)) return read_proxy(g, index);
  ef_model proxy = {0};
  ef_status status = EF_OK;
  EF_GO(ef_part_load(g->run, &mean, &g->population->dims[c->entry], &proxy));
  EF_GO(ef_run_measure(g->run, &proxy, &c->loss, c->validation));
  c->fell_back = !(c->loss <= c->member_loss + g->run->deck->fusion.guard_tolerance);
  if (c->fell_back) {
    ef_model_free(&proxy);
    EF_GO(ef_device_load(g->run, g->population, c->best, &proxy));
    EF_GO(ef_run_measure(g->run, &proxy, &c->loss, c->validation));
  }
  EF_GO(write_proxy(g, index, &proxy));
done:
  ef_model_free(&proxy);
  return status;
}

static ef_status guard_all(ef_run *run, guard_context *g, double *cost, int *owner, double *table) {
  size_t count = g->clusters->count, domains = run->tokens.domain_count, width = row_width(run);
  for (size_t i = 0; i < count; i++) {
    cost[i] = ef_train_cost(&g->population->dims[g->clusters->clusters[i].entry], 1, 1, 1);
  }
  ef_phase phase = {"proxies", count, cost, owner, g, guard_proxy};
  EF_TRY(ef_phase_run(run, &phase));
  for (size_t i = 0; i < count; i++) cluster_to_row(&g->clusters->clusters[i], domains, table + i * width);
  EF_TRY(ef_phase_share(run, count, owner, width, table));
  for (size_t i = 0; i < count; i++) row_to_cluster(table + i * width, domains, &g->clusters->clusters[i]);
  return EF_OK;
}

ef_status ef_proxies_make(ef_run *run, const ef_population *population, const ef_devices *devices,
                          ef_clusters *clusters, ef_ledger *ledger) {
  guard_context context = {run, population, clusters};
  double *cost = NULL, *table = NULL;
  int *owner = NULL;
  ef_status status = EF_OK;
  EF_GO(make_means(run, population, devices, clusters, ledger));
  EF_GO(EF_NEW(cost, clusters->count));
  EF_GO(EF_NEW(owner, clusters->count));
  EF_GO(EF_NEW(table, clusters->count * row_width(run)));
  EF_GO(guard_all(run, &context, cost, owner, table));
done:
  ef_free(cost);
  ef_free(owner);
  ef_free(table);
  return status;
}

ef_status ef_proxy_load(const ef_run *run, const ef_population *population, const ef_clusters *clusters,
                        size_t index, ef_model *model) {
  ef_part_key key = proxy_key(index);
  return ef_part_load(run, &key, &population->dims[clusters->clusters[index].entry], model);
}
