#include "base/rng.h"
#include "market/demand.h"
#include "test_simulate_sample.h"
#include <stdlib.h>

static ef_instance instance_of(const ef_scenario *s, size_t slot) {
  ef_instance in;
  cr_ok(ef_scenario_instance(s, slot, &in));
  return in;
}

static int descending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x < y) - (x > y);
}

/* Three users of 3 units each; 6 units; kappa .05 in slot 0 and .15 in slot 1. Bids sorted, descending. */
typedef struct trio {
  double values[4], price[2], bid[2][3];
  ef_scenario s;
} trio;

static void make_trio(trio *t) {
  t->s = sample_scenario(sample_single(), 3, t->values);
  t->price[0] = 1;
  t->price[1] = 3;
  t->s.price = (ef_trace){.count = 2, .value = t->price};
  t->s.slots = 2;
  t->s.capacity_flops = 6.5e9;
  for (size_t slot = 0; slot < 2; slot++) {
    ef_instance in = instance_of(&t->s, slot);
    for (size_t i = 0; i < 3; i++) t->bid[slot][i] = in.users[i].bid;
    qsort(t->bid[slot], 3, sizeof(double), descending);
    ef_instance_free(&in);
  }
}

#define CLOSE(a, b) cr_assert_float_eq((a), (b), 1e-12 * (1 + fabs((double)(b))), "%s is %.17g", #a, (a))

