#include "rivals/transfer_internal.h"

#include "base/memory.h"
#include "federation/wire.h"
#include "train/events.h"
#include "train/model_file.h"

/* ---- sets ---------------------------------------------------------------------------------------------- */

static ef_status write_set(void *ctx, ef_h5 *file) {
  const ef_logit_set *set = ctx;
  return ef_logit_set_write(file, set);
}

/* Logits are made by a forward pass over all windows: work, though nothing is trained. */
static ef_effort effort_of(const ef_transfer *t, const ef_dims *dims) {
  double tokens = (double)(t->samples.windows * t->samples.T);
  return (ef_effort){.flops = tokens * ef_forward_flops_per_token(dims, t->samples.T)};
}

static ef_status make_server_set(ef_transfer *t, const ef_part_key *key, const char *path) {
  ef_run *run = t->run;
  bool root = ef_par_root(run->par);
  ef_lap lap = ef_lap_begin(run);
  ef_model shard = {0};
  ef_logit_set set = {0};
  ef_status status = EF_OK;
  EF_GO(ef_agree(run->par, ef_model_load_shard(path, run->par, &shard)));
  EF_GO(ef_logit_set_make(run->par, run->kernels, &shard, &t->samples, &t->recipe, &set));
  EF_GO(
      ef_agree(run->par, root ? ef_part_write(run, key, false, &(ef_part_content){&set, write_set}) : EF_OK));
  ef_effort effort = root ? effort_of(t, &shard.dims) : (ef_effort){0};
  EF_GO(ef_event_phase(run, "server's logits", EF_ON_SERVER, &lap, &effort));
done:
  ef_logit_set_free(&set);
  ef_model_free(&shard);
  return status;
}

ef_status ef_transfer_server_set(ef_transfer *t, size_t round, const char *path) {
  ef_part_key key = ef_transfer_server_key(t, round);
  bool there;
  EF_TRY(ef_part_there(t->run, &key, &there));
  return there ? EF_OK : make_server_set(t, &key, path);
}

typedef struct sets_context {
  ef_transfer *transfer;
  size_t round;
} sets_context;

static ef_status make_device_set(void *ctx, size_t device, ef_effort *effort) {
  const sets_context *c = ctx;
  ef_transfer *t = c->transfer;
  ef_part_key key = ef_transfer_set_key(t, c->round, device);
  if (!ef_transfer_part_of(t, device) || ef_part_exists(t->run, &key)) return EF_OK;
  ef_par alone = ef_par_alone();
  ef_model model = {0};
  ef_logit_set set = {0};
  ef_status status = EF_OK;
  EF_GO(ef_transfer_load_device(t, c->round, device, &model));
  EF_GO(ef_logit_set_make(&alone, t->run->kernels, &model, &t->samples, &t->recipe, &set));
  EF_GO(ef_part_write(t->run, &key, false, &(ef_part_content){&set, write_set}));
  effort->flops += effort_of(t, &model.dims).flops;
done:
  ef_logit_set_free(&set);
  ef_model_free(&model);
  return status == EF_OK ? EF_OK : ef_context(status, "device %zu", device);
}

ef_status ef_transfer_device_sets(ef_transfer *t, size_t round) {
  size_t N = t->devices->count, takers = 0;
  for (size_t n = 0; n < N; n++) {
    bool takes_part = ef_transfer_part_of(t, n);
    const ef_dims *dims = &t->population->dims[t->population->entry[n]];
    t->cost[n] = takes_part ? ef_train_cost(dims, 1, 1, t->samples.T) : 0.0;
    takers += takes_part;
  }
  EF_TRY(EF_CHECK(takers > 0, EF_NUMBERS, "round %zu: none of %zu devices is left: lower federation.lr",
                  round + 1, N));
  sets_context context = {t, round};
  ef_phase phase = {"devices' logits", N, t->cost, t->owner, &context, make_device_set, EF_ON_DEVICES};
  return ef_phase_run(t->run, &phase);
}

/* ---- targets ------------------------------------------------------------------------------------------- */

static ef_h5_array winner_array(const ef_transfer *t) {
  return (ef_h5_array){.path = "/targets/winner",
                       .type = EF_H5_I32,
                       .rank = 1,
                       .shape = {t->samples.windows},
                       .description = "device whose logits these are, -1: the server",
                       .units = "1",
                       .dims = "window"};
}

static ef_h5_array bytes_array(const ef_transfer *t) {
  return (ef_h5_array){.path = "/upload/bytes",
                       .type = EF_H5_I64,
                       .rank = 1,
                       .shape = {t->devices->count},
                       .description = "bytes of logits that came up from every device in this round",
                       .units = "byte",
                       .dims = "device"};
}

/* A round's way up under way. */
typedef struct gathering {
  ef_transfer *transfer;
  size_t round, device;    /* whose message is under way */
  ef_logit_set sent, best; /* owned, as all below */
  int32_t *winner;         /* (windows) */
  int64_t *came;           /* (N) bytes */
} gathering;

