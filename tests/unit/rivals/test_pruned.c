/* Pruned models: which experts weigh most by the plain transformer, the local model against the global one
 * with the other experts forbidden, and the formula of its size. */
#include "rivals/pruned.h"

#include "model/loss.h"
#include "step/exchange.h"
#include "support/support.h"
#include "text/tokenizer.h"
#include "train/model_file.h"
#include "train/trainer.h"
#include "unit/model/cases.h"
#include "unit/model/plain.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

enum { V = 40, D = 16, L = 3, E = 6, K = 2, T = 7, MOE = 2, TOKENS = 33 };

static ef_model model_of(ef_family family, const ef_shape *shape, unsigned stream) {
  ef_dims dims;
  ef_model m;
  cr_ok(ef_dims_make(family, shape, &dims));
  cr_ok(ef_model_create(&dims, &m));
  case_fill(&m, stream);
  return m;
}

/* MoE layers 1 and 2, layer 0 dense. */
static ef_model global_model(ef_family family) {
  const ef_shape shape = {.V = V,
                          .D = D,
                          .L = L,
                          .H = 2,
                          .F = 24,
                          .max_positions = 16,
                          .E = E,
                          .K = K,
                          .Fe = 6,
                          .Fs = 10,
                          .dense_first = 1};
  return model_of(family, &shape, 300);
}

static ef_model common_expert(void) {
  const ef_shape shape = {.V = V, .D = D, .L = L, .H = 4, .F = 20, .max_positions = 16};
  return model_of(EF_LLAMA, &shape, 500);
}

static void fill_text(int32_t *ids, size_t n) {
  for (size_t i = 0; i < n; i++) ids[i] = i % 11 == 0 ? EF_TOKEN_BOS : (int32_t)(i * i * 5 + 3 * i) % V;
}

/* ---- masses -------------------------------------------------------------------------------------------- */

/* Adds the softmax of the plain hidden states for the windows named. */
static void plain_mass(const ef_model *common, const ef_model *global, const int32_t *text, size_t count,
                       const size_t *windows, size_t n, double *mass) {
  double *params = plain_params(common);
  for (size_t i = 0; i < n; i++) {
    plain p;
    size_t first = windows[i] * T, rows = count - 1 - first < T ? count - 1 - first : T;
    plain_forward(&p, &common->dims, &common->table, params, text + first, 1, rows);
    for (size_t at = 0; at < rows * MOE * E; at++) {
      size_t e = at % E, layer = at / E % MOE + 1, r = at / E / MOE;
      const float *w = ef_model_tensor(global, EF_T_ROUTER_W, (int)layer, -1);
      double z[E], sum = 0.0;
      for (size_t o = 0; o < E; o++) {
        z[o] = 0.0;
        for (size_t j = 0; j < D; j++) z[o] += (double)w[o * D + j] * p.ffn_input[(layer * rows + r) * D + j];
        sum += exp(z[o]);
      }
      mass[(layer - 1) * E + e] += exp(z[e]) / sum;
    }
    plain_free(&p);
  }
  free(params);
}

static void check_mass(size_t count, size_t most, const size_t *windows, size_t n) {
  static const char *const backends[] = {"ref", "blas", "guard"};
  int32_t text[TOKENS];
  ef_model common = common_expert(), global = global_model(EF_DEEPSEEK);
  double wanted[MOE * E] = {0}, mass[MOE * E];
  fill_text(text, count);
  ef_stream stream = {.ids = text, .count = count};
  plain_mass(&common, &global, text, count, windows, n, wanted);
  for (size_t b = 0; b < 3; b++) {
    if (!ef_kernels_find(backends[b])) continue;
    for (size_t i = 0; i < MOE * E; i++) mass[i] = NAN; /* what stood there does not count */
    cr_ok(ef_gate_mass(ef_kernels_find(backends[b]), &common, &global, &stream, T, most, mass));
    for (size_t i = 0; i < MOE * E; i++)
      cr_expect_float_eq(mass[i], wanted[i], 1e-4, "%s: %zu: %g, not %g", backends[b], i, mass[i], wanted[i]);
  }
  ef_model_free(&common);
  ef_model_free(&global);
}

