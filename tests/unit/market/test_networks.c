/* The figures of aeria.md, section 6, and closed forms that are written down once more here. */
#include "test_instance_support.h"

#include "base/file.h"
#include "base/memory.h"
#include "market/networks.h"
#include "support/support.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct row {
  const char *name;
  double mflop, elements; /* elements 0: the section gives none */
} row;

static ef_workload made(const char *name, double bytes) {
  ef_workload w;
  const ef_network *n = ef_network_find(name);
  cr_assert_not_null(n);
  cr_assert_eq(n->make(bytes, &w), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_workload_check(&w, name), EF_OK, "%s", ef_message());
  return w;
}

static double total(const ef_workload *w) {
  double sum = 0;
  for (size_t l = 0; l < w->layer_count; l++) sum += w->layers[l].flops;
  return sum;
}

/* Layers against the table; `gflop` to the digits that are written. */
static void compare(const char *name, const row *rows, size_t count, double gflop, double digits) {
  ef_workload w = made(name, 1);
  cr_assert_eq(w.input_bytes, 150528);
  cr_assert_eq(w.layer_count, count);
  for (size_t l = 0; l < count; l++) {
    cr_assert_str_eq(w.layers[l].name, rows[l].name);
    cr_assert_float_eq(w.layers[l].flops / 1e6, rows[l].mflop, 0.001, "%s: %.6f", rows[l].name,
                       w.layers[l].flops / 1e6);
    if (rows[l].elements > 0) cr_assert_eq(w.layers[l].out_bytes, rows[l].elements, "%s", rows[l].name);
  }
  cr_assert_float_eq(total(&w) / 1e9, gflop, digits / 2);
  ef_workload_free(&w);
}

#define COMPARE(name, rows, gflop, digits) compare(name, rows, sizeof(rows) / sizeof *(rows), gflop, digits)

Test(networks, alexnet) {
  static const row rows[] = {
      {"conv1", 140.554, 193600}, {"pool1", .420, 46656},    {"conv2", 447.898, 139968},
      {"pool2", .292, 32448},     {"conv3", 224.281, 64896}, {"conv4", 299.041, 43264},
      {"conv5", 199.361, 43264},  {"pool5", .083, 9216},     {"fc6", 75.497, 4096},
      {"fc7", 33.554, 4096},      {"fc8", 8.192, 1000}};
  COMPARE("alexnet", rows, 1.4292, 1e-4);
}

Test(networks, vgg16) {
  static const row rows[] = {
      {"conv1_1", 173.408, 3211264},  {"conv1_2", 3699.376, 3211264}, {"pool1", 3.211, 802816},
      {"conv2_1", 1849.688, 1605632}, {"conv2_2", 3699.376, 1605632}, {"pool2", 1.606, 401408},
      {"conv3_1", 1849.688, 802816},  {"conv3_2", 3699.376, 802816},  {"conv3_3", 3699.376, 802816},
      {"pool3", .803, 200704},        {"conv4_1", 1849.688, 401408},  {"conv4_2", 3699.376, 401408},
      {"conv4_3", 3699.376, 401408},  {"pool4", .401, 100352},        {"conv5_1", 924.844, 100352},
      {"conv5_2", 924.844, 100352},   {"conv5_3", 924.844, 100352},   {"pool5", .100, 25088},
      {"fc6", 205.521, 4096},         {"fc7", 33.554, 4096},          {"fc8", 8.192, 1000}};
  COMPARE("vgg16", rows, 30.947, 1e-3);
}

Test(networks, resnet50) {
  static const row rows[] = {
      {"conv1", 236.028, 802816},  {"maxpool", 1.806, 200704},  {"res2_1", 463.225, 802816},
      {"res2_2", 437.535, 802816}, {"res2_3", 437.535, 802816}, {"res3_1", 745.415, 401408},
      {"res3_2", 437.133, 401408}, {"res3_3", 437.133, 401408}, {"res3_4", 437.133, 401408},
      {"res4_1", 745.214, 200704}, {"res4_2", 436.933, 200704}, {"res4_3", 436.933, 200704},
      {"res4_4", 436.933, 200704}, {"res4_5", 436.933, 200704}, {"res4_6", 436.933, 200704},
      {"res5_1", 745.114, 100352}, {"res5_2", 436.832, 100352}, {"res5_3", 436.832, 100352},
      {"pool+fc", 4.196, 1000}};
  COMPARE("resnet50", rows, 8.1858, 1e-4);
}

