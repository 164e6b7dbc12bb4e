#include "market/instance.h"

#include "base/memory.h"
#include "base/rng.h"
#include "market/instance_internal.h"
#include "market/workload_internal.h"
#include <math.h>
#include <string.h>

static const char *const variant_names[] = {[EF_VARIANT_T] = "T", [EF_VARIANT_E] = "E", [EF_VARIANT_D] = "D"};

const char *ef_variant_name(ef_variant variant) { return variant_names[variant]; }

bool ef_variant_find(const char *name, ef_variant *variant) {
  for (ef_variant v = EF_VARIANT_T; v <= EF_VARIANT_D; v++) {
    if (strcmp(name, variant_names[v]) != 0) continue;
    *variant = v;
    return true;
  }
  return false;
}

static const double SHARES_SUM = 1e-9; /* provider shares may exceed 1 by this */

const ef_json_field ef_rules_fields[] = {EF_OWN("schema"),
                                         EF_OWN("name"),
                                         EF_OWN("source"),
                                         EF_TAKES(ef_rules, "c", c, RATIO, 2),
                                         EF_OWN("u"),
                                         EF_OWN("v"),
                                         EF_TAKES(ef_rules, "vickrey_prob", vickrey_prob, COIN, 0),
                                         EF_OWN("variant"),
                                         EF_OWN("mode"),
                                         EF_TAKES(ef_rules, "unit_flops", unit_flops, POSITIVE, 1e9),
                                         EF_TAKES(ef_rules, "unit_bytes", unit_bytes, NOT_NEGATIVE, 0),
                                         EF_WHOLE(ef_rules, "capacity", capacity, UNITS),
                                         EF_TAKES(ef_rules, "unit_cost", unit_cost, COST, 0),
                                         EF_TAKES(ef_rules, "margin", margin, SMALL, 0),
                                         EF_TAKES(ef_rules, "max_share", max_share, POSITIVE_SHARE, 1),
                                         EF_TAKES(ef_rules, "rtt", rtt, NOT_NEGATIVE, 0),
                                         EF_OWN("workloads"),
                                         EF_OWN("providers"),
                                         EF_OWN("users"),
                                         EF_FIELDS_END};

const ef_json_field ef_provider_fields[] = {EF_OWN("id"), EF_WHOLE(ef_provider, "workload", workload, SIZE),
                                            EF_TAKES(ef_provider, "share", share, SHARE, 1), EF_FIELDS_END};

const ef_json_field ef_user_fields[] = {EF_OWN("id"),
                                        EF_WHOLE(ef_user, "provider", provider, SIZE),
                                        EF_NEEDS(ef_user, "value", value, MONEY),
                                        EF_FOLLOWS(ef_user, "bid", bid, MONEY, value),
                                        EF_NEEDS(ef_user, "accuracy", accuracy, NUMBER),
                                        EF_NEEDS(ef_user, "deadline", deadline, POSITIVE),
                                        EF_NEEDS(ef_user, "device_flops", device_flops, NOT_NEGATIVE),
                                        EF_TAKES(ef_user, "device_bytes", device_bytes, NOT_NEGATIVE, 0),
                                        EF_NEEDS(ef_user, "uplink_bps", uplink_bps, POSITIVE),
                                        EF_TAKES(ef_user, "complexity", complexity, FACTOR, 1),
                                        EF_TAKES(ef_user, "rate", rate, SMALL, 0),
                                        EF_TAKES(ef_user, "prompt_tokens", prompt_tokens, SMALL, 0),
                                        EF_TAKES(ef_user, "decode_tokens", decode_tokens, SMALL, 0),
                                        EF_FIELDS_END};

ef_rules ef_rules_default(void) {
  ef_rules rules = {.variant = EF_VARIANT_T};
  ef_json_fields_default(ef_rules_fields, &rules);
  return rules;
}

void ef_instance_free(ef_instance *instance) {
  for (size_t w = 0; instance->workloads && w < instance->workload_count; w++) {
    ef_workload_free(&instance->workloads[w]);
  }
  for (size_t p = 0; instance->providers && p < instance->provider_count; p++) {
    ef_free(instance->providers[p].id);
  }
  for (size_t i = 0; instance->users && i < instance->user_count; i++) ef_free(instance->users[i].id);
  ef_free(instance->workloads);
  ef_free(instance->providers);
  ef_free(instance->users);
  *instance = (ef_instance){0};
}

/* ---- check -------------------------------------------------------------------------------------------- */

static const ef_path top = {NULL, "", EF_NO_INDEX};

static ef_status check_rules(const ef_rules *rules) {
  EF_TRY(ef_json_fields_check(&top, ef_rules_fields, rules));
  if (rules->has_u) EF_TRY(ef_range_check(&top, "u", EF_RANGE_COIN, rules->u));
  if (rules->has_v) EF_TRY(ef_range_check(&top, "v", EF_RANGE_COIN, rules->v));
  return EF_OK;
}

static ef_status check_providers(const ef_instance *instance) {
  double sum = 0;
  size_t workloads = instance->workload_count;
  EF_TRY(EF_PATH_CHECK(&top, "providers", instance->provider_count > 0, "is empty; at least one is needed"));
  for (size_t p = 0; p < instance->provider_count; p++) {
    const ef_path here = {&top, "providers", p};
    const ef_provider *provider = &instance->providers[p];
    EF_TRY(ef_json_fields_check(&here, ef_provider_fields, provider));
    EF_TRY(EF_PATH_CHECK(&here, "workload", provider->workload < workloads,
                         "is %zu, but there are %zu workloads, counted from 0", provider->workload,
                         workloads));
    sum += provider->share;
  }
  return EF_PATH_CHECK(&top, "providers", instance->rules.pooled || sum <= 1 + SHARES_SUM,
                       "the shares sum to %.12g, must be at most 1", sum);
}

static ef_status check_users(const ef_instance *instance) {
  for (size_t i = 0; i < instance->user_count; i++) {
    const ef_path here = {&top, "users", i};
    const ef_user *user = &instance->users[i];
    EF_TRY(ef_json_fields_check(&here, ef_user_fields, user));
    EF_TRY(EF_PATH_CHECK(&here, "provider", user->provider < instance->provider_count,
                         "is %zu, but there are %zu providers, counted from 0", user->provider,
                         instance->provider_count));
  }
  return EF_OK;
}

ef_status ef_instance_check(const ef_instance *instance) {
  EF_TRY(check_rules(&instance->rules));
  for (size_t w = 0; w < instance->workload_count; w++) {
    EF_TRY(ef_workload_check_at(&(ef_path){&top, "workloads", w}, &instance->workloads[w]));
  }
  EF_TRY(check_providers(instance));
  return check_users(instance);
}

/* ---- coins and capacities ----------------------------------------------------------------------------- */

void ef_coins_draw(ef_rules *rules, uint64_t seed) {
  ef_rng rng = ef_rng_stream(seed, EF_RNG_COIN, 0, 0);
  double u = ef_rng_uniform(&rng), v = ef_rng_uniform(&rng);
  if (!rules->has_u) rules->u = u;
  if (!rules->has_v) rules->v = v;
  rules->has_u = rules->has_v = true;
}

int64_t ef_market_capacity(const ef_instance *instance, size_t provider) {
  const ef_rules *rules = &instance->rules;
  if (rules->pooled) return rules->capacity;
  return (int64_t)floor(instance->providers[provider].share * (double)rules->capacity);
}
