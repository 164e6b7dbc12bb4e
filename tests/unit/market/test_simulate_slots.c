#include "market/networks.h"
#include "market/simulation/simulate_internal.h"
#include "market/solve.h"
#include "test_simulate_sample.h"

/* Every mechanism of the table. */
static size_t all_mechanisms(const ef_mechanism **list) {
  size_t n = 0;
  for (const ef_mechanism *m = ef_mechanisms; m->name; m++) list[n++] = m;
  return n;
}

static bool same_row(ef_slot_row a, ef_slot_row b) {
  a.seconds = b.seconds = 0;
  const double x[] = {a.revenue, a.profit,      a.f,           a.f2,     a.ratio,
                      a.served,  a.utilisation, a.latency_met, a.welfare};
  const double y[] = {b.revenue, b.profit,      b.f,           b.f2,     b.ratio,
                      b.served,  b.utilisation, b.latency_met, b.welfare};
  return memcmp(x, y, sizeof x) == 0 && a.envy == b.envy && a.consensus == b.consensus;
}

Test(simulate_slots, a_seed_fixes_every_row_and_mechanisms_do_not_meet) {
  const ef_mechanism *list[32];
  size_t n = all_mechanisms(list);
  ef_scenario s = sample_generated(2), other = s;
  s.slots = other.slots = 6;
  other.seed = 3;
  ef_simulation a, b, c;
  cr_ok(ef_simulate(&s, list, n, &a));
  cr_ok(ef_simulate(&s, list, n, &b));
  cr_ok(ef_simulate(&other, list, n, &c));
  size_t differ = 0;
  for (size_t k = 0; k < n * s.slots; k++) {
    cr_assert(same_row(a.rows[k], b.rows[k]), "%s", list[k / s.slots]->name);
    differ += !same_row(a.rows[k], c.rows[k]);
  }
  cr_assert_gt(differ, n * s.slots / 2);
  for (size_t m = 0; m < n; m++) {
    ef_simulation alone = sample_run(&s, list[m]->name);
    for (size_t t = 0; t < s.slots; t++) {
      cr_assert(same_row(alone.rows[t], a.rows[m * s.slots + t]), "%s", list[m]->name);
    }
    ef_simulation_free(&alone);
  }
  ef_simulation_free(&a);
  ef_simulation_free(&b);
  ef_simulation_free(&c);
  ef_scenario_traces_free(&s);
  cr_assert_eq(ef_memory_blocks(), 0);
}

/* The slot's instance, solved as `edgefuse market solve` does, is the slot of the simulation. */
static void check_against_solve(const char *name, ef_variant variant) {
  ef_scenario s = sample_generated(2);
  s.setting.aeria.variant = variant;
  s.setting.aeria.vickrey_prob = 0.2;
  ef_simulation sim = sample_run(&s, name);
  for (size_t t = 0; t < s.slots; t++) {
    ef_instance in;
    ef_market_outcome out;
    cr_ok(ef_scenario_instance(&s, t, &in));
    cr_ok(ef_market_solve(&in, &(ef_solving){0}, &out));
    const ef_slot_row *row = &sim.rows[t];
    const ef_market_summary *m = &out.markets[0];
    cr_assert_eq((size_t)sim.bidders[t], m->users);
    cr_assert_float_eq(row->revenue, m->sale.revenue, 1e-9 * (1 + row->revenue));
    cr_assert_float_eq(row->profit, m->sale.profit, 1e-9 * (1 + row->revenue));
    cr_assert_float_eq(row->served, (double)m->sale.winners / (double)m->users, 1e-12);
    cr_assert_float_eq(row->utilisation, (double)m->sale.used / (double)m->capacity, 1e-12);
    cr_assert_float_eq(row->f, m->f, 1e-9 * (1 + row->f));
    cr_assert_float_eq(row->f2, m->f2, 1e-9 * (1 + row->f2));
    if (variant != EF_VARIANT_D) cr_assert_eq(row->consensus, m->consensus, "slot %zu", t);
    ef_market_outcome_free(&out);
    ef_instance_free(&in);
  }
  ef_simulation_free(&sim);
  ef_scenario_traces_free(&s);
}

Test(simulate_slots, aeria_in_a_slot_is_the_solved_instance) {
  check_against_solve("aeria-t", EF_VARIANT_T);
  check_against_solve("aeria-e", EF_VARIANT_E);
  check_against_solve("aeria-d", EF_VARIANT_D);
}