Test(networks, mobilenet_v2) {
  static const row rows[] = {{"conv1", 21.676, 401408},    {"ir1", 20.070, 200704}, {"ir2", 58.405, 75264},
                             {"ir3", 51.556, 75264},       {"ir4", 30.934, 25088},  {"ir5", 22.002, 25088},
                             {"ir6", 22.002, 25088},       {"ir7", 15.128, 12544},  {"ir8", 20.635, 12544},
                             {"ir9", 20.635, 12544},       {"ir10", 20.635, 12544}, {"ir11", 25.439, 18816},
                             {"ir12", 45.403, 18816},      {"ir13", 45.403, 18816}, {"ir14", 31.216, 7840},
                             {"ir15", 30.960, 7840},       {"ir16", 30.960, 7840},  {"ir17", 46.005, 15680},
                             {"conv_last", 40.141, 62720}, {"pool+fc", 2.623, 1000}};
  COMPARE("mobilenet_v2", rows, 0.6018, 1e-4);
}

/* A basic block keeps the product width x size, so each of its 3x3 convolutions of equal width costs the same
 * 2*9*(64*56)^2; the first of a later stage halves its input channels. */
Test(networks, resnet34_by_closed_form) {
  static const int blocks[] = {3, 4, 6, 3};
  ef_workload w = made("resnet34", 1);
  cr_assert_eq(w.layer_count, 19);
  const double conv = 18.0 * 3584 * 3584;
  cr_assert_eq(w.layers[0].flops, 2.0 * 49 * 3 * 64 * 112 * 112);
  cr_assert_eq(w.layers[1].flops, 9.0 * 64 * 56 * 56);
  size_t at = 2;
  for (int stage = 0; stage < 4; stage++) {
    double width = 64 << stage, size = 56 >> stage, add = width * size * size;
    for (int i = 0; i < blocks[stage]; i++, at++) {
      bool shrinks = stage > 0 && i == 0;
      double expect = shrinks ? 1.5 * conv + conv / 18 + add : 2 * conv + add;
      cr_assert_eq(w.layers[at].flops, expect, "%s: %.0f, not %.0f", w.layers[at].name, w.layers[at].flops,
                   expect);
      cr_assert_eq(w.layers[at].out_bytes, add);
    }
  }
  cr_assert_eq(w.layers[18].flops, 512.0 * 49 + 2.0 * 512 * 1000);
  cr_assert_float_eq(total(&w) / 1e9, 7.335, 0.01);
  cr_assert_eq(w.exits[0].after, 5);
  cr_assert_eq(w.exits[1].after, 9);
  cr_assert_eq(w.exits[2].after, 15);
  ef_workload_free(&w);
}

/* Heads: global average pool and FC, none at the end. */
Test(networks, exits_and_heads) {
  static const struct {
    const char *name;
    size_t after[4];
    double channels[3], size[3], accuracy[4];
  } expect[] = {{"alexnet", {4, 6, 8, 11}, {192, 256, 256}, {13, 13, 6}, {47.87, 52.05, 52.77, 56.52}},
                {"vgg16", {6, 10, 14, 21}, {128, 256, 512}, {56, 28, 14}, {61.55, 66.95, 67.87, 72.675}},
                {"resnet34", {5, 9, 15, 19}, {64, 128, 256}, {56, 28, 14}, {63.25, 69.52, 72.93, 73.31}},
                {"resnet50", {5, 9, 15, 19}, {256, 512, 1024}, {56, 28, 14}, {68.23, 74.21, 75.23, 80.56}},
                {"mobilenet_v2", {4, 7, 14, 20}, {24, 32, 96}, {56, 28, 14}, {60.84, 66.17, 67.08, 71.834}}};
  for (size_t i = 0; i < sizeof expect / sizeof *expect; i++) {
    ef_workload w = made(expect[i].name, 1);
    cr_assert_eq(w.exit_count, 4);
    for (size_t e = 0; e < 4; e++) {
      cr_assert_eq(w.exits[e].after, expect[i].after[e], "%s exit %zu", w.name, e);
      cr_assert_eq(w.exits[e].accuracy, expect[i].accuracy[e]);
      double c = e < 3 ? expect[i].channels[e] : 0, s = e < 3 ? expect[i].size[e] : 0;
      cr_assert_eq(w.exits[e].head_flops, c * s * s + 2 * c * 1000);
      const char *source = w.exits[e].source;
      cr_assert(strstr(source, "sourced") || strstr(source, "recalled") || strstr(source, "reconstruction"));
      size_t after = w.exits[e].after;
      if (e < 3)
        cr_assert_leq(w.exits[e].head_flops, w.layers[after].flops, "a head is cheaper than the next layer");
    }
    ef_workload_free(&w);
  }
}

/* Per token of a layer: 2 FLOPs a weight, 4 projections of 768^2 a attention, 2 matrices of 768 x 3072;
 * scores and weighted sums 2*2*768 a key. With 32 tokens on both sides a decoder layer has two attentions. */
