#include "rivals/transfer_internal.h"

#include "base/memory.h"
#include "federation/wire.h"

const char EF_TRANSFER_SECTIONS[] = "text,federation,global,eval,fusion,tune,exits,rivals";

/* ---- parts --------------------------------------------------------------------------------------------- */

static ef_part_key key_of(ef_unit_kind kind, size_t index) {
  return (ef_part_key){.kind = kind, .index = index, .sections = EF_TRANSFER_SECTIONS};
}

ef_part_key ef_transfer_set_key(const ef_transfer *t, size_t round, size_t device) {
  return key_of(EF_UNIT_LOGITS, round * (t->devices->count + 1) + device);
}

ef_part_key ef_transfer_server_key(const ef_transfer *t, size_t round) {
  return ef_transfer_set_key(t, round, t->devices->count);
}

ef_part_key ef_transfer_targets_key(size_t round) { return key_of(EF_UNIT_TARGETS, round); }

ef_part_key ef_transfer_local_key(const ef_transfer *t, size_t round, size_t device) {
  return key_of(EF_UNIT_LOCAL, round * t->devices->count + device);
}

ef_status ef_transfer_load_device(const ef_transfer *t, size_t round, size_t device, ef_model *model) {
  if (round == 0 || t->run->deck->rivals.device_steps == 0) {
    return ef_device_load(t->run, t->population, device, model);
  }
  ef_part_key key = ef_transfer_local_key(t, round - 1, device);
  return ef_part_load(t->run, &key, &t->population->dims[t->population->entry[device]], model);
}

ef_status ef_transfer_load_set(const ef_transfer *t, const ef_part_key *key, ef_logit_set *set) {
  ef_h5 *file = NULL;
  EF_TRY(ef_part_open(t->run, key, false, &file));
  ef_status status = ef_logit_set_create(&t->samples, t->recipe.k, set);
  if (status == EF_OK) status = ef_logit_set_read(file, set);
  ef_h5_close(file);
  if (status != EF_OK) ef_logit_set_free(set);
  return status;
}

/* ---- open and close ------------------------------------------------------------------------------------ */

ef_status ef_transfer_check(const ef_run *run) {
  int64_t k = run->deck->rivals.top_k;
  return EF_CHECK((size_t)k <= run->tokens.vocabulary, EF_DECK,
                  "rivals.top_k = %lld, but the vocabulary has %zu tokens", (long long)k,
                  run->tokens.vocabulary);
}

static ef_status create(ef_transfer *t) {
  size_t N = t->devices->count;
  EF_TRY(ef_samples_make(&t->run->public_text, (size_t)t->run->deck->global.context, &t->samples));
  EF_TRY(EF_NEW(t->rounds, N));
  EF_TRY(EF_NEW(t->steps, N));
  EF_TRY(EF_NEW(t->records, N));
  EF_TRY(EF_NEW(t->cost, N));
  return EF_NEW(t->owner, N);
}

ef_status ef_transfer_open(ef_run *run, const ef_population *population, ef_devices *devices,
                           ef_ledger *ledger, ef_transfer *t) {
  const ef_deck *d = run->deck;
  *t = (ef_transfer){.run = run,
                     .population = population,
                     .devices = devices,
                     .ledger = ledger,
                     .recipe = {.B = (size_t)d->eval.batch,
                                .k = (size_t)d->rivals.top_k,
                                .half = ef_wire_number_bytes(d) == 2}};
  ef_status status = ef_agree(run->par, create(t));
  if (status != EF_OK) ef_transfer_close(t);
  return status;
}

void ef_transfer_close(ef_transfer *t) {
  ef_samples_free(&t->samples);
  ef_free(t->rounds);
  ef_free(t->steps);
  ef_free(t->records);
  ef_free(t->cost);
  ef_free(t->owner);
  *t = (ef_transfer){0};
}

/* ---- questions ----------------------------------------------------------------------------------------- */

static bool all_there(const ef_transfer *t, size_t round) {
  ef_part_key targets = ef_transfer_targets_key(round);
  if (!ef_part_exists(t->run, &targets)) return false;
  for (size_t n = 0; t->run->deck->rivals.device_steps > 0 && n < t->devices->count; n++) {
    ef_part_key local = ef_transfer_local_key(t, round, n);
    if (ef_transfer_part_of(t, n) && !ef_part_exists(t->run, &local)) return false;
  }
  return true;
}

ef_status ef_transfer_settled(ef_transfer *t, size_t round, bool *settled) {
  *settled = ef_par_root(t->run->par) && all_there(t, round);
  return ef_bcast(t->run->par, 0, settled, sizeof *settled);
}

/* Every document begins with a BOS, which no token predicts; the windows cut all tokens but the first. */
void ef_transfer_samples(const ef_run *run, size_t *tokens, size_t *windows) {
  const ef_tokens *t = &run->tokens;
  size_t documents = 0, all = 0, T = (size_t)run->deck->global.context;
  for (size_t d = 0; d < t->documents; d++) {
    if (t->split[d] != EF_PUBLIC || ef_run_held_out(run, d)) continue;
    documents++;
    all += (size_t)(t->offset[d + 1] - t->offset[d]);
  }
  *tokens = all - documents;
  *windows = all > 1 ? (all - 1 + T - 1) / T : 0;
}

void ef_transfer_formula(const ef_transfer *t, uint64_t formula[EF_DIRECTION_COUNT]) {
  size_t tokens, windows, rounds = 0;
  ef_transfer_samples(t->run, &tokens, &windows);
  for (size_t n = 0; n < t->devices->count; n++) rounds += t->rounds[n];
  formula[EF_UP] = rounds * ef_logit_set_formula(tokens, windows, t->recipe.k, t->recipe.half);
  formula[EF_DOWN] = t->run->deck->rivals.device_steps > 0 ? formula[EF_UP] : 0;
}
