#include "market/simulation/simulate_internal.h"

#include "base/memory.h"
#include <stdio.h>
#include <string.h>

static ef_status copy_text(const char *text, char **copy) {
  *copy = NULL;
  if (!text) return EF_OK;
  *copy = ef_strdup(text);
  return EF_CHECK(*copy, EF_MACHINE, "out of memory: a copy of \"%.40s\"", text);
}

static ef_status copy_layers(const ef_workload *from, ef_workload *to) {
  EF_TRY(EF_NEW(to->layers, from->layer_count));
  for (size_t l = 0; l < from->layer_count; l++) {
    to->layers[l] = from->layers[l];
    to->layers[l].name = NULL;
    to->layer_count = l + 1;
    EF_TRY(copy_text(from->layers[l].name, &to->layers[l].name));
  }
  return EF_OK;
}

static ef_status copy_exits(const ef_workload *from, ef_workload *to) {
  EF_TRY(EF_NEW(to->exits, from->exit_count));
  for (size_t e = 0; e < from->exit_count; e++) {
    to->exits[e] = from->exits[e];
    to->exits[e].source = NULL;
    to->exit_count = e + 1;
    EF_TRY(copy_text(from->exits[e].source, &to->exits[e].source));
  }
  return EF_OK;
}

static ef_status copy_policies(const ef_workload *from, ef_workload *to) {
  EF_TRY(EF_NEW(to->policies, from->policy_count));
  for (size_t p = 0; p < from->policy_count; p++) {
    to->policies[p] = from->policies[p];
    to->policies[p].leave = NULL;
    to->policy_count = p + 1;
    EF_TRY(EF_NEW(to->policies[p].leave, from->exit_count));
    memcpy(to->policies[p].leave, from->policies[p].leave, from->exit_count * sizeof(double));
  }
  return EF_OK;
}

/* `to` can be freed at any point: counts never run ahead of what is there. */
static ef_status copy_workload(const ef_workload *from, ef_workload *to) {
  *to = (ef_workload){.autoregressive = from->autoregressive,
                      .input_bytes = from->input_bytes,
                      .prompt_tokens = from->prompt_tokens,
                      .decode_tokens = from->decode_tokens,
                      .measured_flops = from->measured_flops};
  EF_TRY(copy_text(from->name, &to->name));
  EF_TRY(copy_text(from->source, &to->source));
  EF_TRY(copy_text(from->checkpoint, &to->checkpoint));
  EF_TRY(copy_layers(from, to));
  EF_TRY(copy_exits(from, to));
  return from->policy_count > 0 ? copy_policies(from, to) : EF_OK;
}

static ef_status copy_users(const ef_crowd *crowd, ef_instance *instance) {
  EF_TRY(EF_NEW(instance->users, crowd->shell.user_count));
  for (size_t i = 0; i < crowd->shell.user_count; i++) {
    char id[32];
    snprintf(id, sizeof id, "u%zu", i);
    instance->users[i] = crowd->users[i];
    instance->users[i].id = NULL;
    instance->user_count = i + 1;
    EF_TRY(copy_text(id, &instance->users[i].id));
  }
  return EF_OK;
}

static ef_status copy_crowd(const ef_crowd *crowd, ef_instance *instance) {
  instance->rules = crowd->shell.rules;
  EF_TRY(EF_NEW(instance->workloads, 1));
  instance->workload_count = 1;
  EF_TRY(copy_workload(&crowd->workload, instance->workloads));
  EF_TRY(EF_NEW(instance->providers, 1));
  instance->provider_count = 1;
  instance->providers[0] = crowd->provider;
  EF_TRY(copy_text("cluster", &instance->providers[0].id));
  return copy_users(crowd, instance);
}

ef_status ef_scenario_instance(const ef_scenario *s, size_t slot, ef_instance *instance) {
  *instance = (ef_instance){0};
  EF_TRY(ef_scenario_check(s));
  ef_crowd crowd = {0};
  ef_demand_table *table = NULL;
  int64_t capacity = 0;
  ef_status status = EF_OK;
  EF_GO(ef_demand_table_create(&s->workload, &table));
  EF_GO(ef_crowd_capacity(s, table, &capacity));
  EF_GO(ef_crowd_make(s, table, capacity, slot, slot, &crowd));
  EF_GO(copy_crowd(&crowd, instance));
done:
  if (status != EF_OK) ef_instance_free(instance);
  ef_crowd_free(&crowd);
  ef_demand_table_free(table);
  return status;
}
