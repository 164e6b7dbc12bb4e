#include "base/memory.h"
#include "fusion/router_fit.h"
#include "merge_sample.h"
#include "support/tiny_run.h"
#include "train/source.h"
#include "train/unit.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { K = 2, D = 8, E = 4, FE = 3 };

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

typedef struct sample {
  tiny_run t;
  merge_sample m;
  ef_clusters clusters;
  ef_cluster list[K];
  float *before; /* parameters after the merge */
} sample;

static void open_sample(sample *s, ef_family family, size_t top_k, size_t Fs, bool equal, const char *router,
                        const char *scale) {
  const char *overrides[] = {router, scale, NULL};
  *s = (sample){0};
  tiny_run_open(&s->t, NULL, overrides);
  for (size_t d = 0; d < TINY_DOMAINS; d++) { /* the sample's vocabulary is smaller */
    ef_stream *stream = &s->t.run.public_by_domain[d];
    for (size_t i = 0; i < stream->count; i++) stream->ids[i] %= 13;
  }
  ef_dims dims = merge_dims(family, E, top_k, FE, Fs);
  s->m = merge_sample_make(&dims, K, equal);
  s->clusters = (ef_clusters){.count = K, .clusters = s->list};
  s->list[1].domain = 1;
  cr_ok(ef_merge(s->m.base, K, &s->m.moe));
  size_t n = s->m.moe.table.floats;
  s->before = ef_alloc(n, sizeof(float));
  memcpy(s->before, s->m.moe.params, n * sizeof(float));
}

static ef_status fit(sample *s) { return ef_router_fit(&s->t.run, &s->clusters, s->m.base, &s->m.moe); }

static void close_sample(sample *s) {
  ef_free(s->before);
  merge_sample_free(&s->m);
  tiny_run_close(&s->t);
}

/* Every tensor is as it was, but those of the roles named. */
static void expect_changes(const sample *s, bool routers, bool downs) {
  const ef_table *table = &s->m.moe.table;
  for (size_t i = 0; i < table->count; i++) {
    const ef_tensor *t = &table->tensors[i];
    bool may = (routers && t->role == EF_T_ROUTER_W) || (downs && t->role == EF_T_EXPERT_DOWN_W);
    bool same = memcmp(s->before + t->offset, s->m.moe.params + t->offset, t->count * sizeof(float)) == 0;
    cr_assert_eq(same, !may, "%s", t->name);
  }
}

Test(router_fit, does_nothing_unless_asked) {
  sample s;
  open_sample(&s, EF_QWEN2_MOE, 2, 6, false, "fusion.router=normal", "fusion.scale=false");
  ef_router_normal(&s.m.moe, 1);
  memcpy(s.before, s.m.moe.params, s.m.moe.table.floats * sizeof(float));
  cr_ok(fit(&s));
  expect_changes(&s, false, false);
  close_sample(&s);
}

Test(router_fit, the_options_change_what_they_should_and_nothing_else) {
  const ef_family families[] = {EF_QWEN2_MOE, EF_DEEPSEEK};
  const char *routers[] = {"fusion.router=normal", "fusion.router=prior"},
             *scales[] = {"fusion.scale=false", "fusion.scale=true"};
  for (int f = 0; f < 2; f++) {
    for (int i = 1; i < 4; i++) {
      sample s;
      open_sample(&s, families[f], 2, 6, false, routers[i & 1], scales[i >> 1]);
      cr_ok(fit(&s));
      expect_changes(&s, i & 1, i >> 1);
      close_sample(&s);
    }
  }
}

Test(router_fit, is_a_pure_function) {
  sample a, b;
  open_sample(&a, EF_QWEN2_MOE, 2, 6, false, "fusion.router=prior", "fusion.scale=true");
  open_sample(&b, EF_QWEN2_MOE, 2, 6, false, "fusion.router=prior", "fusion.scale=true");
  cr_ok(fit(&a));
  cr_ok(fit(&b));
  cr_assert_eq(memcmp(a.m.moe.params, b.m.moe.params, a.m.moe.table.floats * sizeof(float)), 0);
  close_sample(&a);
  close_sample(&b);
}

/* Equal bases and a router of zeros: every expert has probability 1/E and each base's FFN is cut into g = E/K
 * of them. With all experts chosen the routed part is K * FFN / E = FFN / g; with a shared expert of the
 * whole FFN, gated by 1/2 (Qwen), the routed part stands for the other half. Least squares must find a = g
 * and a = g/2. */
static void check_scale(size_t Fs, double wanted) {
  sample s;
  open_sample(&s, EF_QWEN2_MOE, E, Fs, true, "fusion.router=normal", "fusion.scale=true");
  cr_ok(fit(&s));
  for (int l = 0; l < 3; l++) {
    for (int e = 0; e < E; e++) {
      const float *down = ef_model_tensor(&s.m.moe, EF_T_EXPERT_DOWN_W, l, e);
      const float *before = s.before + (down - s.m.moe.params);
      for (size_t i = 0; i < D * FE; i++) {
        cr_assert_float_eq((double)down[i], wanted * (double)before[i],
                           1e-4 * fabs(wanted * (double)before[i]));
      }
    }
  }
  close_sample(&s);
}

Test(router_fit, the_scale_makes_up_for_the_probabilities) { check_scale(0, 2.0); }
Test(router_fit, the_scale_leaves_room_for_the_shared_expert) { check_scale(2 * FE, 1.0); }

/* Rows of the prior point from the mean of the clusters' means to the mean router input of the own cluster,
 * which the test takes from a pass over the windows named in the header: of the cluster's own domain. */
Test(router_fit, the_prior_points_to_the_text_of_the_own_domain) {
  sample s;
  open_sample(&s, EF_QWEN2_MOE, 2, 6, false, "fusion.router=prior", "fusion.scale=false");
  ef_model *moe = &s.m.moe;
  size_t B = (size_t)s.t.deck.fusion.batch, T = (size_t)s.t.deck.global.context;
  int32_t ids[64], targets[64];
  double mu[K][D] = {{0}};
  ef_pass *pass;
  cr_ok(fit(&s));
  cr_ok(ef_pass_create(&moe->dims, s.t.run.kernels, EF_PASS_TRAIN, B, T, false, NULL, &pass));
  for (size_t i = 0; i < K; i++) {
    ef_source source = {
        .general = &s.t.run.public_by_domain[i], .seed = 1, .unit = ef_unit(EF_UNIT_MERGED, i)};
    for (size_t batch = 0; batch < 2; batch++) {
      cr_ok(ef_source_sample(&source, batch, 0, B, T, ids, targets));
      cr_ok(ef_forward(pass, moe, ids, B, T));
      const float *x = ef_pass_ffn_input(pass, 1);
      for (size_t n = 0; n < B * T * D; n++) mu[i][n % D] += (double)x[n] / (double)(2 * B * T);
    }
  }
  const float *rows = ef_model_tensor(moe, EF_T_ROUTER_W, 1, -1);
  for (size_t e = 0; e < E; e++) {
    double ab = 0.0, aa = 0.0, bb = 0.0;
    for (size_t c = 0; c < D; c++) {
      double a = (double)rows[e * D + c], b = mu[e / 2][c] - 0.5 * (mu[0][c] + mu[1][c]);
      ab += a * b;
      aa += a * a;
      bb += b * b;
    }
    cr_assert_float_eq(ab / sqrt(aa * bb), 1.0, 1e-5, "expert %zu", e);
  }
  ef_pass_free(pass);
  close_sample(&s);
}
