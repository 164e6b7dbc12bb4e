/* The least resource that serves a user within its requirements, over exit or policy and partition
 * (aeria.md, sections 2 and 8; the paper's phase I). O(exits x layers) per user with prefix sums; in
 * confidence mode O(policies x layers). A speed that is too large for a double counts as infeasible.
 *
 * Autoregressive workloads. A request is a prefill of P tokens and r decode steps (P = h * prompt_tokens,
 * r = h * decode_tokens, real numbers). With q layers on the device, n_last the depth of the deepest exit
 * that is used, f_l, a_l, m_l, m'_l, k_l, z_l the flops, attention_flops, weight_bytes, prefill_bytes,
 * cache_bytes and out_bytes of layer l:
 *   prefill, layer l <= n_last:   F = P f_l + a_l P(P+1)/2      M = m'_l + k_l P
 *   decode step j = 1..r, layer l: F = f_l + a_l (P+j)          M = m_l + k_l (P+j)
 * The prefill runs all layers up to n_last (the cache needs them) and no head. In a decode step a token runs
 * the layers and heads up to the exit where it leaves; the cache entries of layers that it skips are not
 * charged. The time of a piece of work (F,M) on hardware (s FLOP/s, b bytes/s) is max(F/s, M/b): the roofline
 * (Williams, Waterman, Patterson, CACM 52(4), 2009); pieces are the device's and the edge's part of the
 * prefill, and of each decode step for each exit. d units give d unit_flops and d unit_bytes, so that every
 * piece takes 1/d of its time on one unit: the demand of each step is the larger of its compute and its
 * bandwidth share. With G the expected time of all edge pieces on one unit, Tdev that of the device pieces:
 *   T_net = 8 P z_q / B + rtt + [q > 0] r S (8 z_q / B + rtt)   (z_0 = input_bytes; S share of tokens that
 *           reach the edge; at q = 0 the tokens stay at the edge; no network when nothing reaches it)
 *   x = unit_flops * max(G / (T - Tdev - T_net), rate * G); the other conditions as in a forward pass, with
 *   8 z_q (P + [q > 0] r S) / B as the time on the uplink.
 * Fixed mode: all tokens leave at exit e and only its head is run. Confidence mode: q = 0..n_last. Of a real
 * number r of steps the last counts by the fraction that is left. Sums over j are closed forms: the larger of
 * two lines in j changes at most once. Cost here: O(policies x exits x layers) per user.
 */
#pragma once

#include "market/instance.h"

typedef enum ef_need { EF_NEED_EDGE, EF_NEED_SELF, EF_NEED_INFEASIBLE } ef_need;

typedef struct ef_demand {
  ef_need need;
  double flops;     /* x: least speed at the edge, FLOP/s; 0 for SELF */
  int64_t units;    /* max(1, ceil(x / unit_flops - 1e-9)); 0 unless EDGE; INT64_MAX when it is larger */
  size_t choice;    /* number of the policy, or in fixed mode of the exit; SIZE_MAX: infeasible */
  size_t partition; /* q layers on the device; SIZE_MAX: infeasible. Fixed mode: after+1 is all local */
  double device_s, network_s, edge_s; /* expected times of the choice at speed x; 0 where none */
  double accuracy;                    /* of the choice */
} ef_demand;

/* Prefix sums of one workload, made once and used for any number of users. */
typedef struct ef_demand_table ef_demand_table; /* opaque */
ef_status ef_demand_table_create(const ef_workload *workload, ef_demand_table **table);
void ef_demand_table_free(ef_demand_table *table);

/* The exact least resource; ties: smaller exit or policy, then smaller partition. Nothing is allocated. The
 * workload must outlive the table. Local. */
void ef_demand_find(const ef_demand_table *table, const ef_rules *rules, const ef_user *user,
                    ef_demand *demand);

/* The x of one pair (choice, q), 0 if all is local, INFINITY if it is infeasible or no pair at all (not
 * accurate enough, q out of range, a head without work alone at the edge): plain sums without tables, decode
 * steps one by one, for tests and reports. O(exits x layers), autoregressive: times steps. Local. */
double ef_demand_of_pair(const ef_workload *workload, const ef_rules *rules, const ef_user *user,
                         size_t choice, size_t q);
