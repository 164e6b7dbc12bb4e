#include "base/memory.h"
#include "federation/upload.h"
#include "support/support.h"
#include "support/tiny_run.h"
#include "train/block_file.h"
#include "train/part.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FAMILIES = 5 };

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

static const char *const wires[] = {"float32", "bfloat16"};

/* A run of five devices, device n of the n-th family. */
typedef struct sample {
  tiny_run t;
  ef_population population;
  ef_devices devices;
  ef_device_record records[FAMILIES];
  int owner[FAMILIES];
  ef_ledger ledger;
} sample;

/* `more` are two further overrides, or NULL. */
static void open_sample_with(sample *s, const char *wire, const char *const *more) {
  char override[64];
  snprintf(override, sizeof override, "federation.wire=%s", wire);
  const char *overrides[] = {override,
                             "federation.devices=5",
                             "fusion.clusters=5",
                             "global.experts=5",
                             more ? more[0] : NULL,
                             more ? more[1] : NULL,
                             NULL};
  *s = (sample){.devices.count = FAMILIES};
  s->devices.records = s->records;
  s->devices.owner = s->owner;
  tiny_run_open(&s->t, NULL, overrides);
  cr_ok(ef_population_make(&s->t.run, &s->population));
  for (int32_t n = 0; n < FAMILIES; n++) s->population.entry[n] = n;
  cr_ok(ef_ledger_create(FAMILIES, &s->ledger));
}

static void open_sample(sample *s, const char *wire) { open_sample_with(s, wire, NULL); }

static void close_sample(sample *s) {
  ef_ledger_free(&s->ledger);
  ef_population_free(&s->population);
  tiny_run_close(&s->t);
}

static ef_model model_of(const sample *s, size_t device) {
  ef_model model;
  cr_ok(ef_model_create(&s->population.dims[device], &model));
  for (size_t i = 0; i < model.table.count; i++) {
    const ef_tensor *tensor = &model.table.tensors[i];
    test_fill(model.params + tensor->offset, tensor->count, 3.0f, (unsigned)i);
  }
  return model;
}

static ef_status write_model(void *ctx, ef_h5 *file) {
  const ef_model *model = ctx;
  return ef_block_write(file, "/model", &model->table, model->params, EF_BLOCK_ALL, true, "parameter");
}

static void write_device(const sample *s, size_t unit, ef_model *model) {
  ef_part_key key = {.kind = EF_UNIT_DEVICE, .index = unit, .sections = EF_DEVICE_SECTIONS};
  cr_ok(ef_part_write(&s->t.run, &key, false, &(ef_part_content){model, write_model}));
}

/* Numbers of a model, tensor by tensor. */
static uint64_t numbers(const ef_model *model) {
  uint64_t n = 0;
  for (size_t i = 0; i < model->table.count; i++) {
    uint64_t count = 1;
    for (size_t r = 0; r < model->table.tensors[i].rank; r++) count *= model->table.tensors[i].shape[r];
    n += count;
  }
  return n;
}

Test(upload, bytes_on_the_ledger_are_those_of_the_formula) {
  for (size_t w = 0; w < 2; w++) {
    sample s;
    uint64_t all = 0;
    open_sample(&s, wires[w]);
    for (size_t n = 0; n < FAMILIES; n++) {
      ef_model model = model_of(&s, n), arrived;
      cr_ok(ef_model_create(&model.dims, &arrived));
      write_device(&s, n, &model);
      cr_ok(ef_upload_weights(&s.t.run, &s.population, &s.devices, n, &s.ledger, &arrived));
      uint64_t bytes = numbers(&model) * (w ? 2 : 4) + 16 * 2;
      cr_assert_eq(ef_ledger_device(&s.ledger, n, EF_UP), bytes);
      cr_assert_eq(ef_upload_formula(&s.t.deck, &model.dims), bytes);
      all += bytes;
      ef_model_free(&model);
      ef_model_free(&arrived);
    }
    cr_assert_eq(ef_ledger_total(&s.ledger, EF_UP), all);
    cr_assert_eq(ef_ledger_total(&s.ledger, EF_DOWN), 0, "nothing goes down");
    cr_assert_eq(ef_ledger_class(&s.ledger, EF_UP, EF_MSG_EMBEDDING), FAMILIES * 32);
    close_sample(&s);
  }
}

