/* Averages of local models against plain means over the tensors, found by name. */
#include "rivals/average.h"

#include "rivals/pruned.h"
#include "unit/model/cases.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

enum { E = 6, L = 3, MOE = 2, DEVICES = 3, HELD = 3 };

static const double weights[DEVICES] = {113.0, 7.0, 0.3};
/* Expert 5 of the first and 2 of the second MoE layer are held by nobody. */
static const int32_t orders[DEVICES][MOE * E] = {{1, 2, 4, 0, 3, 5, 0, 3, 4, 1, 2, 5},
                                                 {0, 1, 3, 2, 4, 5, 1, 3, 5, 0, 2, 4},
                                                 {1, 3, 4, 0, 2, 5, 0, 4, 5, 1, 2, 3}};

static ef_dims dims_of(void) {
  const ef_shape shape = {.V = 30,
                          .D = 8,
                          .L = L,
                          .H = 2,
                          .F = 12,
                          .max_positions = 8,
                          .E = E,
                          .K = 2,
                          .Fe = 5,
                          .Fs = 7,
                          .dense_first = 1};
  ef_dims dims;
  cr_ok(ef_dims_make(EF_DEEPSEEK, &shape, &dims));
  cr_ok(ef_dims_add_exit(&dims, 2));
  return dims;
}

static ef_model model_of(size_t held, unsigned stream) {
  ef_dims global = dims_of(), dims;
  ef_model m;
  cr_ok(ef_pruned_dims(&global, held, &dims));
  cr_ok(ef_model_create(&dims, &m));
  case_fill(&m, stream);
  return m;
}

static ef_average average_of_devices(ef_average a) {
  for (size_t n = 0; n < DEVICES; n++) {
    ef_model local = model_of(HELD, 1000 * (unsigned)(n + 1));
    cr_ok(ef_average_add(&a, &local, orders[n], weights[n]));
    ef_model_free(&local);
  }
  return a;
}

static ef_average empty(void) {
  ef_dims dims = dims_of();
  ef_average a;
  cr_ok(ef_average_create(&dims, &a));
  return a;
}

/* Place of global expert e of a layer in the device's order, E if it is not held. */
static size_t place_of(size_t device, int layer, int e) {
  for (size_t j = 0; j < HELD; j++) {
    if (orders[device][(size_t)(layer - 1) * E + j] == e) return j;
  }
  return E;
}

/* Adds number i of a global tensor as a device has it; false if it does not count there. */
static bool number_at(const ef_model *local, size_t device, const ef_tensor *t, size_t i, double *x) {
  size_t width = local->dims.D;
  if (t->role == EF_T_ROUTER_W) {
    size_t j = place_of(device, t->layer, (int)(i / width));
    if (j == E) return false;
    *x = (double)ef_model_tensor(local, t->role, t->layer, -1)[j * width + i % width];
    return true;
  }
  size_t j = t->expert < 0 ? 0 : place_of(device, t->layer, t->expert);
  if (j == E) return false;
  *x = (double)ef_model_tensor(local, t->role, t->layer, t->expert < 0 ? -1 : (int)j)[i];
  return true;
}

static void expect_plain_mean(const ef_model *result, const ef_model *before) {
  ef_model local[DEVICES];
  size_t untouched = 0;
  for (size_t n = 0; n < DEVICES; n++) local[n] = model_of(HELD, 1000 * (unsigned)(n + 1));
  for (size_t k = 0; k < result->table.count; k++) {
    const ef_tensor *t = &result->table.tensors[k];
    for (size_t i = 0; i < t->count; i++) {
      double sum = 0.0, weight = 0.0, x = 0.0;
      for (size_t n = 0; n < DEVICES; n++) {
        if (!number_at(&local[n], n, t, i, &x)) continue;
        sum += weights[n] * x;
        weight += weights[n];
      }
      double old = (double)before->params[t->offset + i], mean = weight > 0.0 ? sum / weight : old;
      double now = (double)result->params[t->offset + i];
      untouched += weight == 0.0;
      cr_assert(weight > 0.0 ? fabs(now - mean) <= 1e-7 * fabs(mean) : now == old, "%s[%zu]: %g, not %g",
                t->name, i, now, mean);
    }
  }
  cr_expect_eq(untouched, MOE * (3 * 8 * 5 + 8), "one expert of each layer with its row of the router");
  for (size_t n = 0; n < DEVICES; n++) ef_model_free(&local[n]);
}

