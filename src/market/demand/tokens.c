#include "market/demand/demand_internal.h"
#include <math.h>

/* ---- time of the steps ----------------------------------------------------------------------------------
 */

/* FLOP/s and bytes/s; bytes 0: memory does not bound. */
typedef struct hardware {
  double flops, bytes;
} hardware;

/* at + per * j at step j. */
typedef struct line {
  double at, per;
} line;

/* One piece of work in every decode step. */
typedef struct piece {
  line flops, bytes;
} piece;

static double on_line(line a, double j) { return a.at + a.per * j; }

static double line_sum(line a, double first, double last) {
  return (last - first + 1) * on_line(a, (first + last) / 2);
}

/* sum over j = 1..n of the larger of two lines: they cross once at most. */
static double larger_sum(line a, line b, double n) {
  double before = on_line(a, 1) - on_line(b, 1), behind = on_line(a, n) - on_line(b, n);
  if (before >= 0 && behind >= 0) return line_sum(a, 1, n);
  if (before <= 0 && behind <= 0) return line_sum(b, 1, n);
  double cross = floor((b.at - a.at) / (a.per - b.per));
  double k = fmin(fmax(cross, 1), n - 1);
  line first = before > 0 ? a : b, second = before > 0 ? b : a;
  return line_sum(first, 1, k) + line_sum(second, k + 1, n);
}

static line line_time(line work, double speed) {
  return work.at > 0 || work.per > 0 ? (line){work.at / speed, work.per / speed} : (line){0, 0};
}

/* Seconds of `steps` decode steps, the last one in part. */
static double decode_seconds(const piece *p, hardware on, double steps) {
  line compute = line_time(p->flops, on.flops);
  line memory = on.bytes > 0 ? line_time(p->bytes, on.bytes) : (line){0, 0};
  if (!isfinite(compute.at) || isnan(compute.per)) return INFINITY;
  double whole = floor(steps), part = steps - whole;
  double seconds = whole > 0 ? larger_sum(compute, memory, whole) : 0;
  if (part > 0) seconds += part * fmax(on_line(compute, whole + 1), on_line(memory, whole + 1));
  return seconds;
}

/* ---- work of one request --------------------------------------------------------------------------------
 */

typedef struct request {
  const ef_demand_table *table;
  double prompt, steps; /* P, r */
  hardware device, unit;
} request;

static request request_of(const ef_search *s) {
  const ef_workload *w = s->table->workload;
  const ef_user *user = s->user;
  double prompt = user->prompt_tokens > 0 ? user->prompt_tokens : w->prompt_tokens;
  double decode = user->decode_tokens > 0 ? user->decode_tokens : w->decode_tokens;
  return (request){.table = s->table,
                   .prompt = user->complexity * prompt,
                   .steps = user->complexity * decode,
                   .device = {user->device_flops, user->device_bytes},
                   .unit = {s->rules->unit_flops, s->rules->unit_bytes}};
}

/* The whole prompt through layers first+1..last. */
static double prefill_seconds(const request *r, hardware on, size_t first, size_t last) {
  const ef_demand_table *t = r->table;
  double p = r->prompt;
  double flops =
      p * (t->flops[last] - t->flops[first]) + (t->attention[last] - t->attention[first]) * (p * (p + 1) / 2);
  double bytes = t->prefill[last] - t->prefill[first] + p * (t->cache[last] - t->cache[first]);
  double memory = on.bytes > 0 ? bytes / on.bytes : 0;
  return fmax(ef_seconds(flops, on.flops), memory);
}

/* One token through layers first+1..last. */
static piece layers_piece(const request *r, size_t first, size_t last) {
  const ef_demand_table *t = r->table;
  double attention = t->attention[last] - t->attention[first], cache = t->cache[last] - t->cache[first];
  return (piece){
      .flops = {t->flops[last] - t->flops[first] + r->prompt * attention, attention},
      .bytes = {t->weight[last] - t->weight[first] + r->prompt * cache, cache},
  };
}

/* Adds the heads of exits first..stop-1. */
static piece with_heads(const request *r, piece p, size_t first, size_t stop) {
  p.flops.at += r->table->head_flops[stop] - r->table->head_flops[first];
  p.bytes.at += r->table->head_bytes[stop] - r->table->head_bytes[first];
  return p;
}

/* Network and slack, once the expected device time and the edge's seconds on one unit are known; `share` is
 * S.
 */
