#include "market/demand.h"
#include "test_simulate_sample.h"

static ef_instance instance_of(const ef_scenario *s, size_t slot) {
  ef_instance in;
  cr_ok(ef_scenario_instance(s, slot, &in));
  return in;
}

Test(simulate_users, the_default_is_the_papers) {
  ef_scenario s = ef_scenario_default();
  cr_assert_eq(s.capacity_flops / s.unit_flops, 3930.0);
  cr_assert_eq(s.setting.aeria.c, 2.0);
  cr_assert_eq(s.setting.aeria.vickrey_prob, 0.0);
  s.workload = sample_exits();
  cr_assert_eq(ef_scenario_check(&s), EF_INPUT); /* traces are the caller's */
  cr_says("trace of arrivals is empty");
  ef_trace_ranges ranges = ef_trace_ranges_default();
  cr_ok(ef_scenario_generate(&s, &ranges));
  cr_ok(ef_scenario_check(&s));
  cr_assert_eq(s.arrivals.count, 72);
  cr_assert_eq(s.uplink.count, 1500);
  ef_scenario_traces_free(&s);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(simulate_users, a_slot_is_a_valid_instance_within_the_scenarios_bounds) {
  ef_scenario s = sample_generated(4);
  int offers[3] = {0};
  for (size_t slot = 0; slot < 5; slot++) {
    ef_instance in = instance_of(&s, slot);
    cr_ok(ef_instance_check(&in));
    cr_assert_eq(in.user_count, (size_t)s.arrivals.value[slot]);
    cr_assert_eq(in.rules.capacity, 300);
    cr_assert_float_eq(in.rules.unit_cost, 0.1 * s.price.value[slot], 1e-12);
    for (size_t i = 0; i < in.user_count; i++) {
      const ef_user *u = &in.users[i];
      cr_assert(u->deadline >= 0.08 && u->deadline <= 0.8 + 1e-12);
      cr_assert(u->complexity >= 1 && u->complexity < 2 && u->rate >= 0.5 && u->rate <= 5 + 1e-12);
      cr_assert(u->uplink_bps >= 7e6 && u->uplink_bps <= 60e6);
      cr_assert(u->device_flops >= 0.5e9 && u->device_flops <= 20e9);
      cr_assert_eq(u->bid, u->value);
      int offer = u->accuracy > 0.85 ? 2 : u->accuracy > 0.7 ? 1 : 0;
      double exact = (double[]){0.6, 0.8, 0.9}[offer];
      cr_assert(u->accuracy < exact && u->accuracy > exact - 1e-8);
      offers[offer]++;
    }
    ef_instance_free(&in);
  }
  for (int e = 0; e < 3; e++) cr_assert(offers[e] > 50, "exit %d: %d", e, offers[e]);
  ef_scenario_traces_free(&s);
  cr_assert_eq(ef_memory_blocks(), 0);
}

/* Least speed over all pairs of exit and partition, by plain sums. */
static double least_speed(const ef_instance *in, const ef_user *u) {
  double best = INFINITY;
  const ef_workload *w = &in->workloads[0];
  for (size_t e = 0; e < w->exit_count; e++) {
    if (w->exits[e].accuracy < u->accuracy) continue;
    for (size_t q = 0; q <= w->exits[e].after + 1; q++) {
      best = fmin(best, ef_demand_of_pair(w, &in->rules, u, e, q));
    }
  }
  return best;
}

Test(simulate_users, values_follow_the_formula_and_are_zero_without_a_demand) {
  ef_scenario flat = sample_generated(4), half, whole;
  flat.value_sigma = 0;
  half = whole = flat;
  half.value_sigma = 0.6;
  whole.value_sigma = 1.2;
  double sum = 0, squares = 0, edge = 0, none = 0;
  for (size_t slot = 0; slot < 10; slot++) {
    ef_instance a = instance_of(&flat, slot), b = instance_of(&half, slot), c = instance_of(&whole, slot);
    for (size_t i = 0; i < a.user_count; i++) {
      double x = least_speed(&a, &a.users[i]);
      if (x <= 0 || !isfinite(x)) {
        cr_assert(a.users[i].value == 0 && b.users[i].value == 0);
        none++;
        continue;
      }
      double d = fmax(1, ceil(x / 1e9 - 1e-9));
      cr_assert_float_eq(a.users[i].value / pow(d, 0.85), 1, 1e-12);
      double n1 = log(b.users[i].value / a.users[i].value), n2 = log(c.users[i].value / a.users[i].value);
      cr_assert_float_eq(n2, 2 * n1, 1e-9);
      sum += n1 / 0.6;
      squares += n1 * n1 / 0.36;
      edge++;
    }
    ef_instance_free(&a);
    ef_instance_free(&b);
    ef_instance_free(&c);
  }
  cr_assert(edge > 200 && none > 20, "%g %g", edge, none);
  cr_assert(fabs(sum / edge) < 4 / sqrt(edge) && fabs(squares / edge - 1) < 6 / sqrt(edge));
  ef_scenario_traces_free(&flat);
}

Test(simulate_users, slots_and_seeds_differ_and_repeat) {
  ef_scenario s = sample_generated(4), other = s;
  other.seed = 5;
  ef_instance a = instance_of(&s, 3), again = instance_of(&s, 3), next = instance_of(&s, 4),
              seed = instance_of(&other, 3);
  for (size_t i = 0; i < a.user_count; i++) {
    cr_assert_eq(a.users[i].deadline, again.users[i].deadline);
    cr_assert_eq(a.users[i].value, again.users[i].value);
    cr_assert_neq(a.users[i].deadline, seed.users[i].deadline);
    if (i > 0) cr_assert_neq(a.users[i].deadline, a.users[i - 1].deadline);
    if (i < next.user_count) cr_assert_neq(a.users[i].deadline, next.users[i].deadline);
  }
  cr_assert_eq(a.rules.u, again.rules.u);
  cr_assert_neq(a.rules.u, next.rules.u);
  cr_assert_neq(a.rules.u, seed.rules.u);
  ef_instance_free(&a);
  ef_instance_free(&again);
  ef_instance_free(&next);
  ef_instance_free(&seed);
  ef_scenario_traces_free(&s);
}

Test(simulate_users, memory_speeds_follow_the_scenario) {
  double values[4];
  ef_scenario s = sample_scenario(sample_single(), 5, values);
  values[3] = 2e9;
  s.device_intensity = 0.25;
  s.unit_bytes = 3e8;
  ef_instance in = instance_of(&s, 0);
  for (size_t i = 0; i < 5; i++) cr_assert_eq(in.users[i].device_bytes, 0.5e9);
  cr_assert_eq(in.rules.unit_bytes, 3e8);
  ef_instance_free(&in);
}

Test(simulate_users, confidence_policies_give_the_accuracy_that_is_asked_for) {
  double values[4], leave[2][3] = {{0.5, 0.3, 0.2}, {0, 0, 1}};
  ef_policy policies[] = {{0.5, 0.71, leave[0]}, {1.0, 0.88, leave[1]}};
  ef_workload w = sample_exits();
  w.policies = policies;
  w.policy_count = 2;
  ef_scenario s = sample_scenario(w, 60, values);
  ef_instance in = instance_of(&s, 0);
  cr_ok(ef_instance_check(&in));
  int low = 0;
  for (size_t i = 0; i < in.user_count; i++) {
    double a = in.users[i].accuracy;
    low += a < 0.8;
    cr_assert((a < 0.71 && a > 0.71 - 1e-8) || (a < 0.88 && a > 0.88 - 1e-8));
  }
  cr_assert(low > 10 && low < 50);
  cr_assert_eq(in.workloads[0].policies[0].leave[1], 0.3);
  ef_instance_free(&in);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(simulate_users, capacity_is_the_clusters_or_a_share_of_the_forecast) {
  double values[4], arrivals[2] = {3, 5};
  ef_scenario s = sample_scenario(sample_single(), 0, values);
  s.arrivals = (ef_trace){.count = 2, .value = arrivals};
  s.slots = 2;
  int64_t units;
  cr_ok(ef_scenario_capacity(&s, &units));
  cr_assert_eq(units, 3930);
  s.capacity_ratio = 0.6; /* demands of 3 units: 9 and 15 in all, .6 * 12 = 7.2 */
  cr_ok(ef_scenario_capacity(&s, &units));
  cr_assert_eq(units, 7);
  s.max_share = 0.4; /* 3 > .4 * 7: nobody fits any capacity that the forecast supports */
  cr_ok(ef_scenario_capacity(&s, &units));
  cr_assert_eq(units, 0);
  s.max_share = 3.0 / 7.0;
  cr_ok(ef_scenario_capacity(&s, &units));
  cr_assert_eq(units, 7);
}

Test(simulate_users, one_giant_does_not_set_the_forecast) {
  double values[4], uplink[50];
  ef_scenario s = sample_scenario(sample_single(), 4000, values);
  for (int i = 0; i < 50; i++) uplink[i] = 1e7;
  uplink[0] = 8000 / 0.49499; /* leaves 10 us: 100,000 units for one user in fifty */
  s.uplink = (ef_trace){.count = 50, .value = uplink};
  s.capacity_ratio = 0.5;
  s.max_share = 0.01;
  ef_instance in;
  cr_ok(ef_scenario_instance(&s, 0, &in));
  int64_t small = 0;
  for (size_t i = 0; i < in.user_count; i++) small += in.users[i].uplink_bps == 1e7 ? 3 : 0;
  cr_assert(small < 12000 && small > 11000);
  cr_assert_eq(in.rules.capacity, small / 2);
  ef_instance_free(&in);
}

/* ---- sweeps ---------------------------------------------------------------------------------------------
 */

typedef struct moved {
  double users, capacity, c, deadline, uplink, value; /* factors; c itself; value: 1 if values may differ */
} moved;

static void check_user(const ef_user *a, const ef_user *b, const moved *m) {
  cr_assert_float_eq(b->deadline / a->deadline, m->deadline, 1e-12);
  cr_assert_float_eq(b->uplink_bps / a->uplink_bps, m->uplink, 1e-12);
  cr_assert_eq(a->device_flops, b->device_flops);
  cr_assert_eq(a->complexity, b->complexity);
  cr_assert_eq(a->rate, b->rate);
  cr_assert_eq(a->accuracy, b->accuracy);
  if (m->value == 0) cr_assert_eq(a->value, b->value);
}

static void check_sweep(ef_sweep_kind kind, double x, moved m) {
  ef_scenario base = sample_generated(6), out;
  cr_ok(ef_scenario_vary(&base, kind, x, &out));
  ef_instance a = instance_of(&base, 2), b = instance_of(&out, 2);
  cr_assert_eq(b.user_count, (size_t)round(m.users * (double)a.user_count));
  cr_assert_eq(b.rules.capacity, (int64_t)(m.capacity * (double)a.rules.capacity));
  cr_assert_eq(b.rules.c, m.c);
  cr_assert_eq(b.rules.unit_cost, a.rules.unit_cost);
  cr_assert_eq(b.rules.u, a.rules.u);
  size_t differ = 0;
  for (size_t i = 0; i < a.user_count && i < b.user_count; i++) {
    check_user(&a.users[i], &b.users[i], &m);
    differ += a.users[i].value < b.users[i].value || a.users[i].value > b.users[i].value;
  }
  cr_assert(m.value == 0 || differ > 10);
  cr_assert_eq(out.uplink.value, base.uplink.value); /* borrowed */
  ef_instance_free(&a);
  ef_instance_free(&b);
  ef_scenario_traces_free(&base);
}

Test(simulate_users, a_sweep_moves_its_own_field_and_nothing_else) {
  check_sweep(EF_SWEEP_USERS, 2, (moved){2, 1, 2, 1, 1, 0});
  check_sweep(EF_SWEEP_USERS, 0.5, (moved){0.5, 1, 2, 1, 1, 0});
  check_sweep(EF_SWEEP_CAPACITY, 0.5, (moved){1, 0.5, 2, 1, 1, 0});
  check_sweep(EF_SWEEP_C, 1.3, (moved){1, 1, 1.3, 1, 1, 0});
  check_sweep(EF_SWEEP_DEADLINE, 0.75, (moved){1, 1, 2, 0.75, 1, 1});
  check_sweep(EF_SWEEP_UPLINK, 4, (moved){1, 1, 2, 1, 4, 1});
  check_sweep(EF_SWEEP_TAIL, 1.5, (moved){1, 1, 2, 1, 1, 1});
}

Test(simulate_users, sweeps_have_names_and_points_that_can_be_run) {
  static const char *names[] = {"users", "capacity", "c", "deadline", "uplink", "tail"};
  ef_scenario base = sample_generated(1), out;
  for (size_t i = 0; i < 6; i++) {
    const ef_sweep *sweep = ef_sweep_find(names[i]);
    cr_assert(sweep && sweep->count >= 2 && sweep->count <= EF_SWEEP_POINTS && sweep->help);
    cr_assert_eq((size_t)sweep->kind, i);
    cr_assert(strstr(ef_sweep_names(), names[i]));
    for (size_t p = 0; p < sweep->count; p++) {
      cr_ok(ef_scenario_vary(&base, sweep->kind, sweep->points[p], &out));
      cr_ok(ef_scenario_check(&out));
      if (p > 0) cr_assert_lt(sweep->points[p - 1], sweep->points[p]);
    }
    cr_assert_eq(ef_scenario_vary(&base, sweep->kind, NAN, &out), EF_INPUT);
    cr_says(names[i]);
    cr_assert_eq(ef_scenario_vary(&base, sweep->kind, -1, &out), EF_INPUT);
  }
  cr_assert_eq(ef_sweep_find("colour"), NULL);
  cr_assert_eq(ef_scenario_vary(&base, EF_SWEEP_C, 1, &out), EF_INPUT);
  cr_ok(ef_scenario_vary(&base, EF_SWEEP_TAIL, 0, &out));
  ef_scenario_traces_free(&base);
}

Test(simulate_users, faulty_scenarios_are_refused_by_field) {
  double values[4];
  const ef_scenario good = sample_scenario(sample_single(), 3, values);
  ef_scenario s;
  cr_ok(ef_scenario_check(&good));
#define REFUSED(change, text)                                                                                \
  s = good;                                                                                                  \
  s.change;                                                                                                  \
  cr_assert_eq(ef_scenario_check(&s), EF_INPUT, #change);                                                    \
  cr_says(text)
  REFUSED(slots = 0, "slots");
  REFUSED(unit_flops = 0, "unit_flops");
  REFUSED(deadline_least = 0, "deadline_least");
  REFUSED(deadline_most = 0.4, "deadline_most");
  REFUSED(scale_most = 0.5, "scale_most");
  REFUSED(max_share = 1.5, "max_share");
  REFUSED(max_share = 0, "max_share");
  REFUSED(rtt = NAN, "rtt");
  REFUSED(uplink_scale = 0, "uplink_scale");
  REFUSED(setting.aeria.c = 1, "setting.aeria.c");
  REFUSED(setting.aeria.vickrey_prob = 1, "vickrey_prob");
  REFUSED(value_sigma = -1, "value_sigma");
  REFUSED(capacity_flops = 1e30, "capacity_flops");
  REFUSED(price.count = 0, "electricity prices is empty");
  REFUSED(workload.exit_count = 0, "workload");
  values[2] = 0;
  REFUSED(slots = 1, "trace of uplinks has 0 as entry 0");
#undef REFUSED
}
