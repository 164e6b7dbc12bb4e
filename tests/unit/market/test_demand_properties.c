/* The least resource over random workloads: brute force, monotonicity, and the request's own timeline. */
#include "base/memory.h"
#include "test_demand_sample.h"
#include <criterion/criterion.h>
#include <math.h>

/* ---- brute force ----------------------------------------------------------------------------------------
 */

static void against_all_pairs(sample_kind kind, uint64_t seeds) {
  size_t feasible = 0, self = 0, apart = 0;
  for (uint64_t seed = 0; seed < seeds; seed++) {
    demand_sample s;
    sample_make(&s, kind, seed);
    size_t choice, q;
    double least = sample_least(&s, &choice, &q);
    ef_demand d = sample_find(&s);
    if (isinf(least)) {
      cr_assert_eq(d.need, EF_NEED_INFEASIBLE, "seed %zu", (size_t)seed);
      continue;
    }
    feasible++;
    self += d.need == EF_NEED_SELF;
    cr_assert_leq(fabs(d.flops - least), 1e-9 * least, "seed %zu: %.17g not %.17g", (size_t)seed, d.flops,
                  least);
    double chosen = ef_demand_of_pair(&s.w, &s.rules, &s.user, d.choice, d.partition);
    cr_assert_leq(fabs(chosen - least), 1e-9 * least, "seed %zu", (size_t)seed);
    apart += d.choice != choice || d.partition != q; /* ties that rounding breaks */
    cr_assert(d.need != EF_NEED_SELF || (d.choice == choice && d.partition == q), "seed %zu", (size_t)seed);
  }
  cr_assert_gt(feasible, seeds / 4);
  cr_assert_gt(self, 0);
  cr_assert_gt(feasible, self + seeds / 10);
  cr_assert_leq(apart, seeds / 50);
}

Test(demand_property, fixed_against_all_pairs) { against_all_pairs(FIXED, 4000); }
Test(demand_property, confidence_against_all_pairs) { against_all_pairs(CONFIDENCE, 4000); }
Test(demand_property, tokens_fixed_against_all_pairs) { against_all_pairs(TOKENS_FIXED, 1000); }
Test(demand_property, tokens_confidence_against_all_pairs) { against_all_pairs(TOKENS_CONFIDENCE, 1000); }

/* A table is one balance of memory; a search takes none. */
Test(demand_property, searches_allocate_nothing) {
  size_t blocks = ef_memory_blocks();
  for (int kind = 0; kind < SAMPLE_KINDS; kind++) {
    demand_sample s;
    sample_make(&s, (sample_kind)kind, 3);
    ef_demand_table *table;
    cr_assert_eq(ef_demand_table_create(&s.w, &table), EF_OK);
    ef_memory_reset_peak();
    size_t held = ef_memory_bytes();
    ef_demand demand;
    for (size_t i = 0; i < 100; i++) ef_demand_find(table, &s.rules, &s.user, &demand);
    cr_assert_eq(ef_memory_peak(), held);
    ef_demand_table_free(table);
  }
  ef_demand_table_free(NULL);
  cr_assert_eq(ef_memory_blocks(), blocks);
}

/* ---- monotonicity (section 2) ---------------------------------------------------------------------------
 */

typedef void change(demand_sample *s, double factor);
static void later(demand_sample *s, double f) { s->user.deadline *= f; }
static void faster(demand_sample *s, double f) { s->user.device_flops *= f; }
static void wider(demand_sample *s, double f) { s->user.uplink_bps *= f; }
static void smaller(demand_sample *s, double f) { s->user.complexity /= f; }
static void rarer(demand_sample *s, double f) { s->user.rate /= f; }
static void looser(demand_sample *s, double f) { s->user.accuracy /= f; }
static void nearer(demand_sample *s, double f) { s->rules.rtt /= f; }
static void shorter(demand_sample *s, double f) { s->w.decode_tokens = fmax(1, s->w.decode_tokens / f); }
static void more_memory(demand_sample *s, double f) {
  s->user.device_bytes *= f;
  s->rules.unit_bytes *= f;
}

/* Each makes things easier: x may only fall. */
static void never_rises(change *easier, sample_kind kind, uint64_t seeds) {
  size_t falls = 0;
  for (uint64_t seed = 0; seed < seeds; seed++) {
    demand_sample s;
    sample_make(&s, kind, seed);
    double before = INFINITY;
    for (size_t step = 0; step < 6; step++) {
      ef_demand d = sample_find(&s);
      double x = d.need == EF_NEED_INFEASIBLE ? INFINITY : d.flops;
      cr_assert(x <= before * (1 + 1e-12), "seed %zu, step %zu: %.17g after %.17g", (size_t)seed, step, x,
                before);
      falls += x < before && step > 0;
      before = x;
      easier(&s, 1.3);
    }
  }
  cr_assert_gt(falls, seeds / 100);
}

Test(demand_property, monotone) {
  change *const changes[] = {later, faster, wider, smaller, rarer, looser, nearer};
  for (size_t c = 0; c < sizeof changes / sizeof *changes; c++) {
    for (int kind = 0; kind < SAMPLE_KINDS; kind++) never_rises(changes[c], (sample_kind)kind, 400);
  }
  never_rises(shorter, TOKENS_FIXED, 300);
  never_rises(shorter, TOKENS_CONFIDENCE, 300);
  never_rises(more_memory, TOKENS_FIXED, 300);
  never_rises(more_memory, TOKENS_CONFIDENCE, 300);
}

/* ---- the timeline of a request --------------------------------------------------------------------------
 */

