#include "teachers_sample.h"

#include "federation/device.h"
#include "support/support.h"
#include "train/block_file.h"
#include "train/part.h"
#include "train/source.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { B = TEACH_B, T = TEACH_T, R = TEACH_R, V = TINY_V };

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

static ef_status write_model(void *ctx, ef_h5 *file) {
  const ef_model *model = ctx;
  return ef_block_write(file, "/model", &model->table, model->params, EF_BLOCK_ALL, true, "parameter");
}

/* Writes the part of teacher i and keeps its logits on the batch. */
static void make_teacher(teachers_sample *s, size_t i, const ef_part_key *key, int32_t entry, float scale) {
  const ef_dims *dims = &s->population.dims[entry];
  ef_model model;
  ef_pass *pass;
  cr_ok(ef_model_create(dims, &model));
  for (size_t n = 0; n < model.table.count; n++) {
    const ef_tensor *tensor = &model.table.tensors[n];
    test_fill(model.params + tensor->offset, tensor->count, scale, (unsigned)(50 * i + n));
  }
  cr_ok(ef_part_write(&s->t.run, key, false, &(ef_part_content){&model, write_model}));
  cr_ok(ef_pass_create(dims, s->t.run.kernels, EF_PASS_EVAL, B, T, false, NULL, &pass));
  cr_ok(ef_forward(pass, &model, s->ids, B, T));
  for (size_t r = 0; r < R; r++) ef_logits(pass, &model, r, 1, s->logits[i] + r * V);
  ef_pass_free(pass);
  ef_model_free(&model);
}

static void open_run(teachers_sample *s, size_t count, double sharpness, const char *teachers,
                     const char *override) {
  char sharp[64], who[64];
  snprintf(sharp, sizeof sharp, "ensemble.sharpness=%g", sharpness);
  snprintf(who, sizeof who, "ensemble.teachers=%s", teachers);
  const char *overrides[] = {"federation.context=40", "global.context=40", sharp, who, override, NULL};
  memset(s, 0, sizeof *s);
  tiny_run_open(&s->t, NULL, overrides);
  cr_ok(ef_population_make(&s->t.run, &s->population));
  ef_source source = {.general = &s->t.run.public_text, .seed = 4, .unit = 1};
  cr_ok(ef_source_sample(&source, 0, 0, B, T, s->ids, s->targets));
  s->count = count;
}

/* What teacher i is said to lose on the holdout. */
static double holdout_loss(size_t i) { return 4.0 + 0.3 * (double)((i * 2) % 3); }

void teachers_sample_proxies(teachers_sample *s, size_t count, float scale, double sharpness,
                             const char *override) {
  open_run(s, count, sharpness, "proxies", override);
  s->clusters = (ef_clusters){.count = count, .clusters = s->list};
  for (size_t i = 0; i < count; i++) {
    ef_part_key key = {.kind = EF_UNIT_PROXY, .index = i, .sections = "text,federation,eval,fusion"};
    s->holdout_losses[i] = holdout_loss(i);
    s->list[i] = (ef_cluster){.entry = i, .members = 1, .loss = s->holdout_losses[i]};
    make_teacher(s, i, &key, (int32_t)i, scale);
  }
}

void teachers_sample_uploads(teachers_sample *s, float scale, double sharpness, const char *override) {
  open_run(s, TEACH_MOST, sharpness, "uploads", override);
  s->clusters = (ef_clusters){.count = 2, .clusters = s->list, .round = 1};
  int32_t *entry = s->population.entry;
  entry[2] = entry[1];
  s->list[0] = (ef_cluster){
      .entry = (size_t)entry[0], .members = 1, .devices = s->devices, .holdout_losses = s->holdout_losses};
  s->list[1] = (ef_cluster){.entry = (size_t)entry[1],
                            .members = 2,
                            .devices = s->devices + 1,
                            .holdout_losses = s->holdout_losses + 1};
  for (size_t n = 0; n < TEACH_MOST; n++) {
    ef_part_key key = {
        .kind = EF_UNIT_DEVICE, .index = s->population.devices + n, .sections = EF_DEVICE_SECTIONS};
    s->devices[n] = n;
    s->holdout_losses[n] = holdout_loss(n);
    make_teacher(s, n, &key, entry[n], scale);
  }
}

void teachers_sample_close(teachers_sample *s) {
  ef_population_free(&s->population);
  tiny_run_close(&s->t);
}