Test(average, shared_tensors_over_all_and_experts_over_holders) {
  ef_average a = average_of_devices(empty());
  ef_model global = model_of(E, 7), before = model_of(E, 7);
  cr_expect_eq(a.added, DEVICES);
  ef_average_finish(&a, &global);
  expect_plain_mean(&global, &before);
  ef_average_free(&a);
  ef_model_free(&global);
  ef_model_free(&before);
}

/* Numbers where a rounding or a lost sign would show. */
static void make_awkward(ef_model *m) {
  const float awkward[] = {-0.0f, 0.0f, 1e-45f, -3e-39f, 3.4e38f, -1.17549435e-38f, 0.1f, 16777217.0f};
  for (size_t i = 0; i < m->table.count; i++) {
    for (size_t j = 0; j < 8 && j < m->table.tensors[i].count; j++) {
      m->params[m->table.tensors[i].offset + j] = awkward[(i + j) % 8];
    }
  }
}

Test(average, of_one_model_is_that_model_bit_for_bit) {
  const double lonely[] = {1.0, 3.0, 0.1, 1e9 + 7.0, 1.0 / 3.0};
  for (size_t w = 0; w < 5; w++) {
    ef_model whole = model_of(E, 20), global = model_of(E, 21);
    make_awkward(&whole);
    ef_average a = empty();
    cr_ok(ef_average_add(&a, &whole, NULL, lonely[w]));
    ef_average_finish(&a, &global);
    cr_expect_eq(memcmp(global.params, whole.params, whole.table.floats * sizeof(float)), 0, "weight %g",
                 lonely[w]);
    cr_ok(ef_average_add(&a, &whole, NULL, 0.7));
    cr_ok(ef_average_add(&a, &whole, NULL, 11.0));
    ef_average_finish(&a, &global);
    cr_expect_eq(memcmp(global.params, whole.params, whole.table.floats * sizeof(float)), 0, "equal models");
    ef_average_free(&a);
    ef_model_free(&whole);
    ef_model_free(&global);
  }
}

/* What a device returns untouched changes nothing, whatever it held. */
Test(average, of_one_pruned_model_puts_its_experts_back) {
  ef_model global = model_of(E, 30), kept = model_of(E, 30);
  ef_dims dims;
  ef_model local;
  make_awkward(&global);
  memcpy(kept.params, global.params, global.table.floats * sizeof(float));
  cr_ok(ef_pruned_dims(&global.dims, HELD, &dims));
  cr_ok(ef_model_create(&dims, &local));
  ef_pruned_take(&global, orders[1], &local);
  ef_average a = empty();
  ef_average_finish(&a, &global);
  cr_expect_eq(memcmp(global.params, kept.params, kept.table.floats * sizeof(float)), 0, "nothing was added");
  cr_ok(ef_average_add(&a, &local, orders[1], 17.0));
  ef_average_finish(&a, &global);
  cr_expect_eq(memcmp(global.params, kept.params, kept.table.floats * sizeof(float)), 0);
  ef_average_free(&a);
  ef_model_free(&local);
  ef_model_free(&global);
  ef_model_free(&kept);
}

Test(average, foreign_models_and_weights_are_refused) {
  const ef_shape shape = {.V = 30, .D = 16, .L = L, .H = 2, .max_positions = 8, .E = E, .K = 2, .Fe = 5};
  ef_average a = empty();
  ef_model local = model_of(HELD, 1), other;
  ef_dims dims;
  const double bad[] = {0.0, -1.0, (double)INFINITY, (double)NAN};
  cr_ok(ef_dims_make(EF_DEEPSEEK, &shape, &dims));
  cr_ok(ef_model_create(&dims, &other));
  for (size_t i = 0; i < 4; i++) cr_expect_eq(ef_average_add(&a, &local, orders[0], bad[i]), EF_FAULT);
  cr_expect_eq(ef_average_add(&a, &other, orders[0], 1.0), EF_FAULT);
  cr_expect_eq(ef_average_add(&a, &local, NULL, 1.0), EF_FAULT);
  cr_expect_eq(a.added, 0);
  ef_average_free(&a);
  ef_model_free(&local);
  ef_model_free(&other);
}