Test(simulate_slots, records_add_up_to_the_rows) {
  const ef_mechanism *list[32];
  size_t n = all_mechanisms(list);
  ef_scenario s = sample_generated(5);
  s.slots = 8;
  ef_simulation sim;
  cr_ok(ef_simulate(&s, list, n, &sim));
  for (size_t t = 0; t < s.slots; t++) {
    cr_assert_eq(sim.first[t + 1] - sim.first[t], (size_t)sim.bidders[t]);
    for (size_t m = 0; m < n; m++) {
      const ef_slot_row *row = &sim.rows[m * s.slots + t];
      double revenue = 0, winners = 0;
      for (size_t i = sim.first[t]; i < sim.first[t + 1]; i++) {
        revenue += sim.payment[i * n + m];
        winners += sim.allotted[i * n + m] > 0;
        if (list[m]->meets_deadlines && sim.allotted[i * n + m] > 0) {
          cr_assert_eq(sim.allotted[i * n + m], (double)sim.demand[i]);
        }
      }
      cr_assert_float_eq(row->revenue, revenue, 1e-9);
      cr_assert_float_eq(row->served * sim.bidders[t], winners, 1e-9);
      cr_assert(row->utilisation <= 1 + 1e-12 && row->utilisation >= 0);
      if (list[m]->meets_deadlines && winners > 0) cr_assert(row->latency_met == 1 && row->accuracy_met == 1);
      if (row->f2 > 0 && !list[m]->benchmark && list[m]->price == EF_ONE_PRICE && list[m]->meets_deadlines &&
          strcmp(list[m]->name, "vickrey") != 0) {
        cr_assert_leq(row->profit, row->f * (1 + 1e-9) + 1e-9, "%s", list[m]->name);
      }
      if (list[m]->truth == EF_TRUTHFUL) cr_assert_geq(row->utility, -1e-9, "%s", list[m]->name);
    }
  }
  s.record = false;
  ef_simulation bare;
  cr_ok(ef_simulate(&s, list, n, &bare));
  cr_assert(bare.bid == NULL && bare.first == NULL);
  for (size_t k = 0; k < n * s.slots; k++) cr_assert(same_row(sim.rows[k], bare.rows[k]));
  ef_simulation_free(&bare);
  ef_simulation_free(&sim);
  ef_scenario_traces_free(&s);
}

/* ---- slots at the edge ----------------------------------------------------------------------------------
 */

static void run_all(const ef_scenario *s, ef_simulation *sim) {
  const ef_mechanism *list[32];
  size_t n = all_mechanisms(list);
  cr_ok(ef_simulate(s, list, n, sim));
  for (size_t m = 0; m < n; m++) cr_assert_eq(sim->summary[m].cleared, s->slots, "%s", sim->notes[m]);
}