static void finish(const ef_search *s, const request *r, size_t q, double share, double edge_s,
                   ef_split *split) {
  split->work = edge_s * s->rules->unit_flops;
  if (share > 0) {
    double token = ef_seconds(8 * s->table->out_bytes[q], s->user->uplink_bps);
    double sent = q > 0 ? r->steps * share : 0;
    split->transfer_s = r->prompt * token + sent * token;
    split->network_s = r->prompt * token + s->rules->rtt + sent * (token + s->rules->rtt);
  }
  split->slack = s->user->deadline - split->device_s - split->network_s;
  bool may_idle = share <= 0 || s->table->workload->policy_count > 0; /* as in a forward pass */
  bool idle = split->work <= 0 && split->device_s + split->network_s <= s->user->deadline;
  split->in_time = split->slack > 0 || (may_idle && idle);
}

/* ---- fixed exits ----------------------------------------------------------------------------------------
 */

static ef_split fixed_split(const ef_search *s, const request *r, size_t e, size_t q) {
  size_t after = s->table->workload->exits[e].after;
  bool local = q > after;
  size_t on_device = local ? after : q;
  piece device = layers_piece(r, 0, on_device), edge = layers_piece(r, on_device, after);
  piece *last = local ? &device : &edge;
  *last = with_heads(r, *last, e, e + 1);
  ef_split split = {.device_s = prefill_seconds(r, r->device, 0, on_device) +
                                decode_seconds(&device, r->device, r->steps)};
  double edge_s = prefill_seconds(r, r->unit, on_device, after) + decode_seconds(&edge, r->unit, r->steps);
  finish(s, r, q, local ? 0 : 1, local ? 0 : edge_s, &split);
  return split;
}

static void search_fixed(ef_search *s, const request *r) {
  const ef_workload *w = s->table->workload;
  for (size_t e = 0; e < w->exit_count; e++) {
    const ef_exit *exit = &w->exits[e];
    if (!(exit->accuracy >= s->user->accuracy)) continue;
    bool head = exit->head_flops > 0 || exit->head_bytes > 0;
    for (size_t q = 0; q <= exit->after + 1; q++) {
      if (q == exit->after && !head) continue; /* nothing would be left for the edge */
      ef_split split = fixed_split(s, r, e, q);
      ef_search_try(s, e, exit->accuracy, q, &split);
    }
  }
}

/* ---- exits by confidence --------------------------------------------------------------------------------
 */

static ef_split confidence_split(const ef_search *s, const request *r, size_t p, size_t q) {
  const ef_demand_table *t = s->table;
  const ef_workload *w = t->workload;
  const double *leave = w->policies[p].leave;
  size_t heads = t->heads[q]; /* exits 0..heads-1 end on the device */
  double share = t->share[p * (w->layer_count + 1) + q];
  ef_split split = {.device_s = prefill_seconds(r, r->device, 0, q)};
  double edge_s = prefill_seconds(r, r->unit, q, t->last[p]);
  for (size_t e = 0; e < w->exit_count; e++) {
    if (!(leave[e] > 0)) continue;
    bool here = e < heads;
    piece token = here ? with_heads(r, layers_piece(r, 0, w->exits[e].after), 0, e + 1)
                       : with_heads(r, layers_piece(r, q, w->exits[e].after), heads, e + 1);
    double seconds = leave[e] * decode_seconds(&token, here ? r->device : r->unit, r->steps);
    *(here ? &split.device_s : &edge_s) += seconds;
  }
  if (share > 0) { /* the device's part of tokens that go on to the edge */
    piece token = with_heads(r, layers_piece(r, 0, q), 0, heads);
    split.device_s += share * decode_seconds(&token, r->device, r->steps);
  }
  finish(s, r, q, share, edge_s, &split);
  return split;
}

static void search_confidence(ef_search *s, const request *r) {
  const ef_workload *w = s->table->workload;
  for (size_t p = 0; p < w->policy_count; p++) {
    double accuracy = w->policies[p].accuracy;
    if (!(accuracy >= s->user->accuracy)) continue;
    for (size_t q = 0; q <= s->table->last[p]; q++) {
      ef_split split = confidence_split(s, r, p, q);
      ef_search_try(s, p, accuracy, q, &split);
    }
  }
}

void ef_search_tokens(ef_search *search) {
  request r = request_of(search);
  if (search->table->workload->policy_count > 0) {
    search_confidence(search, &r);
  } else {
    search_fixed(search, &r);
  }
}