Test(networks, bart_by_closed_form) {
  ef_workload w = made("bart_base", 1);
  const double n = 32, d = 768, attention = n * (2 * 4 * d * d + 4 * d * n), ffn = n * 2 * 2 * d * 3072;
  cr_assert_eq(w.layer_count, 12);
  for (size_t l = 0; l < 12; l++) {
    cr_assert_eq(w.layers[l].flops, (l < 6 ? 1 : 2) * attention + ffn);
    double tokens = l < 6 || l == 11 ? n : 2 * n;
    cr_assert_eq(w.layers[l].out_bytes, tokens * d);
  }
  cr_assert_eq(w.input_bytes, 256);
  cr_assert_eq(w.exit_count, 3);
  for (size_t e = 0; e < 3; e++) {
    cr_assert_eq(w.exits[e].after, 8 + 2 * e);
    cr_assert_eq(w.exits[e].head_flops, n * 2 * 768 * 50265);
    if (e < 2) cr_assert_gt(w.exits[e].head_flops, w.layers[w.exits[e].after].flops);
  }
  ef_workload_free(&w);
}

/* The policies go through the paper's figures and are monotone. */
Test(networks, policies_meet_the_paper) {
  static const struct {
    const char *name;
    double change;
  } paper[] = {{"alexnet", -1.97}, {"resnet34", -2.47}, {"vgg16", -3.77}, {"bart_base", 1.10}};
  for (size_t i = 0; i < 4; i++) {
    ef_workload w = made(paper[i].name, 1);
    size_t last = w.exit_count - 1;
    double full = w.exits[last].accuracy;
    cr_assert_geq(w.policy_count, 4);
    cr_assert_not_null(strstr(w.source, "reconstruction"));
    for (size_t p = 0; p < w.policy_count; p++) {
      const ef_policy *policy = &w.policies[p];
      double early = 1 - policy->leave[last];
      if (p == 0)
        cr_assert(policy->threshold == 1 && early == 0 && policy->accuracy == full);
      else
        cr_assert(early >= 0.18 - 1e-12 && early <= 0.48 + 1e-12);
      if (p == 0) continue;
      cr_assert_lt(policy->threshold, policy[-1].threshold);
      cr_assert_lt(policy->leave[last], policy[-1].leave[last]);
      cr_assert_gt(paper[i].change * (policy->accuracy - policy[-1].accuracy), 0);
    }
    const ef_policy *reference = &w.policies[w.policy_count - 1];
    cr_assert_float_eq(1 - reference->leave[last], 0.48, 1e-12);
    cr_assert_float_eq(reference->accuracy, full * (1 + paper[i].change / 100), 1e-9);
    ef_workload_free(&w);
  }
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(networks, bytes_per_element) {
  for (const ef_network *n = ef_networks; n->name; n++) {
    ef_workload one = made(n->name, 1), four = made(n->name, 4);
    for (size_t l = 0; l < one.layer_count; l++) {
      cr_assert_eq(four.layers[l].out_bytes, 4 * one.layers[l].out_bytes);
      cr_assert_eq(four.layers[l].flops, one.layers[l].flops);
    }
    ef_workload_free(&one);
    ef_workload_free(&four);
    cr_assert_eq(n->make(0, &one), EF_INPUT);
    cr_assert_eq(n->make(NAN, &one), EF_INPUT);
  }
}

Test(networks, names) {
  char names[256] = "";
  for (const ef_network *n = ef_networks; n->name; n++) {
    cr_assert_eq(ef_network_find(n->name), n);
    if (*names) strcat(names, "|");
    strcat(names, n->name);
  }
  cr_assert_str_eq(names, ef_network_names());
  cr_assert_null(ef_network_find("alexne"));
}

Test(networks, shipped_files_are_what_is_computed) {
  char folder[256];
  test_make_folder(folder, sizeof folder);
  for (const ef_network *n = ef_networks; n->name; n++) {
    char shipped[512], path[300], name[64], *a, *b;
    size_t a_bytes, b_bytes;
    snprintf(name, sizeof name, "inputs/workloads/%s.json", n->name);
    test_source_path(shipped, sizeof shipped, name);
    snprintf(path, sizeof path, "%s/w.json", folder);
    ef_workload w = made(n->name, 1), again;
    cr_assert_eq(ef_workload_write(&w, path), EF_OK);
    cr_assert_eq(ef_file_read(path, EF_INPUT, &a, &a_bytes), EF_OK);
    cr_assert_eq(ef_file_read(shipped, EF_INPUT, &b, &b_bytes), EF_OK, "%s", ef_message());
    cr_assert(a_bytes == b_bytes && memcmp(a, b, a_bytes) == 0, "%s", shipped);
    cr_assert_eq(ef_workload_read(shipped, &again), EF_OK, "%s", ef_message());
    test_same_workload(&w, &again);
    ef_workload_free(&w);
    ef_workload_free(&again);
    ef_free(a);
    ef_free(b);
  }
  test_remove_folder(folder);
}