Test(gate, mass_is_the_softmax_over_the_common_experts_states) {
  const size_t all[] = {0, 1, 2, 3, 4}, three[] = {0, 1, 3}, one[] = {0};
  check_mass(33, 100, all, 5); /* four whole windows of 7, and one of 4 tokens with a target */
  check_mass(33, 3, three, 3); /* evenly: 0, 5/3, 10/3 */
  check_mass(33, 1, one, 1);
  check_mass(2, 5, one, 1); /* one token */
}

Test(gate, masses_sum_to_the_tokens) {
  int32_t text[TOKENS];
  ef_model common = common_expert(), global = global_model(EF_QWEN2_MOE);
  double mass[MOE * E], sum = 0.0;
  fill_text(text, TOKENS);
  ef_stream stream = {.ids = text, .count = TOKENS};
  cr_ok(ef_gate_mass(ef_kernels_find("ref"), &common, &global, &stream, T, 100, mass));
  for (size_t i = 0; i < MOE * E; i++) sum += mass[i];
  cr_expect_float_eq(sum, MOE * (TOKENS - 1), 1e-4);
  ef_model_free(&common);
  ef_model_free(&global);
}

Test(gate, a_text_without_windows_is_refused) {
  int32_t text[TOKENS];
  ef_model common = common_expert(), global = global_model(EF_QWEN2_MOE);
  double mass[MOE * E];
  const ef_kernels *k = ef_kernels_find("ref");
  fill_text(text, TOKENS);
  ef_stream one = {.ids = text, .count = 1}, long_enough = {.ids = text, .count = TOKENS};
  cr_expect_eq(ef_gate_mass(k, &common, &global, &one, T, 4, mass), EF_INPUT);
  cr_expect(strstr(ef_message(), "text of 1 tokens"), "%s", ef_message());
  cr_expect_eq(ef_gate_mass(k, &common, &global, &long_enough, T, 0, mass), EF_INPUT);
  cr_expect_eq(ef_gate_mass(k, &common, &global, &long_enough, 17, 4, mass), EF_INPUT, "17 of 16 positions");
  cr_expect_eq(ef_gate_mass(k, &global, &global, &long_enough, T, 4, mass), EF_FAULT, "not a dense model");
  ef_model_free(&common);
  ef_model_free(&global);
}

Test(gate, order_by_mass) {
  const double mass[] = {3.0, 9.0, 3.0, 0.5, 9.0, 3.0}, flat[5] = {1.0, 1.0, 1.0, 1.0, 1.0};
  static const int32_t wanted[][E] = {{1, 0, 2, 3, 4, 5}, {1, 4, 0, 2, 3, 5}, {0, 1, 4, 2, 3, 5},
                                      {0, 1, 2, 4, 3, 5}, {0, 1, 2, 4, 5, 3}, {0, 1, 2, 3, 4, 5}};
  int32_t order[E];
  for (size_t held = 1; held <= E; held++) {
    cr_ok(ef_experts_order(mass, E, held, order));
    for (size_t j = 0; j < E; j++)
      cr_expect_eq(order[j], wanted[held - 1][j], "%zu held: place %zu", held, j);
  }
  cr_ok(ef_experts_order(flat, 5, 3, order));
  for (int32_t j = 0; j < 5; j++) cr_expect_eq(order[j], j);
}

/* Expert e weighs (e * 12345) mod 1009: any number comes up 64 or 65 times. Those held are ascending, and no
 * other weighs more, or as much with a lower number. */
Test(pruned, order_of_very_many_experts, .timeout = 20) {
  enum { MANY = 65536, HELD = 20000 };
  static double mass[MANY];
  static int32_t order[MANY];
  static bool seen[MANY];
  for (size_t e = 0; e < MANY; e++) mass[e] = (double)(e * 12345 % 1009);
  cr_ok(ef_experts_order(mass, MANY, HELD, order));
  double least = 1e9;
  int32_t last = -1;
  for (size_t j = 0; j < MANY; j++) {
    cr_assert(order[j] >= 0 && order[j] < MANY && !seen[order[j]], "place %zu", j);
    cr_assert(j % MANY == 0 || j == HELD || order[j] > order[j - 1], "place %zu", j);
    seen[order[j]] = true;
    double m = mass[order[j]];
    if (j < HELD && m < least) least = m;
    if (j < HELD && m == least) last = order[j];
    cr_assert(j < HELD || m < least || (m == least && order[j] > last), "place %zu", j);
  }
}

/* ---- the local model ----------------------------------------------------------------------------------- */