Test(simulate_slots, a_slot_without_arrivals_sells_nothing) {
  double values[4], arrivals[] = {0, 5};
  ef_scenario s = sample_scenario(sample_single(), 0, values);
  s.arrivals = (ef_trace){.count = 2, .value = arrivals};
  s.slots = 4;
  s.training_slots = 3;
  ef_simulation sim;
  run_all(&s, &sim);
  for (size_t m = 0; m < sim.mechanism_count; m++) {
    const ef_slot_row *row = &sim.rows[m * 4];
    cr_assert(row->revenue == 0 && row->profit == 0 && row->welfare == 0 && row->f2 == 0);
    cr_assert(isnan(row->served) && isnan(row->ratio) && row->utilisation == 0 && !row->envy);
    cr_assert_eq(sim.rows[m * 4 + 2].revenue, 0);
  }
  cr_assert(sim.users[0] == 0 && sim.users[1] == 5 && sim.users[2] == 0 && sim.bidders[1] == 5);
  ef_simulation_free(&sim);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(simulate_slots, users_that_nobody_can_serve_do_not_bid) {
  double values[4];
  ef_scenario s = sample_scenario(sample_single(), 20, values);
  s.deadline_least = s.deadline_most = 0.004; /* below the round trip */
  s.training_slots = 2;
  ef_simulation sim;
  run_all(&s, &sim);
  cr_assert(sim.users[0] == 20 && sim.bidders[0] == 0 && sim.posted_price == 0);
  for (size_t m = 0; m < sim.mechanism_count; m++) cr_assert_eq(sim.summary[m].revenue, 0);
  ef_simulation_free(&sim);
}

Test(simulate_slots, users_that_need_no_edge_or_too_much_do_not_bid) {
  double values[4];
  ef_scenario s = sample_scenario(sample_single(), 20, values);
  ef_simulation sim;
  values[3] = 1e12; /* devices that do it alone */
  run_all(&s, &sim);
  cr_assert_eq(sim.bidders[0], 0);
  ef_simulation_free(&sim);
  values[3] = 0;
  s.max_share = 0.4; /* 3 units of 7 */
  s.capacity_flops = 7e9;
  run_all(&s, &sim);
  cr_assert_eq(sim.bidders[0], 0);
  ef_simulation_free(&sim);
  s.capacity_flops = 0;
  run_all(&s, &sim);
  cr_assert_eq(sim.bidders[0], 0);
  cr_assert(isnan(sim.rows->utilisation));
  ef_simulation_free(&sim);
}

Test(simulate_slots, free_electricity_makes_kappa_zero) {
  double values[4], price[] = {0, 2};
  ef_scenario s = sample_scenario(sample_single(), 10, values);
  s.price = (ef_trace){.count = 2, .value = price};
  s.slots = 2;
  ef_simulation sim;
  run_all(&s, &sim);
  cr_assert(sim.unit_cost[0] == 0 && sim.unit_cost[1] == 0.2);
  for (size_t m = 0; m < sim.mechanism_count; m++) {
    cr_assert_eq(sim.rows[2 * m].profit, sim.rows[2 * m].revenue);
  }
  ef_simulation_free(&sim);
  price[1] = 0;
  run_all(&s, &sim);
  cr_assert(sim.unit_cost[0] == 0 && sim.unit_cost[1] == 0);
  ef_simulation_free(&sim);
}

Test(simulate_slots, bidders_below_cost_are_not_served) {
  double values[4];
  ef_scenario s = sample_scenario(sample_single(), 10, values);
  s.unit_cost = 1e6;
  ef_simulation sim;
  run_all(&s, &sim);
  cr_assert_eq(sim.bidders[0], 10);
  for (size_t m = 0; m < sim.mechanism_count; m++) {
    cr_assert(sim.rows[m].revenue == 0 && sim.rows[m].f == 0 && sim.rows[m].served == 0);
  }
  ef_simulation_free(&sim);
}

Test(simulate_slots, the_knapsack_refuses_a_market_that_is_too_large_and_the_rest_goes_on) {
  const ef_mechanism *list[32];
  size_t n = all_mechanisms(list);
  ef_scenario s = sample_generated(2);
  s.slots = 2;
  s.unit_flops = 1e3; /* 3e8 units */
  ef_simulation sim;
  cr_ok(ef_simulate(&s, list, n, &sim));
  for (size_t m = 0; m < n; m++) {
    bool knapsack = strcmp(list[m]->name, "knapsack-vcg") == 0;
    cr_assert_eq(sim.summary[m].cleared, knapsack ? 0u : 2u, "%s", list[m]->name);
    cr_assert_eq(sim.notes[m] != NULL, knapsack);
    if (knapsack) cr_assert(isnan(sim.summary[m].revenue) && isnan(sim.summary[m].envy_rate));
    if (!knapsack) cr_assert_gt(sim.summary[m].served, 0);
  }
  ef_simulation_free(&sim);
  ef_scenario_traces_free(&s);
}

/* Demands of every published network, token models included, leave the request in time at d_i units. */
Test(simulate_slots, what_is_sold_meets_deadlines_on_every_network) {
  for (const ef_network *net = ef_networks; net->name; net++) {
    ef_scenario s = ef_scenario_default();
    ef_trace_ranges ranges = ef_trace_ranges_default();
    cr_ok(net->make(1, &s.workload));
    s.slots = 3;
    s.capacity_ratio = 0.5;
    s.deadline_most = 5;
    ranges.device_least = 1e8;
    ranges.device_most = 2e9;
    cr_ok(ef_scenario_generate(&s, &ranges));
    ef_simulation sim;
    run_all(&s, &sim);
    for (size_t t = 0; t < 3; t++) {
      cr_assert(sim.bidders[t] > 5, "%s", net->name);
      cr_assert(sim.rows[t].latency_met == 1 && sim.rows[t].accuracy_met == 1, "%s", net->name);
    }
    ef_simulation_free(&sim);
    ef_scenario_traces_free(&s);
    ef_workload_free(&s.workload);
  }
  cr_assert_eq(ef_memory_blocks(), 0);
}

/* ---- the posted price -----------------------------------------------------------------------------------
 */

Test(simulate_slots, equal_users_are_asked_their_common_density) {
  double values[4];
  ef_scenario s = sample_scenario(sample_single(), 10, values);
  s.value_sigma = 0;
  s.training_slots = 5;
  ef_simulation sim = sample_run(&s, "posted");
  double density = pow(3, 0.85) / 3 - 0.1;
  cr_assert_float_eq(sim.posted_price, density, 1e-15);
  cr_assert_float_eq(sim.rows->profit, 30 * density, 1e-12);
  cr_assert_float_eq(sim.rows->utility, 0, 1e-12);
  ef_simulation_free(&sim);
}

/* Mean profit of the mechanism itself on the training slots. */
static double training_profit(const ef_scenario *s, const ef_demand_table *table, double price) {
  const ef_mechanism *posted = ef_mechanism_find("posted");
  ef_setting setting = s->setting;
  setting.posted_price = price;
  double sum = 0;
  for (size_t t = 0; t < s->training_slots; t++) {
    ef_crowd crowd;
    ef_book book;
    ef_auction *auction;
    ef_award awards[200];
    cr_ok(ef_crowd_make(s, table, (int64_t)(s->capacity_flops / 1e9), EF_TRAINING_SLOT + t, t, &crowd));
    cr_ok(ef_book_make(&crowd.shell, crowd.demands, 0, &book));
    cr_ok(ef_auction_create(book.market.n, &auction));
    cr_ok(posted->clear(auction, &book.market, &setting, &(ef_coin){0}, awards));
    sum += ef_sale_sum(&book.market, awards).profit;
    ef_auction_free(auction);
    ef_book_free(&book);
    ef_crowd_free(&crowd);
  }
  return sum;
}

static void check_learnt_price(const ef_scenario *s) {
  ef_simulation sim = sample_run(s, "posted");
  ef_demand_table *table;
  cr_ok(ef_demand_table_create(&s->workload, &table));
  double best = training_profit(s, table, sim.posted_price);
  cr_assert(best > 0 && sim.posted_price > 0);
  for (int k = 0; k < 400; k++) {
    double price = sim.posted_price * (0.01 * k);
    cr_assert_leq(training_profit(s, table, price), best * (1 + 1e-12), "%g", price);
  }
  ef_demand_table_free(table);
  ef_simulation_free(&sim);
}

Test(simulate_slots, the_learnt_price_is_the_best_on_the_training_slots) {
  ef_scenario s = sample_generated(9);
  s.slots = 2;
  for (s.training_slots = 1; s.training_slots <= 7; s.training_slots += 3) {
    for (s.capacity_flops = 800e9; s.capacity_flops > 20e9; s.capacity_flops /= 2) check_learnt_price(&s);
  }
  ef_scenario_traces_free(&s);
}

Test(simulate_slots, the_prior_moves_the_posted_price_alone) {
  ef_scenario s = sample_generated(9);
  s.training_slots = 4;
  ef_simulation sim = sample_run(&s, "posted");
  s.training_slots = 8;
  ef_simulation other = sample_run(&s, "posted");
  cr_assert_neq(other.posted_price, sim.posted_price);
  cr_assert_arr_eq(other.bid, sim.bid, sim.first[s.slots] * sizeof(double));
  ef_simulation_free(&other);
  ef_simulation_free(&sim);
  ef_scenario_traces_free(&s);
}

Test(simulate_slots, training_users_are_others_than_those_of_the_run) {
  ef_scenario s = sample_generated(9);
  ef_demand_table *table;
  cr_ok(ef_demand_table_create(&s.workload, &table));
  ef_crowd train, run;
  cr_ok(ef_crowd_make(&s, table, 300, EF_TRAINING_SLOT, 0, &train));
  cr_ok(ef_crowd_make(&s, table, 300, 0, 0, &run));
  cr_assert_eq(train.shell.user_count, run.shell.user_count);
  for (size_t i = 0; i < run.shell.user_count; i++) {
    cr_assert_neq(train.users[i].deadline, run.users[i].deadline);
  }
  ef_crowd_free(&train);
  ef_crowd_free(&run);
  ef_demand_table_free(table);
  ef_scenario_traces_free(&s);
}
