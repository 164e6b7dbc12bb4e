#include "test_instance_support.h"

#include "base/file.h"
#include "base/memory.h"
#include "support/support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 16384, PATH_BYTES = 512 };

const char *test_fill_in(const char *before, const char *piece, const char *after) {
  static char text[TEXT_BYTES];
  int n = snprintf(text, sizeof text, "%s%s%s", before, piece, after);
  cr_assert(n > 0 && n < TEXT_BYTES);
  return text;
}

static ef_status read_workload(const char *json, ef_workload *w) {
  char folder[PATH_BYTES], path[PATH_BYTES + 16];
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/w.json", folder);
  cr_assert_eq(ef_file_write(path, json, strlen(json)), EF_OK);
  ef_status status = ef_workload_read(path, w);
  test_remove_folder(folder);
  return status;
}

ef_workload test_read_workload(const char *json) {
  ef_workload w;
  cr_assert_eq(read_workload(json, &w), EF_OK, "%s", ef_message());
  return w;
}

void test_refused_workload(const char *json, const char *part) {
  ef_workload w;
  ef_status status = read_workload(json, &w);
  cr_assert_eq(status, EF_INPUT, "not refused: %s", json);
  cr_assert(strstr(ef_message(), part), "'%s' is not in: %s", part, ef_message());
  cr_assert(strstr(ef_message(), "w.json: "), "no file in: %s", ef_message());
  cr_assert_eq(ef_memory_blocks(), 0);
}

void test_refused_instance(const char *json, const char *part) {
  ef_instance instance;
  ef_status status = ef_instance_parse("market.json", json, strlen(json), &instance);
  cr_assert_eq(status, EF_INPUT, "not refused (%s): %s", part, json);
  cr_assert(strstr(ef_message(), part), "'%s' is not in: %s", part, ef_message());
  cr_assert_eq(strncmp(ef_message(), "market.json: ", 13), 0, "%s", ef_message());
  cr_assert_eq(ef_memory_blocks(), 0);
}

/* ---- equality ----------------------------------------------------------------------------------------- */

static void same_text(const char *a, const char *b) {
  cr_assert_eq(a == NULL, b == NULL);
  if (a) cr_assert_str_eq(a, b);
}

#define SAME(x, y) cr_assert_eq(memcmp(&(x), &(y), sizeof(x)), 0, #x " differs")

static void same_layer(const ef_layer_cost *a, const ef_layer_cost *b) {
  same_text(a->name, b->name);
  SAME(a->flops, b->flops);
  SAME(a->out_bytes, b->out_bytes);
  SAME(a->attention_flops, b->attention_flops);
  SAME(a->weight_bytes, b->weight_bytes);
  SAME(a->prefill_bytes, b->prefill_bytes);
  SAME(a->cache_bytes, b->cache_bytes);
}

static void same_exits(const ef_workload *a, const ef_workload *b) {
  cr_assert_eq(a->exit_count, b->exit_count);
  for (size_t e = 0; e < a->exit_count; e++) {
    same_text(a->exits[e].source, b->exits[e].source);
    SAME(a->exits[e].after, b->exits[e].after);
    SAME(a->exits[e].head_flops, b->exits[e].head_flops);
    SAME(a->exits[e].head_bytes, b->exits[e].head_bytes);
    SAME(a->exits[e].accuracy, b->exits[e].accuracy);
  }
}

static void same_policies(const ef_workload *a, const ef_workload *b) {
  cr_assert_eq(a->policy_count, b->policy_count);
  for (size_t p = 0; p < a->policy_count; p++) {
    SAME(a->policies[p].threshold, b->policies[p].threshold);
    SAME(a->policies[p].accuracy, b->policies[p].accuracy);
    cr_assert_eq(memcmp(a->policies[p].leave, b->policies[p].leave, a->exit_count * sizeof(double)), 0);
  }
}

void test_same_workload(const ef_workload *a, const ef_workload *b) {
  same_text(a->name, b->name);
  same_text(a->source, b->source);
  same_text(a->checkpoint, b->checkpoint);
  cr_assert_eq(a->autoregressive, b->autoregressive);
  SAME(a->input_bytes, b->input_bytes);
  SAME(a->prompt_tokens, b->prompt_tokens);
  SAME(a->decode_tokens, b->decode_tokens);
  SAME(a->measured_flops, b->measured_flops);
  cr_assert_eq(a->layer_count, b->layer_count);
  for (size_t l = 0; l < a->layer_count; l++) same_layer(&a->layers[l], &b->layers[l]);
  same_exits(a, b);
  same_policies(a, b);
}

static void same_rules(const ef_rules *a, const ef_rules *b) {
  SAME(a->c, b->c);
  cr_assert_eq(a->has_u, b->has_u);
  cr_assert_eq(a->has_v, b->has_v);
  SAME(a->u, b->u);
  SAME(a->v, b->v);
  SAME(a->vickrey_prob, b->vickrey_prob);
  cr_assert_eq(a->variant, b->variant);
  cr_assert_eq(a->pooled, b->pooled);
  SAME(a->unit_flops, b->unit_flops);
  SAME(a->unit_bytes, b->unit_bytes);
  SAME(a->capacity, b->capacity);
  SAME(a->unit_cost, b->unit_cost);
  SAME(a->margin, b->margin);
  SAME(a->max_share, b->max_share);
  SAME(a->rtt, b->rtt);
}

static void same_user(const ef_user *a, const ef_user *b) {
  same_text(a->id, b->id);
  cr_assert_eq(a->number_id, b->number_id);
  cr_assert_eq(a->provider, b->provider);
  SAME(a->value, b->value);
  SAME(a->bid, b->bid);
  SAME(a->accuracy, b->accuracy);
  SAME(a->deadline, b->deadline);
  SAME(a->device_flops, b->device_flops);
  SAME(a->device_bytes, b->device_bytes);
  SAME(a->uplink_bps, b->uplink_bps);
  SAME(a->complexity, b->complexity);
  SAME(a->rate, b->rate);
  SAME(a->prompt_tokens, b->prompt_tokens);
  SAME(a->decode_tokens, b->decode_tokens);
}

void test_same_instance(const ef_instance *a, const ef_instance *b) {
  same_rules(&a->rules, &b->rules);
  cr_assert_eq(a->workload_count, b->workload_count);
  for (size_t w = 0; w < a->workload_count; w++) test_same_workload(&a->workloads[w], &b->workloads[w]);
  cr_assert_eq(a->provider_count, b->provider_count);
  for (size_t p = 0; p < a->provider_count; p++) {
    same_text(a->providers[p].id, b->providers[p].id);
    cr_assert_eq(a->providers[p].number_id, b->providers[p].number_id);
    cr_assert_eq(a->providers[p].workload, b->providers[p].workload);
    SAME(a->providers[p].share, b->providers[p].share);
  }
  cr_assert_eq(a->user_count, b->user_count);
  for (size_t i = 0; i < a->user_count; i++) same_user(&a->users[i], &b->users[i]);
}

void test_source_path(char *path, size_t size, const char *name) {
  const char *root = getenv("EDGEFUSE_SOURCE");
  snprintf(path, size, "%s/%s", root ? root : ".", name);
}
