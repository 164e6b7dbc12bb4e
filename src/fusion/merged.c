#include "fusion/merged.h"

#include "base/clock.h"
#include "base/memory.h"
#include "fusion/merge.h"
#include "fusion/router_fit.h"
#include "par/units.h"
#include "train/block_file.h"
#include "train/events.h"
#include "train/model_file.h"
#include "train/trainer_file.h"

static ef_part_key merged_key(ef_merge_of of) {
  return (ef_part_key){
      .kind = EF_UNIT_MERGED, .index = of, .sections = "text,federation,global,eval,fusion,tune,exits"};
}

static ef_status load_bases(const ef_run *run, const ef_bases *bases, ef_merge_of of, ef_model *models) {
  for (size_t i = 0; i < bases->count; i++) {
    EF_TRY(of == EF_MERGE_BASES ? ef_base_load(run, bases, i, &models[i])
                                : ef_base_start_load(run, &models[i]));
  }
  return EF_OK;
}

static ef_status write_parameters(void *ctx, ef_h5 *file) {
  const ef_model *moe = ctx;
  return ef_model_file_write_made(file, moe);
}

/* The copies of one start are alike: only neutral routers make sense there. */
static ef_status set_routers(ef_run *run, const ef_clusters *clusters, const ef_model *bases, ef_merge_of of,
                             ef_model *moe) {
  ef_router_normal(moe, (uint64_t)run->deck->run.seed);
  return of == EF_MERGE_BASES ? ef_router_fit(run, clusters, bases, moe) : EF_OK;
}

static ef_status make(ef_run *run, const ef_clusters *clusters, const ef_bases *bases, ef_merge_of of) {
  ef_part_key key = merged_key(of);
  if (ef_part_exists(run, &key)) return EF_OK;
  ef_model *models = NULL, moe = {0};
  ef_status status = EF_OK;
  EF_GO(EF_NEW(models, bases->count));
  EF_GO(load_bases(run, bases, of, models));
  EF_GO(ef_model_create(&bases->global, &moe));
  EF_GO(ef_merge(models, bases->count, &moe));
  EF_GO(set_routers(run, clusters, models, of, &moe));
  EF_GO(ef_part_write(run, &key, false, &(ef_part_content){&moe, write_parameters}));
done:
  for (size_t i = 0; models && i < bases->count; i++) ef_model_free(&models[i]);
  ef_free(models);
  ef_model_free(&moe);
  return status;
}

ef_status ef_merged_make(ef_run *run, const ef_clusters *clusters, const ef_bases *bases, ef_merge_of of) {
  double started = ef_clock();
  ef_status status = ef_par_root(run->par) ? make(run, clusters, bases, of) : EF_OK;
  EF_TRY(ef_agree(run->par, status));
  ef_effort none = {0};
  return ef_event_phase(run, of == EF_MERGE_BASES ? "merge" : "merge of copies", started, &none);
}

ef_status ef_merged_load(const ef_run *run, const ef_bases *bases, ef_merge_of of, ef_model *shard) {
  size_t first = ef_block_first(bases->global.E, run->par->size, run->par->rank);
  size_t next = ef_block_first(bases->global.E, run->par->size, run->par->rank + 1);
  ef_part_key key = merged_key(of);
  ef_h5 *file = NULL;
  EF_TRY(ef_part_open(run, &key, false, &file));
  ef_status status = ef_model_create_shard(&bases->global, first, next - first, shard);
  if (status == EF_OK) status = ef_block_read(file, "/model", &shard->table, true, shard->params);
  ef_h5_close(file);
  return status;
}
