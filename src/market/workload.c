#include "market/workload_internal.h"

#include "base/memory.h"
#include <math.h>
#include <stdio.h>

static const double SHARES_SUM = 1e-9; /* leave shares may miss 1 by this */

const ef_json_field ef_workload_fields[] = {
    EF_OWN("schema"),
    EF_OWN("kind"),
    EF_WORDS(ef_workload, "name", name, true),
    EF_WORDS(ef_workload, "source", source, false),
    EF_WORDS(ef_workload, "checkpoint", checkpoint, false),
    EF_NEEDS(ef_workload, "input_bytes", input_bytes, NOT_NEGATIVE),
    EF_TAKES(ef_workload, "prompt_tokens", prompt_tokens, SMALL, 0),
    EF_TAKES(ef_workload, "decode_tokens", decode_tokens, SMALL, 0),
    EF_TAKES(ef_workload, "measured_flops", measured_flops, NOT_NEGATIVE, 0),
    EF_OWN("layers"),
    EF_OWN("exits"),
    EF_OWN("policies"),
    EF_FIELDS_END};

const ef_json_field ef_layer_fields[] = {
    EF_WORDS(ef_layer_cost, "name", name, true),
    EF_NEEDS(ef_layer_cost, "flops", flops, NOT_NEGATIVE),
    EF_NEEDS(ef_layer_cost, "out_bytes", out_bytes, NOT_NEGATIVE),
    EF_TAKES(ef_layer_cost, "attention_flops", attention_flops, NOT_NEGATIVE, 0),
    EF_TAKES(ef_layer_cost, "weight_bytes", weight_bytes, NOT_NEGATIVE, 0),
    EF_FOLLOWS(ef_layer_cost, "prefill_bytes", prefill_bytes, NOT_NEGATIVE, weight_bytes),
    EF_TAKES(ef_layer_cost, "cache_bytes", cache_bytes, NOT_NEGATIVE, 0),
    EF_FIELDS_END};

const ef_json_field ef_exit_fields[] = {EF_WHOLE(ef_exit, "layer", after, SIZE),
                                        EF_NEEDS(ef_exit, "head_flops", head_flops, NOT_NEGATIVE),
                                        EF_TAKES(ef_exit, "head_bytes", head_bytes, NOT_NEGATIVE, 0),
                                        EF_NEEDS(ef_exit, "accuracy", accuracy, NUMBER),
                                        EF_WORDS(ef_exit, "source", source, false),
                                        EF_FIELDS_END};

const ef_json_field ef_policy_fields[] = {EF_NEEDS(ef_policy, "threshold", threshold, NUMBER),
                                          EF_NEEDS(ef_policy, "accuracy", accuracy, NUMBER), EF_OWN("leave"),
                                          EF_FIELDS_END};

void ef_workload_free(ef_workload *w) {
  for (size_t l = 0; w->layers && l < w->layer_count; l++) ef_free(w->layers[l].name);
  for (size_t e = 0; w->exits && e < w->exit_count; e++) ef_free(w->exits[e].source);
  for (size_t p = 0; w->policies && p < w->policy_count; p++) ef_free(w->policies[p].leave);
  ef_free(w->layers);
  ef_free(w->exits);
  ef_free(w->policies);
  ef_free(w->name);
  ef_free(w->source);
  ef_free(w->checkpoint);
  *w = (ef_workload){0};
}

/* ---- check -------------------------------------------------------------------------------------------- */

static ef_status check_layers(const ef_path *at, const ef_workload *w) {
  EF_TRY(EF_PATH_CHECK(at, "layers", w->layer_count > 0, "is empty; a workload has at least one layer"));
  for (size_t l = 0; l < w->layer_count; l++) {
    EF_TRY(ef_json_fields_check(&(ef_path){at, "layers", l}, ef_layer_fields, &w->layers[l]));
  }
  return EF_OK;
}

static ef_status check_exits(const ef_path *at, const ef_workload *w) {
  EF_TRY(EF_PATH_CHECK(at, "exits", w->exit_count > 0, "is empty; a workload has at least one exit"));
  for (size_t e = 0; e < w->exit_count; e++) {
    const ef_path here = {at, "exits", e};
    const ef_exit *x = &w->exits[e];
    EF_TRY(ef_json_fields_check(&here, ef_exit_fields, x));
    EF_TRY(EF_PATH_CHECK(&here, "layer", x->after <= w->layer_count, "is %zu, but there are %zu layers",
                         x->after, w->layer_count));
    if (e == 0) continue;
    EF_TRY(EF_PATH_CHECK(&here, "layer", x->after >= x[-1].after,
                         "is %zu, but the exit before is at %zu: exits are sorted by layer", x->after,
                         x[-1].after));
  }
  return EF_OK;
}

static ef_status check_leave(const ef_path *at, const double *leave, size_t count) {
  EF_TRY(EF_PATH_CHECK(at, "leave", leave, "is missing"));
  double sum = 0;
  for (size_t e = 0; e < count; e++) {
    EF_TRY(ef_range_check(&(ef_path){at, "leave", e}, NULL, EF_RANGE_SHARE, leave[e]));
    sum += leave[e];
  }
  return EF_PATH_CHECK(at, "leave", fabs(sum - 1) <= SHARES_SUM, "the shares sum to %.12g, must be 1", sum);
}

static ef_status check_policies(const ef_path *at, const ef_workload *w) {
  for (size_t p = 0; p < w->policy_count; p++) {
    const ef_path here = {at, "policies", p};
    EF_TRY(ef_json_fields_check(&here, ef_policy_fields, &w->policies[p]));
    EF_TRY(check_leave(&here, w->policies[p].leave, w->exit_count));
  }
  return EF_OK;
}

ef_status ef_workload_check_at(const ef_path *at, const ef_workload *w) {
  EF_TRY(ef_json_fields_check(at, ef_workload_fields, w));
  EF_TRY(check_layers(at, w));
  EF_TRY(check_exits(at, w));
  EF_TRY(check_policies(at, w));
  if (!w->autoregressive) return EF_OK;
  EF_TRY(EF_PATH_CHECK(at, "prompt_tokens", w->prompt_tokens > 0,
                       "must be a positive number in an autoregressive workload"));
  return EF_PATH_CHECK(at, "decode_tokens", w->decode_tokens >= 1,
                       "must be at least 1 in an autoregressive workload, is %.15g", w->decode_tokens);
}

ef_status ef_workload_check(const ef_workload *w, const char *where) {
  return ef_workload_check_at(&(ef_path){NULL, where, EF_NO_INDEX}, w);
}