static const int32_t orders[MOE * E] = {1, 2, 5, 0, 3, 4, 0, 3, 4, 1, 2, 5}; /* three held */

static ef_model pruned(const ef_model *global, size_t held, const int32_t *order) {
  ef_dims dims;
  ef_model local;
  cr_ok(ef_pruned_dims(&global->dims, held, &dims));
  cr_ok(ef_model_create(&dims, &local));
  ef_pruned_take(global, order, &local);
  return local;
}

static void compare_with_forbidden(ef_family family, bool norm_topk, const char *backend, ef_pass_kind kind) {
  const ef_kernels *k = ef_kernels_find(backend);
  if (!k) return;
  ef_model global = global_model(family);
  global.dims.norm_topk = norm_topk;
  ef_model local = pruned(&global, 3, orders);
  int32_t ids[2 * T];
  int forbidden[L * E] = {0};
  double *params = plain_params(&global), worst = 0.0, largest = 0.0;
  float logits[2 * T * V];
  plain p;
  ef_pass *pass;
  for (size_t i = 0; i < MOE * E; i++) forbidden[(i / E + 1) * E + (size_t)orders[i]] = i % E >= 3;
  fill_text(ids, 2 * T);
  plain_forward_without(&p, &global.dims, &global.table, params, forbidden, ids, 2, T);
  cr_ok(ef_pass_create(&local.dims, k, kind, 2, T, false, NULL, &pass));
  cr_ok(ef_forward(pass, &local, ids, 2, T));
  ef_logits(pass, &local, 0, 2 * T, logits);
  for (size_t i = 0; i < 2 * T * V; i++) {
    worst = fmax(worst, fabs((double)logits[i] - p.logits[i]));
    largest = fmax(largest, fabs(p.logits[i]));
  }
  cr_expect_lt(worst, 1e-5 * largest, "%s, %s: %g", ef_family_name(family), backend, worst / largest);
  /* Pooled over the layers, counts of unlike experts meet under one new number: only losses of one layer are
   * the global model's. */
  if (global.dims.aux != EF_AUX_POOLED)
    cr_expect_float_eq(ef_pass_aux(pass), plain_aux(&p), 1e-6 * plain_aux(&p), "%s: aux", backend);
  ef_pass_free(pass);
  plain_free(&p);
  free(params);
  ef_model_free(&global);
  ef_model_free(&local);
}

Test(pruned, computes_the_global_model_with_the_others_forbidden) {
  const char *const backends[] = {"ref", "blas", "guard"};
  for (size_t b = 0; b < 3; b++) {
    for (int normed = 0; normed < 2; normed++) {
      compare_with_forbidden(EF_QWEN2_MOE, normed, backends[b], EF_PASS_TRAIN);
      compare_with_forbidden(EF_DEEPSEEK, normed, backends[b], EF_PASS_EVAL);
    }
  }
}

Test(pruned, of_all_experts_it_is_the_global_model) {
  ef_model global = global_model(EF_QWEN2_MOE);
  const double mass[E] = {1.0, 5.0, 2.0, 4.0, 0.0, 9.0};
  int32_t order[MOE * E];
  for (size_t m = 0; m < MOE; m++) cr_ok(ef_experts_order(mass, E, E, order + m * E));
  ef_model local = pruned(&global, E, order);
  cr_expect_eq(local.dims.held, 0);
  cr_assert_eq(local.table.floats, global.table.floats);
  cr_expect_eq(memcmp(local.params, global.params, global.table.floats * sizeof(float)), 0);
  ef_model_free(&global);
  ef_model_free(&local);
}

Test(pruned, as_many_experts_as_can_be) {
  ef_model global = global_model(EF_QWEN2_MOE);
  ef_dims local;
  cr_expect_eq(ef_pruned_dims(&global.dims, K - 1, &local), EF_INPUT);
  cr_expect(strstr(ef_message(), "from 2 (those of a token) to 6"), "%s", ef_message());
  cr_expect_eq(ef_pruned_dims(&global.dims, E + 1, &local), EF_INPUT);
  cr_ok(ef_pruned_dims(&global.dims, 3, &local));
  cr_ok(ef_dims_check(&local));
  cr_expect_eq(ef_pruned_dims(&local, 2, &local), EF_FAULT, "a local model is not pruned again");
  ef_model_free(&global);
}

/* ---- what becomes of it -------------------------------------------------------------------------------- */

typedef struct text {
  int32_t ids[TOKENS];
  ef_stream stream;
} text;