static ef_status begin(gathering *g) {
  ef_transfer *t = g->transfer;
  ef_part_key server = ef_transfer_server_key(t, g->round);
  EF_TRY(ef_logit_set_create(&t->samples, t->recipe.k, &g->sent));
  if (!ef_par_root(t->run->par)) return EF_OK;
  EF_TRY(EF_NEW(g->winner, t->samples.windows));
  EF_TRY(EF_NEW(g->came, t->devices->count));
  for (size_t w = 0; w < t->samples.windows; w++) g->winner[w] = EF_WON_BY_SERVER;
  return ef_transfer_load_set(t, &server, &g->best);
}

static void release(gathering *g) {
  ef_logit_set_free(&g->sent);
  ef_logit_set_free(&g->best);
  ef_free(g->winner);
  ef_free(g->came);
}

/* The owner's side: the set of its part becomes the message. */
static ef_status fill_message(void *ctx, unsigned char *message) {
  gathering *g = ctx;
  ef_transfer *t = g->transfer;
  ef_part_key key = ef_transfer_set_key(t, g->round, g->device);
  ef_h5 *file = NULL;
  EF_TRY(ef_part_open(t->run, &key, false, &file));
  ef_status status = ef_logit_set_read(file, &g->sent);
  ef_h5_close(file);
  if (status == EF_OK) ef_logit_set_pack(&g->sent, t->recipe.half, message);
  return status;
}

static ef_status take(gathering *g, size_t device) {
  ef_transfer *t = g->transfer;
  ef_wire_source source = {g, fill_message, ef_logit_set_pack(&g->sent, t->recipe.half, NULL)};
  unsigned char *message = NULL;
  g->device = device;
  EF_TRY(ef_wire_collect(t->run, t->owner[device], &source, &message));
  if (ef_par_root(t->run->par)) {
    ef_ledger_count(t->ledger, device, EF_UP, EF_MSG_LOGITS, source.bytes);
    g->came[device] = (int64_t)source.bytes;
    ef_logit_set_unpack(message, t->recipe.half, &g->sent);
    ef_logits_choose(&t->samples, &g->sent, (int32_t)device, &g->best, g->winner);
  }
  ef_free(message);
  return EF_OK;
}

/* The ledger's lines travel with the targets, so that a resumed run does not count anew. */
static ef_status write_targets(void *ctx, ef_h5 *file) {
  const gathering *g = ctx;
  ef_h5_array winner = winner_array(g->transfer), came = bytes_array(g->transfer);
  EF_TRY(ef_logit_set_write(file, &g->best));
  EF_TRY(ef_h5_write(file, &winner, g->winner));
  return ef_h5_write(file, &came, g->came);
}

static ef_status gather(ef_transfer *t, size_t round) {
  gathering g = {.transfer = t, .round = round};
  ef_part_key key = ef_transfer_targets_key(round);
  bool root = ef_par_root(t->run->par);
  ef_lap lap = ef_lap_begin(t->run);
  ef_status status = EF_OK;
  EF_GO(ef_agree(t->run->par, begin(&g)));
  for (size_t n = 0; n < t->devices->count; n++) {
    if (ef_transfer_part_of(t, n)) EF_GO(take(&g, n));
  }
  EF_GO(ef_agree(t->run->par,
                 root ? ef_part_write(t->run, &key, false, &(ef_part_content){&g, write_targets}) : EF_OK));
  EF_GO(ef_event_phase(t->run, "uploads", EF_ON_SERVER, &lap, &(ef_effort){0}));
done:
  release(&g);
  return status;
}

static ef_status restore_ledger(ef_transfer *t, const ef_part_key *key) {
  ef_h5 *file = NULL;
  int64_t *came = NULL;
  ef_h5_array array = bytes_array(t);
  ef_status status = EF_OK;
  EF_GO(ef_part_open(t->run, key, false, &file));
  EF_GO(EF_NEW(came, t->devices->count));
  EF_GO(ef_h5_read(file, &array, came));
  for (size_t n = 0; n < t->devices->count; n++) {
    ef_ledger_count(t->ledger, n, EF_UP, EF_MSG_LOGITS, (uint64_t)came[n]);
  }
done:
  ef_free(came);
  ef_h5_close(file);
  return status;
}

ef_status ef_transfer_targets(ef_transfer *t, size_t round) {
  ef_par *par = t->run->par;
  ef_part_key key = ef_transfer_targets_key(round);
  bool there;
  EF_TRY(ef_part_there(t->run, &key, &there));
  for (size_t n = 0; n < t->devices->count; n++) t->rounds[n] += ef_transfer_part_of(t, n);
  if (!there) return gather(t, round);
  return ef_agree(par, ef_par_root(par) ? restore_ledger(t, &key) : EF_OK);
}

ef_status ef_transfer_load_targets(const ef_transfer *t, size_t round, ef_logit_set *set, int32_t *winner) {
  ef_part_key key = ef_transfer_targets_key(round);
  ef_h5_array array = winner_array(t);
  ef_h5 *file = NULL;
  EF_TRY(ef_part_open(t->run, &key, false, &file));
  ef_status status = ef_logit_set_read(file, set);
  if (status == EF_OK) status = ef_h5_read(file, &array, winner);
  ef_h5_close(file);
  return status;
}
