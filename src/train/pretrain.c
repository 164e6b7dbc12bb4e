#include "train/pretrain.h"

static ef_recipe recipe_of(const ef_run *run, const ef_start *start) {
  const ef_deck *d = run->deck;
  return (ef_recipe){.steps = start->steps,
                     .batch = (size_t)d->federation.batch,
                     .context = start->context,
                     .lr = start->lr,
                     .min_lr = d->federation.min_lr,
                     .decay = d->federation.weight_decay,
                     .clip = d->federation.clip,
                     .warmup = (size_t)d->federation.warmup,
                     .holdout = &run->holdout,
                     .look_every = (size_t)d->eval.look_every,
                     .look_windows = EF_PRETRAIN_LOOK};
}

static ef_status train(ef_run *run, const ef_part_key *key, ef_model *model, const ef_recipe *recipe,
                       ef_effort *effort) {
  ef_source source = {.general = &run->public_text,
                      .seed = (uint64_t)run->deck->run.seed,
                      .unit = ef_unit(key->kind, key->index)};
  ef_trainer trainer = {0};
  ef_status status = EF_OK;
  EF_GO(ef_trainer_create(model, run->kernels, recipe, &source, NULL, &trainer));
  EF_GO(ef_trainer_walk(run, key, &trainer));
  EF_GO(ef_trainer_finish(run, key, &trainer, NULL));
done:
  run->steps += trainer.step;
  ef_effort_add(effort, &trainer);
  ef_trainer_free(&trainer);
  return status;
}

ef_status ef_pretrain_unit(ef_run *run, const ef_part_key *key, const ef_start *start, ef_effort *effort) {
  if (ef_part_exists(run, key)) return ef_part_steps(run, key, &run->steps);
  ef_model model = {0};
  EF_TRY(ef_model_create(start->dims, &model));
  ef_model_init(&model, (uint64_t)run->deck->run.seed, ef_unit(key->kind, key->index));
  ef_recipe recipe = recipe_of(run, start);
  ef_status status = train(run, key, &model, &recipe, effort);
  ef_model_free(&model);
  return status;
}
