#include "fusion/merged.h"

#include "base/memory.h"
#include "fusion/merge.h"
#include "fusion/router_fit.h"
#include "train/events.h"
#include "train/model_file.h"
#include <string.h>

enum { OF_BASES, OF_STARTS };

static ef_part_key merged_key(size_t of) {
  return (ef_part_key){
      .kind = EF_UNIT_MERGED, .index = of, .sections = "text,federation,global,eval,fusion,tune,exits"};
}

static ef_status write_parameters(void *ctx, ef_h5 *file) {
  const ef_model *moe = ctx;
  return ef_model_file_write_made(file, moe);
}

/* What is merged: K distilled bases, or as many copies of their start. */
typedef struct ingredients {
  size_t K;
  const ef_clusters *clusters; /* NULL: starts */
  const ef_bases *bases;
} ingredients;

static ef_status load(const ef_run *run, const ingredients *from, ef_model *models) {
  for (size_t i = 0; i < from->K; i++) {
    EF_TRY(from->bases ? ef_base_load(run, from->bases, i, &models[i]) : ef_base_start_load(run, &models[i]));
  }
  return EF_OK;
}

/* The copies of one start are alike: only neutral routers make sense there. */
static ef_status merge(ef_run *run, const ingredients *from, const ef_model *models, ef_model *moe) {
  EF_TRY(ef_merge(models, from->K, moe));
  ef_router_normal(moe, (uint64_t)run->deck->run.seed);
  return from->bases ? ef_router_fit(run, from->clusters, models, moe) : EF_OK;
}

static ef_status make(ef_run *run, const ingredients *from, const ef_part_key *key) {
  if (ef_part_exists(run, key)) return EF_OK;
  ef_dims global, base;
  ef_model *models = NULL, moe = {0};
  ef_status status = EF_OK;
  EF_GO(ef_global_dims(run, &global, &base));
  EF_GO(EF_NEW(models, from->K));
  EF_GO(load(run, from, models));
  EF_GO(ef_model_create(&global, &moe));
  EF_GO(merge(run, from, models, &moe));
  EF_GO(ef_part_write(run, key, false, &(ef_part_content){&moe, write_parameters}));
done:
  for (size_t i = 0; models && i < from->K; i++) ef_model_free(&models[i]);
  ef_free(models);
  ef_model_free(&moe);
  return status;
}

static ef_status make_phase(ef_run *run, const char *name, const ingredients *from, const ef_part_key *key) {
  ef_lap lap = ef_lap_begin(run);
  EF_TRY(ef_agree(run->par, ef_par_root(run->par) ? make(run, from, key) : EF_OK));
  return ef_event_phase(run, name, EF_ON_SERVER, &lap, &(ef_effort){0});
}

ef_status ef_merged_make(ef_run *run, const ef_clusters *clusters, const ef_bases *bases, ef_part_key *key) {
  *key = merged_key(OF_BASES);
  return make_phase(run, "merge", &(ingredients){bases->count, clusters, bases}, key);
}

ef_status ef_starts_make(ef_run *run, ef_part_key *key) {
  *key = merged_key(OF_STARTS);
  return make_phase(run, "merge of copies", &(ingredients){.K = (size_t)run->deck->fusion.clusters}, key);
}

void ef_merged_lineage(const ef_clusters *clusters, const ef_bases *bases, size_t N, float *lineage) {
  size_t E = bases->global.E, g = E / clusters->count;
  memset(lineage, 0, E * N * sizeof *lineage);
  for (size_t e = 0; e < E; e++) {
    const ef_cluster *c = &clusters->clusters[e / g];
    if (!bases->bases[e / g].taught) continue;
    for (size_t m = 0; m < c->members && !c->fell_back; m++) lineage[e * N + c->devices[m]] = c->weights[m];
    if (c->fell_back) lineage[e * N + c->best] = 1.0f;
  }
}
