#include "base/memory.h"
#include "federation/wire.h"
#include "support/support.h"
#include "support/tiny_run.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

/* A Mixture-of-Experts with gaps in its block (odd widths), filled by tensor. */
static ef_model sample(unsigned stream) {
  ef_shape shape = {.V = 11, .D = 6, .L = 2, .H = 3, .max_positions = 8, .E = 3, .K = 2, .Fe = 5, .Fs = 7};
  ef_dims dims;
  ef_model model;
  cr_ok(ef_dims_make(EF_QWEN2_MOE, &shape, &dims));
  cr_ok(ef_dims_add_exit(&dims, 1));
  cr_ok(ef_model_create(&dims, &model));
  for (size_t i = 0; i < model.table.count; i++) {
    const ef_tensor *tensor = &model.table.tensors[i];
    test_fill(model.params + tensor->offset, tensor->count, 2.0f, stream + (unsigned)i);
  }
  return model;
}

static size_t numbers(const ef_model *model) {
  size_t n = 0;
  for (size_t i = 0; i < model->table.count; i++) {
    const ef_tensor *t = &model->table.tensors[i];
    n += t->rank == 2 ? t->shape[0] * t->shape[1] : t->shape[0];
  }
  return n;
}

static void check(const char *wire, size_t width) {
  char override[64];
  snprintf(override, sizeof override, "federation.wire=%s", wire);
  const char *overrides[] = {override, NULL};
  tiny_run t;
  tiny_run_open(&t, NULL, overrides);
  ef_model sent = sample(5), arrived = sample(900);
  unsigned char *message;
  cr_assert_eq(ef_wire_bytes(&t.deck, &sent.dims), numbers(&sent) * width);
  cr_ok(EF_NEW(message, numbers(&sent) * width));
  cr_assert_eq(ef_wire_pack(&t.deck, &sent, message), numbers(&sent) * width);
  ef_wire_unpack(&t.deck, message, &arrived);
  ef_wire_round(&t.deck, &sent);
  cr_assert_eq(memcmp(sent.params, arrived.params, sent.table.floats * sizeof(float)), 0);
  ef_free(message);
  ef_model_free(&sent);
  ef_model_free(&arrived);
  tiny_run_close(&t);
}

Test(wire, a_model_arrives_as_it_was_sent) { check("float32", 4); }
Test(wire, a_model_arrives_rounded) { check("bfloat16", 2); }
