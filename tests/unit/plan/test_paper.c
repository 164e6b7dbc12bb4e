#include "base/memory.h"
#include "plan/paper_report.h"
#include "train/trainer.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* The paper's setting by closed formula, against counts published or worked by hand. */

static ef_paper make_paper(void) {
  ef_paper paper;
  cr_assert_eq(ef_paper_make(&paper), EF_OK, "%s", ef_message());
  return paper;
}

/* GPT-2: 50257 D + 1024 D + L (12 D^2 + 13 D) + 2 D. TinyLlama: 2 * 32000 D + 22 (2 D^2 + 2 * 256 D + 3 *
 * 5632 D
 * + 2 D) + D. OLMo: 50304 D + 16 (4 D^2 + 3 * 8192 D). BLOOM: 250880 D + 24 (12 D^2 + 13 D) + 4 D. The MoEs'
 * agree with the published 14.3B, 2.7B, 16.4B and 2.8B. */
Test(paper, true_sizes) {
  static const struct {
    const char *name;
    size_t params, active;
  } known[EF_PAPER_MODELS] = {
      {"GPT-2", 124439808, 124439808},
      {"GPT-2 Medium", 354823168, 354823168},
      {"TinyLlama", 1100048384, 1100048384},
      {"OLMo-1.2B", 1176764416, 1176764416},
      {"BLOOM-1.1B", 1065314304, 1065314304},
      {"Qwen1.5-MoE", 14315784192, 2689173504},
      {"DeepSeek-MoE-16B", 16375728128, 2828650496},
  };
  ef_paper paper = make_paper();
  for (size_t i = 0; i < EF_PAPER_MODELS; i++) {
    cr_expect_str_eq(paper.models[i].name, known[i].name);
    cr_expect_eq(ef_dims_params(&paper.models[i].dims), known[i].params, "%s", known[i].name);
    cr_expect_eq(ef_dims_active_params(&paper.models[i].dims), known[i].active, "%s", known[i].name);
  }
}

/* ---- formulas ----------------------------------------------------------------------------------------- */

/* Llama, V=32 D=8 F=16: 256 + L (8 + 4*64 + 8 + 3*128) + 8 + 256 = 1176 and 1832 for one and two layers.
 * Qwen MoE: 256 + (8 + 3*64 + 24 + 64) + (8 + 16 + 2*96 + 96 + 8) + 8 + 256 = 1128, of which 96 an expert. */
static void make_small(ef_dims *one, ef_dims *two, ef_dims *moe) {
  ef_shape shape = {.V = 32, .D = 8, .L = 1, .H = 2, .F = 16, .max_positions = 64};
  cr_assert_eq(ef_dims_make(EF_LLAMA, &shape, one), EF_OK);
  shape.L = 2;
  cr_assert_eq(ef_dims_make(EF_LLAMA, &shape, two), EF_OK);
  shape = (ef_shape){
      .V = 32, .D = 8, .L = 1, .H = 2, .F = 16, .max_positions = 64, .E = 2, .K = 1, .Fe = 4, .Fs = 4};
  cr_assert_eq(ef_dims_make(EF_QWEN2_MOE, &shape, moe), EF_OK);
}

static double total(ef_paper_method method, const ef_paper_counts *counts, const ef_paper_settings *s,
                    size_t devices) {
  ef_paper_traffic traffic = ef_paper_traffic_of(method, counts, s);
  return ef_paper_total(&traffic, devices);
}

Test(paper, bytes_of_small_models_by_hand) {
  ef_dims one, two, moe;
  make_small(&one, &two, &moe);
  ef_paper_counts counts = ef_paper_count((const ef_dims *const[]){&one, &two}, 2, &moe);
  cr_expect_float_eq(counts.device, 1504, 1e-9);
  cr_expect_float_eq(counts.global, 1128, 0);
  cr_expect_float_eq(counts.expert, 96, 0);
  cr_expect_float_eq(counts.client_base, 936, 0);
  ef_paper_settings s = {.bytes = 2,
                         .rounds = 3,
                         .experts = 1,
                         .common_params = 10,
                         .public_tokens = 100,
                         .public_samples = 5,
                         .top_k = 4,
                         .embedding_bytes = 32};
  cr_expect_float_eq(total(EF_PAPER_DEEPFUSION, &counts, &s, 16), 16 * (2 * 1504 + 32), 1e-6);
  cr_expect_float_eq(total(EF_PAPER_FEDAVG, &counts, &s, 16), 216576, 1e-6);  /* 2*3*16 * 2*1128 */
  cr_expect_float_eq(total(EF_PAPER_FEDJETS, &counts, &s, 16), 198464, 1e-6); /* 2*3*16 * 2*1032 + 16*20 */
  cr_expect_float_eq(total(EF_PAPER_FEDMKT, &counts, &s, 16), 232320, 1e-6);  /* 2*3*16 * (400*6 + 20) */
  cr_expect_float_eq(total(EF_PAPER_OFAKD, &counts, &s, 16), 48640, 1e-6);
}

