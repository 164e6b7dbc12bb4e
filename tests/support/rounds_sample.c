#include "support/rounds_sample.h"

#include "fusion/bases.h"
#include "train/model_file.h"
#include <stdio.h>
#include <stdlib.h>

static const char sections[] = "text,federation,global,eval,rivals";

static void check(ef_status status) {
  if (status == EF_OK) return;
  fprintf(stderr, "rounds_sample: %s\n", ef_message());
  abort();
}

static ef_status write_model(void *ctx, ef_h5 *file) { return ef_model_file_write_made(file, ctx); }

/* Routers so far from zero that devices differ in what they choose. */
static void make_start(rounds_sample *s) {
  ef_model model;
  check(ef_model_create(&s->global, &model));
  ef_model_init(&model, 3, ef_unit(EF_UNIT_SERVER, 0));
  for (size_t i = 0; i < model.table.count; i++) {
    const ef_tensor *tensor = &model.table.tensors[i];
    if (tensor->role != EF_T_ROUTER_W) continue;
    for (size_t j = 0; j < tensor->count; j++) model.params[tensor->offset + j] *= 40.0f;
  }
  check(ef_part_write(&s->t.run, &s->plan.start, false, &(ef_part_content){&model, write_model}));
  ef_model_free(&model);
}

void rounds_sample_open(rounds_sample *s, ef_par *par, bool pruned, const char *const *overrides) {
  const char *all[32] = {"federation.families=[{family: gpt2, width: 8, layers: 2, heads: 2}]",
                         "federation.devices=2",
                         "federation.warmup=1",
                         "federation.eval_every=2",
                         "fusion.clusters=1",
                         "global.pretrain_steps=2",
                         "rivals.rounds=2",
                         "rivals.steps=4",
                         "rivals.experts=3"};
  size_t count = 9;
  ef_dims base;
  while (overrides && *overrides) all[count++] = *overrides++;
  *s = (rounds_sample){0};
  tiny_run_open(&s->t, par, all);
  tiny_run_text(&s->t);
  check(ef_population_make(&s->t.run, &s->population));
  check(ef_global_dims(&s->t.run, &s->global, &base));
  s->plan = (ef_rounds_plan){.start = {.kind = EF_UNIT_SERVER, .sections = sections},
                             .sections = sections,
                             .held = pruned ? SAMPLE_HELD : s->global.E,
                             .common = pruned};
  check(ef_base_start(&s->t.run));
  if (ef_par_root(s->t.run.par)) make_start(s);
  check(ef_agree(s->t.run.par, EF_OK));
}

static void drop_results(rounds_sample *s) {
  ef_devices_free(&s->devices);
  ef_ledger_free(&s->ledger);
  ef_rounds_free(&s->rounds);
}

void rounds_sample_close(rounds_sample *s) {
  drop_results(s);
  ef_population_free(&s->population);
  tiny_run_close(&s->t);
}

ef_status rounds_sample_run(rounds_sample *s) {
  drop_results(s);
  check(ef_ledger_create(s->population.devices, &s->ledger));
  return ef_rounds_run(&s->t.run, &s->population, &s->plan, &s->devices, &s->ledger, &s->rounds);
}

ef_model rounds_sample_model(const rounds_sample *s, int round) {
  ef_part_key key = s->plan.start;
  ef_model model;
  if (round >= 0) key = (ef_part_key){.kind = EF_UNIT_ROUND, .index = (size_t)round, .sections = sections};
  check(ef_part_load(&s->t.run, &key, &s->global, &model));
  return model;
}
