#include "market/demand.h"
#include <math.h>

/* The search sums over layers weighted by the share that runs them; here every sample is followed along its
 * route instead, and a decode step after the other. */

typedef struct ef_pair {
  const ef_workload *w;
  const ef_user *user;
  bool fixed;
  size_t choice, q;
} ef_pair;

typedef struct ef_cost {
  double flops, bytes;
} ef_cost;

static double leave_of(const ef_pair *p, size_t e) {
  if (p->fixed) return e == p->choice ? 1 : 0;
  return p->w->policies[p->choice].leave[e];
}

static size_t deepest_exit(const ef_pair *p) {
  size_t deepest = 0;
  for (size_t e = 0; e < p->w->exit_count; e++) {
    if (leave_of(p, e) > 0) deepest = p->w->exits[e].after;
  }
  return deepest;
}

static bool head_on_device(const ef_pair *p, size_t e) {
  size_t after = p->w->exits[e].after;
  return p->fixed ? p->q > after : p->q > 0 && p->q >= after;
}

/* Whether (choice, q) is a pair at all. */
static bool pair_exists(const ef_pair *p) {
  const ef_workload *w = p->w;
  if (p->choice >= (p->fixed ? w->exit_count : w->policy_count)) return false;
  if (p->fixed) {
    const ef_exit *exit = &w->exits[p->choice];
    bool idle = exit->head_flops <= 0 && !(w->autoregressive && exit->head_bytes > 0);
    return exit->accuracy >= p->user->accuracy && p->q <= exit->after + 1 && !(idle && p->q == exit->after);
  }
  size_t most = w->autoregressive ? deepest_exit(p) : w->exits[w->exit_count - 1].after;
  return w->policies[p->choice].accuracy >= p->user->accuracy && p->q <= most;
}

/* What a sample that leaves at `exit` costs on one side, one pass of it, `context` positions long. */
static ef_cost route_cost(const ef_pair *p, size_t exit, bool device, double context) {
  ef_cost sum = {0};
  for (size_t l = 1; l <= p->w->exits[exit].after; l++) {
    const ef_layer_cost *layer = &p->w->layers[l - 1];
    if ((l <= p->q) != device) continue;
    sum.flops += layer->flops + layer->attention_flops * context;
    sum.bytes += layer->weight_bytes + layer->cache_bytes * context;
  }
  for (size_t e = p->fixed ? exit : 0; e <= exit; e++) {
    if (head_on_device(p, e) != device) continue;
    sum.flops += p->w->exits[e].head_flops;
    sum.bytes += p->w->exits[e].head_bytes;
  }
  return sum;
}

static ef_cost prompt_cost(const ef_pair *p, bool device, double prompt) {
  ef_cost sum = {0};
  for (size_t l = 1; l <= deepest_exit(p); l++) {
    const ef_layer_cost *layer = &p->w->layers[l - 1];
    if ((l <= p->q) != device) continue;
    sum.flops += prompt * layer->flops + layer->attention_flops * prompt * (prompt + 1) / 2;
    sum.bytes += layer->prefill_bytes + layer->cache_bytes * prompt;
  }
  return sum;
}

static double seconds_of(ef_cost cost, double flops_per_s, double bytes_per_s) {
  double compute = cost.flops > 0 ? cost.flops / flops_per_s : 0;
  double memory = cost.bytes > 0 && bytes_per_s > 0 ? cost.bytes / bytes_per_s : 0;
  return fmax(compute, memory);
}

/* Expected seconds of one side on such hardware: a forward pass, or prompt and decode steps. */
static double side_seconds(const ef_pair *p, bool device, double flops_per_s, double bytes_per_s,
                           double prompt, double steps) {
  bool tokens = p->w->autoregressive;
  double sum = tokens ? seconds_of(prompt_cost(p, device, prompt), flops_per_s, bytes_per_s) : 0;
  for (size_t e = 0; e < p->w->exit_count; e++) {
    double leave = leave_of(p, e);
    if (!(leave > 0)) continue;
    if (!tokens) {
      ef_cost cost = route_cost(p, e, device, 0);
      sum += leave * seconds_of((ef_cost){p->user->complexity * cost.flops, 0}, flops_per_s, 0);
      continue;
    }
    for (double j = 1; j - 1 < steps; j++) {
      double part = fmin(1, steps - (j - 1));
      sum += leave * part * seconds_of(route_cost(p, e, device, prompt + j), flops_per_s, bytes_per_s);
    }
  }
  return sum;
}

/* Share of samples whose route goes over the network. */
static double share_of(const ef_pair *p) {
  double share = 0;
  for (size_t e = 0; e < p->w->exit_count; e++) {
    if (!head_on_device(p, e)) share += leave_of(p, e);
  }
  return share;
}

double ef_demand_of_pair(const ef_workload *workload, const ef_rules *rules, const ef_user *user,
                         size_t choice, size_t q) {
  ef_pair p = {workload, user, workload->policy_count == 0, choice, q};
  if (!pair_exists(&p)) return INFINITY;
  double prompt = user->prompt_tokens > 0 ? user->prompt_tokens : workload->prompt_tokens;
  double steps = user->decode_tokens > 0 ? user->decode_tokens : workload->decode_tokens;
  prompt *= user->complexity;
  steps *= user->complexity;
  double device = side_seconds(&p, true, user->device_flops, user->device_bytes, prompt, steps);
  if (!(device <= user->deadline) || !(user->rate * device <= 1)) return INFINITY;
  double share = share_of(&p);
  if (!(share > 0)) return 0;

  double bytes = q > 0 ? workload->layers[q - 1].out_bytes : workload->input_bytes;
  double upload = bytes > 0 ? 8 * bytes / user->uplink_bps : 0; /* of one sample, or of one token */
  double busy = share * user->complexity * upload, trips = share;
  if (workload->autoregressive) {
    busy = prompt * upload + (q > 0 ? steps * share * upload : 0);
    trips = 1 + (q > 0 ? steps * share : 0);
  }
  if (!(user->rate * busy <= 1)) return INFINITY;
  double slack = user->deadline - device - busy - trips * rules->rtt;
  double edge = side_seconds(&p, false, rules->unit_flops, rules->unit_bytes, prompt, steps);
  if (!(edge > 0)) return slack > 0 || (!p.fixed && slack >= 0) ? 0 : INFINITY;
  if (!(slack > 0)) return INFINITY;
  return rules->unit_flops * fmax(edge / slack, user->rate * edge);
}
