#include "methods/profile.h"

#include "base/memory.h"
#include "model/cost.h"
#include <stdio.h>

const double ef_profile_thresholds[EF_PROFILE_THRESHOLDS] = {0.02, 0.05, 0.1, 0.2, 0.3,
                                                             0.4,  0.5,  0.6, 0.8, 1.0};

/* A forward pass over n tokens: token i attends to i positions. */
static ef_layer_cost forward_cost(const ef_token_cost *c, double n) {
  return (ef_layer_cost){.flops = n * c->flops + c->attention_flops * n * (n + 1.0) / 2.0,
                         .out_bytes = n * c->out_bytes};
}

static ef_layer_cost token_cost(const ef_dims *dims, const ef_token_cost *c, double prompt) {
  return (ef_layer_cost){.flops = c->flops,
                         .out_bytes = c->out_bytes,
                         .attention_flops = c->attention_flops,
                         .weight_bytes = c->weight_bytes,
                         .prefill_bytes = ef_batch_weight_bytes(dims, c, prompt),
                         .cache_bytes = c->cache_bytes};
}

static ef_status fill_layers(const ef_dims *dims, const ef_table *table, const ef_profile *p,
                             ef_workload *w) {
  EF_TRY(EF_NEW(w->layers, dims->L));
  w->layer_count = dims->L;
  for (size_t l = 0; l < dims->L; l++) {
    char name[32];
    ef_token_cost cost = ef_layer_token_cost(dims, table, l);
    w->layers[l] =
        p->autoregressive ? token_cost(dims, &cost, p->prompt_tokens) : forward_cost(&cost, p->prompt_tokens);
    snprintf(name, sizeof name, "layer%zu", l);
    EF_TRY(EF_CHECK(w->layers[l].name = ef_strdup(name), EF_MACHINE, "out of memory"));
  }
  return EF_OK;
}

static ef_status fill_exits(const ef_dims *dims, const ef_table *table, const ef_confidence *c,
                            const ef_profile *p, ef_workload *w) {
  ef_token_cost head = ef_head_token_cost(dims, table);
  EF_TRY(EF_NEW(w->exits, c->heads));
  w->exit_count = c->heads;
  for (size_t e = 0; e < c->heads; e++) {
    ef_exit *exit = &w->exits[e];
    *exit = (ef_exit){.after = ef_dims_exit_after(dims, e),
                      .head_flops = head.flops * (p->autoregressive ? 1.0 : p->prompt_tokens),
                      .head_bytes = p->autoregressive ? head.weight_bytes : 0.0,
                      .accuracy = (double)c->alone[e] / (double)c->tokens};
    char source[96];
    snprintf(source, sizeof source, "token accuracy measured on %zu tokens", c->tokens);
    EF_TRY(EF_CHECK(exit->source = ef_strdup(source), EF_MACHINE, "out of memory"));
  }
  return EF_OK;
}

static ef_status fill_policies(const ef_confidence *c, ef_workload *w) {
  EF_TRY(EF_NEW(w->policies, c->thresholds));
  w->policy_count = c->thresholds;
  for (size_t t = 0; t < c->thresholds; t++) {
    ef_policy *policy = &w->policies[t];
    const int64_t *left = c->left + t * c->heads, *hits = c->hits + t * c->heads;
    int64_t right = 0;
    policy->threshold = c->threshold[t];
    EF_TRY(EF_NEW(policy->leave, c->heads));
    for (size_t e = 0; e < c->heads; e++) {
      policy->leave[e] = (double)left[e] / (double)c->tokens;
      right += hits[e];
    }
    policy->accuracy = (double)right / (double)c->tokens;
  }
  return EF_OK;
}

static ef_status fill(const ef_dims *dims, const ef_table *table, const ef_confidence *c, const ef_profile *p,
                      ef_workload *w) {
  EF_TRY(EF_CHECK(w->name = ef_strdup(p->name), EF_MACHINE, "out of memory"));
  EF_TRY(EF_CHECK(w->checkpoint = ef_strdup(p->checkpoint), EF_MACHINE, "out of memory"));
  w->autoregressive = p->autoregressive;
  w->input_bytes = (double)sizeof(int32_t) * (p->autoregressive ? 1.0 : p->prompt_tokens);
  w->prompt_tokens = p->autoregressive ? p->prompt_tokens : 0.0;
  w->decode_tokens = p->autoregressive ? p->decode_tokens : 0.0;
  w->measured_flops = p->measured_flops;
  EF_TRY(fill_layers(dims, table, p, w));
  EF_TRY(fill_exits(dims, table, c, p, w));
  return fill_policies(c, w);
}

ef_status ef_profile_workload(const ef_dims *dims, const ef_confidence *confidence, const ef_profile *profile,
                              ef_workload *workload) {
  ef_table table = {0};
  *workload = (ef_workload){0};
  EF_TRY(EF_CHECK(confidence->tokens > 0, EF_INPUT, "the text is too short to measure the exits on"));
  EF_TRY(ef_table_build(dims, 0, dims->E, &table));
  ef_status status = fill(dims, &table, confidence, profile, workload);
  if (status == EF_OK) status = ef_workload_check(workload, "workload");
  ef_table_free(&table);
  if (status != EF_OK) ef_workload_free(workload);
  return status;
}

double ef_profile_speed(const ef_dims *dims, const ef_confidence *c, size_t T) {
  ef_table table = {0};
  if (!(c->seconds > 0.0) || ef_table_build(dims, 0, dims->E, &table) != EF_OK) return 0.0;
  double heads = (double)c->heads * ef_head_token_cost(dims, &table).flops, layers = 0.0;
  for (size_t l = 0; l < dims->L; l++) {
    ef_token_cost cost = ef_layer_token_cost(dims, &table, l);
    layers += cost.flops + cost.attention_flops * ((double)T + 1.0) / 2.0;
  }
  ef_table_free(&table);
  return (double)c->passed * (layers + heads) / c->seconds;
}