Test(simulate_rows, first_rejected_among_three_users_by_hand) {
  trio t;
  make_trio(&t);
  ef_simulation sim = sample_run(&t.s, "first-rejected");
  cr_assert_eq(sim.capacity, 6);
  for (size_t slot = 0; slot < 2; slot++) {
    const ef_slot_row *row = &sim.rows[slot];
    const double *b = t.bid[slot], kappa = slot == 0 ? 0.05 : 0.15;
    double r2 = b[1] / 3 - kappa, r3 = b[2] / 3 - kappa;
    cr_assert(r3 > 0);
    CLOSE(sim.unit_cost[slot], kappa);
    cr_assert_eq(sim.users[slot], 3);
    cr_assert_eq(sim.bidders[slot], 3);
    CLOSE(row->revenue, 2 * b[2]);
    CLOSE(row->profit, 6 * r3);
    CLOSE(row->f, fmax(3 * (b[0] / 3 - kappa), 6 * r2));
    CLOSE(row->f2, 6 * r2); /* one user alone counts nothing */
    CLOSE(row->ratio, r3 / r2);
    CLOSE(row->served, 2.0 / 3.0);
    CLOSE(row->utilisation, 1);
    CLOSE(row->welfare, b[0] + b[1] - 6 * kappa);
    CLOSE(row->utility, b[0] + b[1] - 2 * b[2]);
    cr_assert(row->latency_met == 1 && row->accuracy_met == 1 && !row->envy && row->consensus);
    cr_assert(row->seconds >= 0 && row->seconds < 1);
  }
  const ef_summary_row *sum = sim.summary;
  CLOSE(sum->revenue, t.bid[0][2] + t.bid[1][2]);
  CLOSE(sum->ratio_mean, (sim.rows[0].ratio + sim.rows[1].ratio) / 2);
  CLOSE(sum->ratio_min, fmin(sim.rows[0].ratio, sim.rows[1].ratio));
  cr_assert(sum->cleared == 2 && sum->envy_rate == 0 && sum->consensus_rate == 1);
  ef_simulation_free(&sim);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(simulate_rows, a_posted_price_among_three_users_by_hand) {
  trio t;
  make_trio(&t);
  const double *b = t.bid[0];
  t.s.slots = 1;
  t.s.setting.posted_price = (b[0] + b[1]) / 6 - 0.05; /* between the two highest densities, net of kappa */
  ef_simulation sim = sample_run(&t.s, "posted");
  double pays = (b[0] + b[1]) / 2;
  CLOSE(sim.rows->revenue, pays);
  CLOSE(sim.rows->profit, pays - 0.15);
  CLOSE(sim.rows->served, 1.0 / 3.0);
  CLOSE(sim.rows->utilisation, 0.5);
  CLOSE(sim.rows->welfare, b[0] - 0.15);
  CLOSE(sim.rows->utility, b[0] - pays);
  cr_assert(!sim.rows->envy);
  cr_assert_eq(sim.posted_price, t.s.setting.posted_price);
  ef_simulation_free(&sim);
}

/* ---- mechanisms made for these tests --------------------------------------------------------------------
 */

static ef_status give_nothing(ef_auction *a, const ef_market *m, const ef_setting *s, const ef_coin *c,
                              ef_award *awards) {
  (void)a, (void)s, (void)c;
  for (size_t i = 0; i < m->n; i++) awards[i] = (ef_award){.fate = EF_FATE_LOSE};
  return EF_OK;
}

/* Kelly's rule to the letter: everybody pays its bid and gets its share, large enough or not. */
static ef_status share_all(ef_auction *a, const ef_market *m, const ef_setting *s, const ef_coin *c,
                           ef_award *awards) {
  (void)a, (void)s, (void)c;
  double sum = 0;
  for (size_t i = 0; i < m->n; i++) sum += m->bid[i];
  for (size_t i = 0; i < m->n; i++) awards[i] = (ef_award){EF_FATE_WIN, sum / (double)m->capacity, m->bid[i]};
  return EF_OK;
}

/* Winners and payments at random, a function of the coin. */
static ef_status at_random(ef_auction *a, const ef_market *m, const ef_setting *s, const ef_coin *c,
                           ef_award *awards) {
  (void)a, (void)s;
  ef_rng rng = ef_rng_stream((uint64_t)(c->u * 1e9), EF_RNG_TEST, 0, 0);
  for (size_t i = 0; i < m->n; i++) {
    double pay = ef_rng_uniform(&rng) < 0.7 ? m->bid[i] * (0.2 + 0.2 * ef_rng_uniform(&rng)) : m->bid[i];
    awards[i] = ef_rng_uniform(&rng) < 0.5 ? (ef_award){EF_FATE_WIN, pay / (double)m->demand[i], pay}
                                           : (ef_award){.fate = EF_FATE_LOSE};
  }
  return EF_OK;
}

static ef_status refuse_low_coins(ef_auction *a, const ef_market *m, const ef_setting *s, const ef_coin *c,
                                  ef_award *awards) {
  if (c->u < 0.5) return ef_fail(EF_INPUT, __FILE__, __LINE__, "toy: the coin %g is too low", c->u);
  return share_all(a, m, s, c, awards);
}

static ef_status break_down(ef_auction *a, const ef_market *m, const ef_setting *s, const ef_coin *c,
                            ef_award *awards) {
  (void)a, (void)m, (void)s, (void)c, (void)awards;
  return ef_fail(EF_MACHINE, __FILE__, __LINE__, "out of toys");
}

static const ef_mechanism toys[] = {
    {"nothing", "", EF_TRUTHFUL, EF_ONE_PRICE, true, false, give_nothing},
    {"share-all", "", EF_NOT_TRUTHFUL, EF_ONE_PRICE, false, false, share_all},
    {"random", "", EF_NOT_TRUTHFUL, EF_MANY_PRICES, true, false, at_random},
    {"refuse", "", EF_NOT_TRUTHFUL, EF_ONE_PRICE, false, false, refuse_low_coins},
    {"break", "", EF_NOT_TRUTHFUL, EF_ONE_PRICE, false, false, break_down},
};

static ef_simulation run_toy(const ef_scenario *s, size_t toy) {
  const ef_mechanism *m = &toys[toy];
  ef_simulation sim;
  cr_ok(ef_simulate(s, &m, 1, &sim));
  return sim;
}

Test(simulate_rows, shares_that_are_too_small_miss_their_deadlines) {
  trio t;
  make_trio(&t);
  ef_simulation sim = run_toy(&t.s, 1);
  for (size_t slot = 0; slot < 2; slot++) {
    const ef_slot_row *row = &sim.rows[slot];
    double sum = t.bid[slot][0] + t.bid[slot][1] + t.bid[slot][2], met = 0, values = 0, used = 0;
    for (size_t i = 0; i < 3; i++) {
      double units = 6 * t.bid[slot][i] / sum; /* .4942 s are left for 1 GFLOP */
      bool in_time = 0.0008 + 0.005 + 1 / units <= 0.5;
      met += in_time;
      values += in_time ? t.bid[slot][i] : 0;
      used += fmin(units, 3);
    }
    CLOSE(row->latency_met, met / 3);
    CLOSE(row->accuracy_met, 1);
    CLOSE(row->served, 1);
    CLOSE(row->utilisation, used / 6);
    CLOSE(row->utility, values - sum);
    CLOSE(row->welfare, values - sim.unit_cost[slot] * used);
    cr_assert(met < 3);
  }
  ef_simulation_free(&sim);
  t.s.capacity_flops = 90e9; /* more than 3 units for everybody: 9 of 90 are used */
  sim = run_toy(&t.s, 1);
  CLOSE(sim.rows->latency_met, 1);
  CLOSE(sim.rows->utilisation, 0.1);
  CLOSE(sim.rows->profit, sim.rows->revenue - 9 * 0.05);
  ef_simulation_free(&sim);
}

Test(simulate_rows, a_rate_that_the_units_do_not_sustain_is_no_latency_met) {
  double values[4];
  ef_scenario s = sample_scenario(sample_single(), 3, values);
  s.rate_least = s.rate_most = 50; /* 50 GFLOP/s each, far above what the deadline needs */
  s.unit_flops = 10e9;             /* 5 units each */
  s.capacity_flops = 100e9;        /* 3.3 units each on average: in time, but not sustained */
  ef_simulation sim = run_toy(&s, 1);
  for (size_t i = 0; i < 3; i++) cr_assert_eq(sim.demand[i], 5);
  double sum = sim.bid[0] + sim.bid[1] + sim.bid[2], met = 0;
  for (size_t i = 0; i < 3; i++) met += 10 * sim.bid[i] / sum >= 5;
  CLOSE(sim.rows->latency_met, met / 3);
  ef_simulation_free(&sim);
}

/* Notion (b), pair by pair: would i rather have what j got? */
static bool envied(const ef_simulation *sim, const ef_instance *in, size_t slot) {
  for (size_t i = sim->first[slot]; i < sim->first[slot + 1]; i++) {
    double value = in->users[sim->user[i]].value;
    double own = (sim->allotted[i] > 0 ? value : 0) - sim->payment[i];
    for (size_t j = sim->first[slot]; j < sim->first[slot + 1]; j++) {
      if (sim->allotted[j] < (double)sim->demand[i]) continue;
      if (value - sim->payment[j] > own + 1e-9 * value) return true;
    }
  }
  return false;
}

Test(simulate_rows, envy_equals_the_comparison_of_every_pair) {
  ef_scenario s = sample_generated(8);
  s.users_scale = 0.07; /* few enough that some slots have none */
  s.slots = 200;
  s.capacity_flops = 1000e9;
  ef_simulation sim = run_toy(&s, 2);
  size_t with = 0, without = 0;
  for (size_t slot = 0; slot < s.slots; slot++) {
    ef_instance in = instance_of(&s, slot);
    bool want = envied(&sim, &in, slot);
    cr_assert_eq(sim.rows[slot].envy, want, "slot %zu", slot);
    with += want;
    without += !want;
    ef_instance_free(&in);
  }
  cr_assert(with > 20 && without > 20, "%zu %zu", with, without);
  CLOSE(sim.summary->envy_rate, (double)with / 200);
  ef_simulation_free(&sim);
  ef_scenario_traces_free(&s);
}

Test(simulate_rows, a_mechanism_that_refuses_leaves_nan_rows_and_a_note) {
  ef_scenario s = sample_generated(3);
  const ef_mechanism *pair[] = {&toys[3], &toys[1]};
  ef_simulation sim;
  cr_ok(ef_simulate(&s, pair, 2, &sim));
  size_t refused = 0, first = SIZE_MAX;
  double sum = 0;
  for (size_t t = 0; t < s.slots; t++) {
    const ef_slot_row *row = &sim.rows[t];
    cr_assert_eq(row->refused, sim.coins[t].u < 0.5);
    cr_assert_eq(isnan(row->revenue) != 0, row->refused);
    cr_assert_eq(isnan(sim.payment[2 * sim.first[t]]) != 0, row->refused);
    cr_assert_not(sim.rows[s.slots + t].refused);
    if (row->refused && first == SIZE_MAX) first = t;
    if (row->refused) refused++;
    if (!row->refused) sum += row->revenue;
  }
  char place[64];
  snprintf(place, sizeof place, "slot %zu: toy: the coin", first);
  cr_assert(refused > 5 && refused < 25);
  cr_assert(strstr(sim.notes[0], place), "%s", sim.notes[0]);
  cr_assert_eq(sim.notes[1], NULL);
  cr_assert_eq(sim.summary[0].cleared, s.slots - refused);
  CLOSE(sim.summary[0].revenue, sum / (double)(s.slots - refused));
  ef_simulation_free(&sim);
  ef_scenario_traces_free(&s);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(simulate_rows, other_errors_end_the_simulation) {
  ef_scenario s = sample_generated(3);
  const ef_mechanism *m = &toys[4];
  ef_simulation sim;
  cr_assert_eq(ef_simulate(&s, &m, 1, &sim), EF_MACHINE);
  cr_says("slot 0, mechanism break: out of toys");
  cr_assert_eq(sim.rows, NULL);
  ef_scenario_traces_free(&s);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(simulate_rows, without_winners_shares_of_winners_do_not_exist) {
  trio t;
  make_trio(&t);
  ef_simulation sim = run_toy(&t.s, 0);
  cr_assert(isnan(sim.rows->latency_met) && isnan(sim.rows->accuracy_met));
  cr_assert(sim.rows->served == 0 && sim.rows->utilisation == 0 && sim.rows->ratio == 0);
  cr_assert(isnan(sim.summary->latency_met) && sim.summary->cleared == 2);
  ef_simulation_free(&sim);
}