static void open_text(text *t) {
  fill_text(t->ids, TOKENS);
  t->stream = (ef_stream){.ids = t->ids, .count = TOKENS};
}

Test(pruned, is_trained_as_any_model) {
  ef_model global = global_model(EF_DEEPSEEK), local = pruned(&global, 3, orders);
  ef_recipe recipe = {.steps = 30, .batch = 2, .context = T, .lr = 1e-2, .min_lr = 1e-2, .clip = 1.0};
  text t;
  open_text(&t);
  ef_source source = {.general = &t.stream, .seed = 5, .unit = 7};
  ef_trainer trainer;
  cr_ok(ef_trainer_create(&local, ef_kernels_find("ref"), &recipe, &source, NULL, &trainer));
  while (!trainer.ended) cr_ok(ef_trainer_step(&trainer));
  cr_assert_eq(trainer.history.count, 30);
  cr_expect_lt(trainer.history.rows[29][EF_HISTORY_CE], 0.8f * trainer.history.rows[0][EF_HISTORY_CE]);
  ef_trainer_free(&trainer);
  ef_model_free(&global);
  ef_model_free(&local);
}

Test(pruned, comes_back_from_a_file) {
  char folder[4000], path[4096];
  ef_model global = global_model(EF_QWEN2_MOE), local = pruned(&global, 3, orders), back;
  ef_model_source source;
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/local.h5", folder);
  cr_ok(ef_model_source_make(&local, &source));
  cr_ok(ef_model_save(path, &local, &source));
  cr_ok(ef_model_load(path, &back, NULL));
  cr_expect_eq(back.dims.held, 3);
  cr_assert_eq(back.table.floats, local.table.floats);
  cr_expect_eq(memcmp(back.params, local.params, local.table.floats * sizeof(float)), 0);
  ef_model_source_free(&source);
  ef_model_free(&global);
  ef_model_free(&local);
  ef_model_free(&back);
  test_remove_folder(folder);
}

Test(pruned, is_not_spread_over_ranks) {
  ef_model global = global_model(EF_QWEN2_MOE), local = pruned(&global, 3, orders);
  ef_par alone = ef_par_alone();
  ef_exchange *exchange;
  cr_expect_eq(ef_exchange_create(&alone, ef_kernels_find("ref"), &local, 8, true, &exchange), EF_FAULT);
  cr_expect_null(exchange);
  ef_model_free(&global);
  ef_model_free(&local);
}

/* ---- the formula --------------------------------------------------------------------------------------- */

static size_t counted(const ef_dims *global, size_t held) {
  ef_dims dims;
  ef_model local;
  size_t n = 0;
  cr_ok(ef_pruned_dims(global, held, &dims));
  cr_ok(ef_model_create(&dims, &local));
  for (size_t i = 0; i < local.table.count; i++) n += local.table.tensors[i].count;
  ef_model_free(&local);
  return n;
}

Test(pruned, numbers_on_the_wire_are_those_of_the_table) {
  size_t cases = 0;
  for (size_t i = 0; i < test_case_count; i++) {
    ef_model m = case_model(test_cases[i].config);
    m.dims.held = 0;
    for (size_t held = m.dims.K; m.dims.E > 0 && held <= m.dims.E; held++, cases++) {
      cr_expect_eq(ef_pruned_numbers(&m.dims, held), counted(&m.dims, held), "%s, %zu held",
                   test_cases[i].name, held);
    }
    ef_model_free(&m);
  }
  cr_expect_gt(cases, 40);
}

/* Qwen1.5-MoE-A2.7B has 14,315,784,192 parameters; 58 of 60 experts of 3*2048*1408 are left out in 24 layers.
 */
Test(pruned, numbers_of_a_published_model) {
  const ef_shape shape = {.V = 151936,
                          .D = 2048,
                          .L = 24,
                          .H = 16,
                          .F = 5632,
                          .max_positions = 8192,
                          .E = 60,
                          .K = 4,
                          .Fe = 1408,
                          .Fs = 5632};
  ef_dims d;
  cr_ok(ef_dims_make(EF_QWEN2_MOE, &shape, &d));
  cr_expect_eq(ef_pruned_numbers(&d, 60), 14315784192u);
  cr_expect_eq(ef_pruned_numbers(&d, 2), 14315784192u - 24ull * 58 * 3 * 2048 * 1408);
}