/* DeepSeek's dense first layer has no expert: one of two layers counts. */
Test(paper, dense_layers_have_no_expert) {
  ef_shape shape = {.V = 32,
                    .D = 8,
                    .L = 2,
                    .H = 2,
                    .F = 16,
                    .max_positions = 64,
                    .E = 4,
                    .K = 2,
                    .Fe = 4,
                    .Fs = 8,
                    .dense_first = 1};
  ef_dims dims;
  cr_assert_eq(ef_dims_make(EF_DEEPSEEK, &shape, &dims), EF_OK);
  ef_paper_counts counts = ef_paper_count((const ef_dims *const[]){&dims}, 1, &dims);
  cr_expect_float_eq(counts.expert, 3 * 8 * 4, 0);
  cr_expect_float_eq(ef_paper_client_params(&counts, 4), (double)ef_dims_params(&dims), 0);
  cr_expect_float_eq(ef_paper_client_params(&counts, 2), (double)ef_dims_active_params(&dims), 0);
}

/* FedAvg on bfloat16 Qwen1.5-MoE: 57.3 GB for a device and round; FedMKT with 10^6 tokens, 16 logits of 2
 * bytes: 96 MB each way. */
Test(paper, values_for_orientation) {
  ef_paper paper = make_paper();
  ef_paper_settings s = ef_paper_defaults();
  const ef_paper_counts *counts = &paper.cases[0].counts;
  ef_paper_traffic fedavg = ef_paper_traffic_of(EF_PAPER_FEDAVG, counts, &s);
  cr_expect_float_eq((fedavg.up + fedavg.down) / 1e9, 57.3, 0.05);
  ef_paper_traffic fedmkt = ef_paper_traffic_of(EF_PAPER_FEDMKT, counts, &s);
  cr_expect_float_eq(fedmkt.up, 96e6 + 4 * 10000, 0);
  cr_expect_float_eq(fedmkt.down, fedmkt.up, 0);
  cr_expect_float_eq(paper.cases[0].counts.device / 1e9, 0.526, 0.0005);
  cr_expect_float_eq(paper.cases[1].counts.device / 1e9, 1.114, 0.0005);
  /* 24 * 58 and 27 * 62 experts of 3 * 2048 * 1408 fewer than the whole */
  cr_expect_float_eq(ef_paper_client_params(&paper.cases[0].counts, 2), 2273937408, 0);
  cr_expect_float_eq(ef_paper_client_params(&paper.cases[1].counts, 2), 1894369280, 0);
}

Test(paper, linear_in_devices) {
  ef_paper paper = make_paper();
  ef_paper_settings s = ef_paper_defaults();
  for (size_t c = 0; c < EF_PAPER_CASES; c++) {
    ef_paper_row first = ef_paper_row_of(&paper.cases[c], &s, 0);
    for (size_t i = 1; i < EF_PAPER_SIZES; i++) {
      ef_paper_row row = ef_paper_row_of(&paper.cases[c], &s, i);
      cr_expect_eq(row.devices, (size_t)16 << i);
      for (int m = 0; m < EF_PAPER_METHODS; m++) {
        double factor = (double)((size_t)1 << i);
        cr_expect_float_eq(row.total[m], factor * first.total[m], 1e-12 * row.total[m]);
      }
      cr_expect_float_eq(row.saved, first.saved, 1e-12);
    }
  }
}

/* ---- beside the figures ------------------------------------------------------------------------------- */

/* Of the bars: 68 to 70 % and 46 %. */
Test(paper, reduction_by_the_bars) {
  ef_paper paper = make_paper();
  ef_paper_settings s = ef_paper_defaults();
  for (size_t i = 0; i < EF_PAPER_SIZES; i++) {
    cr_expect_float_eq(ef_paper_row_of(&paper.cases[0], &s, i).bar_saved, 0.69, 0.011);
    cr_expect_float_eq(ef_paper_row_of(&paper.cases[1], &s, i).bar_saved, 0.46, 0.006);
  }
}

/* 1 - 58 / (2 * R * 100) = 0.71 holds at R = 1, E_c = 2 and equal numbers; with R = 2, half as many
 * parameters at the client, or numbers twice as large at the devices. */
Test(paper, needs_of_a_reduction) {
  ef_paper_counts counts = {.device = 58, .client_base = 80, .expert = 10};
  ef_paper_settings s = {.rounds = 1, .experts = 2};
  ef_paper_needed n = ef_paper_need(&counts, &s, 0.71);
  cr_expect_float_eq(n.rounds, 1, 1e-12);
  cr_expect_float_eq(n.experts, 2, 1e-12);
  cr_expect_float_eq(n.bytes_ratio, 1, 1e-12);
  s.rounds = 2;
  n = ef_paper_need(&counts, &s, 0.71);
  cr_expect_float_eq(n.rounds, 1, 1e-12);
  cr_expect_float_eq(n.experts, -3, 1e-12); /* 80 - 30 = 50 */
  cr_expect_float_eq(n.bytes_ratio, 2, 1e-12);
}