/* Weights come in each of R rounds, the embedding in the first, a loss of 4 bytes with every upload. */
Test(upload, rounds_and_losses_are_counted_as_by_the_formula) {
  const char *more[] = {"federation.rounds=3", "fusion.proxy_weights=validation"};
  for (size_t w = 0; w < 2; w++) {
    sample s;
    open_sample_with(&s, wires[w], more);
    for (size_t n = 0; n < FAMILIES; n++) {
      ef_model model = model_of(&s, n), arrived;
      uint64_t weights = numbers(&model) * (w ? 2 : 4);
      cr_ok(ef_model_create(&model.dims, &arrived));
      ef_upload_round(&s.t.run, &model);
      for (size_t r = 0; r < 3; r++) {
        model.params[0] = (float)r;
        write_device(&s, r * FAMILIES + n, &model);
        s.devices.round = r;
        cr_ok(ef_upload_weights(&s.t.run, &s.population, &s.devices, n, &s.ledger, &arrived));
        cr_assert_eq(memcmp(model.params, arrived.params, model.table.floats * sizeof(float)), 0);
        cr_assert_eq(ef_ledger_device(&s.ledger, n, EF_UP), (r + 1) * (weights + 4) + 32);
      }
      cr_assert_eq(ef_upload_formula(&s.t.deck, &model.dims), 3 * (weights + 4) + 32);
      ef_model_free(&model);
      ef_model_free(&arrived);
    }
    cr_assert_eq(ef_ledger_class(&s.ledger, EF_UP, EF_MSG_LOSS), 3 * FAMILIES * 4);
    cr_assert_eq(ef_ledger_class(&s.ledger, EF_UP, EF_MSG_EMBEDDING), FAMILIES * 32);
    close_sample(&s);
  }
}

Test(upload, what_stays_in_the_part_is_what_arrives) {
  for (size_t w = 0; w < 2; w++) {
    sample s;
    open_sample(&s, wires[w]);
    for (size_t n = 0; n < FAMILIES; n++) {
      ef_model model = model_of(&s, n), arrived;
      cr_ok(ef_model_create(&model.dims, &arrived));
      ef_upload_round(&s.t.run, &model);
      write_device(&s, n, &model);
      cr_ok(ef_upload_weights(&s.t.run, &s.population, &s.devices, n, &s.ledger, &arrived));
      cr_assert_eq(memcmp(model.params, arrived.params, model.table.floats * sizeof(float)), 0,
                   "%s, device %zu", wires[w], n);
      ef_model_free(&model);
      ef_model_free(&arrived);
    }
    close_sample(&s);
  }
}

/* bfloat16 keeps the upper half of the bits: 8 significant ones, so at most half a unit of 2^-7 is lost. */
Test(upload, rounding_goes_to_the_nearest_bfloat16) {
  sample s;
  open_sample(&s, "bfloat16");
  ef_model model = model_of(&s, 1), exact = model_of(&s, 1);
  float *x = ef_model_tensor(&model, EF_T_EMBED, -1, -1);
  x[0] = 1.0f + 1.0f / 256.0f;         /* half way: to even, down */
  x[1] = 1.0f + 3.0f / 256.0f;         /* half way: to even, up */
  x[2] = 1.0f + 1.0f / 256.0f + 1e-6f; /* above half way */
  ef_upload_round(&s.t.run, &model);
  cr_assert(x[0] == 1.0f && x[1] == 1.0f + 4.0f / 256.0f && x[2] == 1.0f + 2.0f / 256.0f);
  size_t offset = (size_t)(x - model.params) + 3, moved = 0;
  for (size_t i = offset; i < model.table.floats; i++) {
    uint32_t bits;
    memcpy(&bits, &model.params[i], sizeof bits);
    cr_assert_eq(bits & 0xffff, 0);
    cr_assert_leq(fabsf(model.params[i] - exact.params[i]), fabsf(exact.params[i]) / 256.0f);
    moved += model.params[i] != exact.params[i];
  }
  cr_assert_gt(moved, model.table.floats / 2);
  ef_model_free(&model);
  ef_model_free(&exact);
  close_sample(&s);
}

Test(upload, a_device_without_part_uploads_nothing) {
  sample s;
  open_sample(&s, "float32");
  ef_model arrived;
  cr_ok(ef_model_create(&s.population.dims[2], &arrived));
  size_t blocks = ef_memory_blocks();
  cr_assert_neq(ef_upload_weights(&s.t.run, &s.population, &s.devices, 2, &s.ledger, &arrived), EF_OK);
  cr_assert_eq(ef_ledger_total(&s.ledger, EF_UP), 0);
  cr_assert_eq(ef_memory_blocks(), blocks);
  ef_model_free(&arrived);
  close_sample(&s);
}