/* Expected finish, and how long device, uplink and edge are busy, when all samples run one after another. */
typedef struct timeline {
  double finish, device, uplink, edge;
} timeline;

static void compute(timeline *t, const demand_sample *s, bool on_device, double work, double speed) {
  if (work <= 0) return;
  double seconds = s->user.complexity * work / (on_device ? s->user.device_flops : speed);
  *(on_device ? &t->device : &t->edge) += seconds;
  t->finish += seconds;
}

/* The layers and heads that one sample meets, exit `e` being its last; it crosses the network once. */
static timeline follow(const demand_sample *s, bool policy, size_t e, size_t q, double speed) {
  timeline t = {0};
  bool crossed = false;
  size_t next = policy ? 0 : e;
  for (size_t l = 0; l <= s->exits[e].after; l++) {
    bool on_device = l <= q && (l > 0 || policy);
    if (l > 0) {
      if (l == q + 1) crossed = true;
      compute(&t, s, on_device, s->layers[l - 1].flops, speed);
    }
    for (; next <= e && s->exits[next].after == l; next++) {
      bool head_here = policy ? l > 0 && l <= q : q > l;
      if (policy && l == 0 && q > 0) head_here = true; /* before layer 1, which the device runs */
      if (!head_here) crossed = true;
      compute(&t, s, head_here, s->exits[next].head_flops, speed);
    }
  }
  if (!crossed) return t;
  double bytes = q > 0 ? s->layers[q - 1].out_bytes : s->w.input_bytes;
  t.uplink = 8 * s->user.complexity * bytes / s->user.uplink_bps;
  t.finish += t.uplink + s->rules.rtt;
  return t;
}

static bool served(const demand_sample *s, size_t choice, size_t q, double speed) {
  bool policy = s->w.policy_count > 0;
  double accuracy = policy ? s->policies[choice].accuracy : s->exits[choice].accuracy;
  timeline sum = {0};
  for (size_t e = 0; e < s->w.exit_count; e++) {
    double share = policy ? s->leave[choice][e] : e == choice;
    if (share <= 0) continue;
    timeline t = follow(s, policy, e, q, speed);
    sum.finish += share * t.finish;
    sum.device += share * t.device;
    sum.uplink += share * t.uplink;
    sum.edge += share * t.edge;
  }
  double rate = s->user.rate;
  return accuracy >= s->user.accuracy && sum.finish <= s->user.deadline && rate * sum.device <= 1 + 1e-12 &&
         rate * sum.uplink <= 1 + 1e-12 && rate * sum.edge <= 1;
}

static bool served_somehow(const demand_sample *s, double speed) {
  bool policy = s->w.policy_count > 0;
  for (size_t c = 0; c < (policy ? s->w.policy_count : s->w.exit_count); c++) {
    size_t after = s->exits[policy ? s->w.exit_count - 1 : c].after;
    for (size_t q = 0; q <= after + !policy; q++) {
      if (served(s, c, q, speed)) return true;
    }
  }
  return false;
}

static void least_by_timeline(sample_kind kind) {
  size_t edge = 0, infeasible = 0;
  for (uint64_t seed = 5000; seed < 7000; seed++) {
    demand_sample s;
    sample_make(&s, kind, seed);
    ef_demand d = sample_find(&s);
    if (d.need == EF_NEED_INFEASIBLE) {
      infeasible++;
      cr_assert(!served_somehow(&s, 1e40), "seed %zu", (size_t)seed);
      continue;
    }
    cr_assert(served(&s, d.choice, d.partition, d.flops * (1 + 1e-6) + 1e-300), "seed %zu", (size_t)seed);
    if (d.need == EF_NEED_SELF) continue;
    edge++;
    cr_assert(!served_somehow(&s, d.flops * (1 - 1e-6)), "seed %zu", (size_t)seed);
  }
  cr_assert_gt(edge, 200);
  cr_assert_gt(infeasible, 100);
}

Test(demand_property, fixed_least_by_timeline) { least_by_timeline(FIXED); }
Test(demand_property, confidence_least_by_timeline) { least_by_timeline(CONFIDENCE); }

/* ---- the earliest exit (section 2) ----------------------------------------------------------------------
 */

/* Where a head costs no more than the next layer, no later exit needs less than the earliest that is allowed.
 */
Test(demand_property, earliest_exit_is_optimal) {
  size_t tried = 0;
  for (uint64_t seed = 0; seed < 2000; seed++) {
    demand_sample s;
    sample_make(&s, FIXED, seed);
    size_t earliest = SIZE_MAX;
    bool apart = true; /* no two exits behind the same layer */
    for (size_t e = 0; e < s.w.exit_count; e++) {
      ef_exit *exit = &s.exits[e];
      apart = apart && (e == 0 || exit->after > s.exits[e - 1].after);
      if (exit->after < s.w.layer_count) {
        exit->head_flops = fmin(exit->head_flops, s.layers[exit->after].flops);
      }
      if (earliest == SIZE_MAX && exit->accuracy >= s.user.accuracy) earliest = e;
    }
    ef_demand d = sample_find(&s);
    if (!apart || d.need == EF_NEED_INFEASIBLE) continue;
    tried++;
    double least = INFINITY;
    for (size_t q = 0; q <= s.exits[earliest].after + 1; q++) {
      least = fmin(least, ef_demand_of_pair(&s.w, &s.rules, &s.user, earliest, q));
    }
    cr_assert_leq(least, d.flops * (1 + 1e-9), "seed %zu", (size_t)seed);
  }
  cr_assert_gt(tried, 500);
}