Test(paper, experts_from_a_ratio) {
  ef_paper_counts first = {.client_base = 100, .expert = 10}, second = {.client_base = 50, .expert = 20};
  cr_expect_float_eq(ef_paper_experts_of_ratio(&first, &second, 130.0 / 110.0), 3, 1e-12);
  ef_paper paper = make_paper();
  ef_paper_experts e = ef_paper_imply_experts(&paper);
  /* (1.2 * 1427228672 - 1858701312) / (207618048 - 1.2 * 233570304) */
  cr_expect_float_eq(e.value, 2.0096, 1e-3);
  cr_expect(e.least < e.value && e.value < e.greatest);
}

/* 94.2 GB of 128 * 526437120 numbers; 294 GB of 2 * 128 * 2273937408. */
Test(paper, bytes_per_number_of_the_bars) {
  ef_paper paper = make_paper();
  ef_paper_settings s = ef_paper_defaults();
  ef_paper_implied b = ef_paper_imply(&paper.cases[0], &s);
  cr_expect_float_eq(b.deepfusion, 1.398, 5e-4);
  cr_expect_float_eq(b.fedjets, 0.505, 5e-4);
  cr_expect_float_eq(b.fedjets_error, b.fedjets * 0.8 / 294, 1e-9);
}

/* ---- device memory ------------------------------------------------------------------------------------ */

/* What this program is said to hold against what a model and its trainer take. */
Test(paper, memory_is_what_a_trainer_takes) {
  ef_dims one, two, moe;
  make_small(&one, &two, &moe);
  ef_paper_settings s = {.bytes = 4, .batch = 2, .context = 16};
  ef_paper_memory m;
  cr_assert_eq(ef_paper_memory_of(&two, 1, &s, &m), EF_OK, "%s", ef_message());
  cr_expect_float_eq(m.params, 1832, 0);
  cr_expect_float_eq(m.states, 4 * 4 * 1832, 0);
  size_t held = ef_memory_bytes();
  ef_model model;
  ef_trainer trainer;
  ef_recipe recipe = {.batch = 2, .context = 16};
  ef_source source = {0};
  cr_assert_eq(ef_model_create(&two, &model), EF_OK);
  cr_assert_eq(ef_trainer_create(&model, ef_kernels_find("blas"), &recipe, &source, NULL, &trainer), EF_OK);
  double allocated = (double)(ef_memory_bytes() - held);
  cr_expect_float_eq(m.program, allocated, 0.1 * allocated, "%g said, %g held", m.program, allocated);
  ef_trainer_free(&trainer);
  ef_model_free(&model);
}

/* A client holds one expert of two; with 4 bytes per number the formula is this program's own sum, up to the
 * gradient of the last hidden states. */
Test(paper, memory_of_a_client_and_at_full_width) {
  ef_dims one, two, moe;
  make_small(&one, &two, &moe);
  ef_paper_settings s = ef_paper_defaults();
  ef_paper_memory m, all[EF_PAPER_MEMORIES];
  s.context = 16;
  cr_assert_eq(ef_paper_memory_of(&moe, 1, &s, &m), EF_OK);
  cr_expect_float_eq(m.params, 1032, 0);
  cr_expect_float_eq(m.states, 8 * 1032, 0);
  s = ef_paper_defaults();
  s.bytes = 4;
  ef_paper paper = make_paper();
  cr_assert_eq(ef_paper_memories(&paper, &s, all), EF_OK);
  for (size_t i = 0; i < EF_PAPER_MEMORIES; i++) {
    cr_expect_float_eq(all[i].states + all[i].activations, all[i].program, 0.01 * all[i].program, "%zu", i);
  }
  cr_expect_float_eq(all[EF_PAPER_DEVICES].params, 2273937408, 0);
}

/* ---- the page ----------------------------------------------------------------------------------------- */

Test(paper, page_names_everything) {
  ef_paper paper = make_paper();
  ef_paper_settings s = ef_paper_defaults();
  static char text[1 << 14];
  FILE *out = fmemopen(text, sizeof text, "w");
  cr_assert_eq(ef_paper_print(&paper, &s, out), EF_OK, "%s", ef_message());
  fclose(out);
  for (size_t i = 0; i < EF_PAPER_MODELS; i++) cr_expect_not_null(strstr(text, paper.models[i].name));
  for (int m = 0; m < EF_PAPER_METHODS; m++) {
    cr_expect_not_null(strstr(text, ef_paper_method_name((ef_paper_method)m)));
  }
  cr_expect_not_null(strstr(text, "14,315,784,192"));
  cr_expect_not_null(strstr(text, "R = 0.40 (less than one round)"));
  cr_expect_null(strstr(text, " nan"));
}
