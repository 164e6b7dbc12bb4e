#include "market/simulation/simulate_internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include <math.h>
#include <string.h>

/* One run: what all slots share. */
typedef struct run {
  const ef_scenario *scenario;
  ef_demand_table *table;
  ef_setting setting; /* with the posted price that was learnt */
  ef_simulation *out;
  size_t room; /* bidders that the records have room for */
} run;

/* One slot at work; arrays are (bidders). */
typedef struct stage {
  ef_crowd crowd;
  ef_book book;
  ef_auction *auction;
  ef_award *awards;
  double *units, *scratch; /* scratch: (2 bidders) */
  ef_slot_facts facts;
} stage;

static void free_stage(stage *g) {
  ef_auction_free(g->auction);
  ef_book_free(&g->book);
  ef_crowd_free(&g->crowd);
  ef_free(g->awards);
  ef_free(g->units);
  ef_free(g->scratch);
}

/* All estimates of variant T agree: each from F2 of the kept prefix without one bidder. */
static bool estimates_agree(ef_auction *auction, size_t kept, double c, double u, double *scratch) {
  ef_benchmark_f2_without(auction, scratch);
  for (size_t k = 0; k < kept; k++) {
    scratch[k] = ef_estimate(scratch[k], c, u);
    if (scratch[k] < scratch[0] || scratch[k] > scratch[0]) return false;
  }
  return true;
}

static ef_status open_stage(const run *r, size_t slot, stage *g) {
  EF_TRY(ef_crowd_make(r->scenario, r->table, r->out->capacity, slot, slot, &g->crowd));
  EF_TRY(ef_book_make(&g->crowd.shell, g->crowd.demands, 0, &g->book));
  size_t n = g->book.market.n;
  EF_TRY(ef_auction_create(n, &g->auction));
  EF_TRY(EF_NEW(g->awards, n));
  EF_TRY(EF_NEW(g->units, n));
  EF_TRY(EF_NEW(g->scratch, 2 * n));
  ef_auction_load(g->auction, &g->book.market);
  ef_kept kept = ef_auction_kept(g->auction);
  const ef_rules *rules = &g->crowd.shell.rules;
  g->facts = (ef_slot_facts){
      .book = &g->book, .crowd = &g->crowd, .f = ef_benchmark_f(&kept), .f2 = ef_benchmark_f2(&kept)};
  g->facts.consensus = estimates_agree(g->auction, kept.kept, rules->c, rules->u, g->scratch);
  return EF_OK;
}

/* Room for the bidders of one more slot; nothing without `record`. */
static ef_status grow(void *array, size_t count, size_t size) {
  void *old, *grown;
  memcpy(&old, array, sizeof old);
  grown = ef_realloc(old, count, size);
  EF_TRY(EF_CHECK(grown, EF_MACHINE, "out of memory: records of %zu bids", count));
  memcpy(array, &grown, sizeof grown);
  return EF_OK;
}

static ef_status record_bidders(run *r, size_t slot, const ef_book *book) {
  ef_simulation *out = r->out;
  size_t begin = out->first[slot], end = begin + book->market.n, each = out->mechanism_count;
  out->first[slot + 1] = end;
  if (end > r->room || !out->bid) {
    r->room = 2 * end + 64;
    EF_TRY(grow(&out->user, r->room, sizeof *out->user));
    EF_TRY(grow(&out->bid, r->room, sizeof *out->bid));
    EF_TRY(grow(&out->demand, r->room, sizeof *out->demand));
    EF_TRY(grow(&out->allotted, r->room * each, sizeof *out->allotted));
    EF_TRY(grow(&out->payment, r->room * each, sizeof *out->payment));
  }
  for (size_t i = 0; i < book->market.n; i++) {
    out->user[begin + i] = book->user[i];
    out->bid[begin + i] = book->market.bid[i];
    out->demand[begin + i] = book->market.demand[i];
  }
  return EF_OK;
}

static void record_awards(const run *r, size_t slot, size_t mechanism, const stage *g, bool refused) {
  ef_simulation *out = r->out;
  for (size_t i = 0; i < g->book.market.n; i++) {
    size_t at = (out->first[slot] + i) * out->mechanism_count + mechanism;
    out->allotted[at] = refused ? NAN : g->units[i];
    out->payment[at] = refused ? NAN : g->awards[i].payment;
  }
}

/* Keeps the first refusal of a mechanism as its note. */
static ef_status note_refusal(ef_simulation *out, size_t m, size_t slot) {
  if (out->notes[m]) return EF_OK;
  ef_context(EF_INPUT, "slot %zu", slot);
  out->notes[m] = ef_strdup(ef_message());
  return EF_CHECK(out->notes[m], EF_MACHINE, "out of memory: a note");
}

static ef_status run_mechanism(const run *r, size_t slot, size_t m, stage *g) {
  const ef_mechanism *mechanism = r->out->mechanisms[m];
  const ef_market *market = &g->book.market;
  ef_slot_row *row = &r->out->rows[m * r->out->slots + slot];
  double began = ef_clock();
  ef_status status = mechanism->clear(g->auction, market, &r->setting, &r->out->coins[slot], g->awards);
  double seconds = ef_clock() - began;
  if (status == EF_INPUT) {
    *row = ef_row_refused();
    EF_TRY(note_refusal(r->out, m, slot));
  } else if (status == EF_OK) {
    ef_units_allot(mechanism, market, g->awards, g->units);
    ef_row_fill(&g->facts, mechanism, g->awards, g->units, g->scratch, row);
    row->seconds = seconds;
  } else {
    return ef_context(status, "slot %zu, mechanism %s", slot, mechanism->name);
  }
  if (r->scenario->record) record_awards(r, slot, m, g, row->refused);
  return EF_OK;
}

static ef_status run_slot(run *r, size_t slot) {
  ef_simulation *out = r->out;
  stage g = {0};
  ef_status status = EF_OK;
  EF_GO(open_stage(r, slot, &g));
  const ef_rules *rules = &g.crowd.shell.rules;
  out->users[slot] = (double)g.crowd.shell.user_count;
  out->bidders[slot] = (double)g.book.market.n;
  out->unit_cost[slot] = rules->unit_cost;
  out->coins[slot] = (ef_coin){rules->u, rules->v};
  if (r->scenario->record) EF_GO(record_bidders(r, slot, &g.book));
  for (size_t m = 0; m < out->mechanism_count; m++) EF_GO(run_mechanism(r, slot, m, &g));
done:
  free_stage(&g);
  return status;
}

static ef_status make_arrays(const ef_scenario *s, const ef_mechanism *const *mechanisms, size_t count,
                             ef_simulation *out) {
  EF_TRY(EF_CHECK(count <= SIZE_MAX / s->slots, EF_INPUT, "simulation: %zu slots are too many", s->slots));
  EF_TRY(EF_NEW(out->mechanisms, count));
  EF_TRY(EF_NEW(out->notes, count));
  EF_TRY(EF_NEW(out->summary, count));
  out->mechanism_count = count;
  for (size_t m = 0; m < count; m++) out->mechanisms[m] = mechanisms[m];
  EF_TRY(EF_NEW(out->rows, count * s->slots));
  EF_TRY(EF_NEW(out->users, s->slots));
  EF_TRY(EF_NEW(out->bidders, s->slots));
  EF_TRY(EF_NEW(out->unit_cost, s->slots));
  EF_TRY(EF_NEW(out->coins, s->slots));
  out->slots = s->slots;
  return s->record ? EF_NEW(out->first, s->slots + 1) : EF_OK;
}

/* Capacity and posted price: what is public before the first slot. */
static ef_status prepare(run *r) {
  const ef_scenario *s = r->scenario;
  EF_TRY(ef_demand_table_create(&s->workload, &r->table));
  EF_TRY(ef_crowd_capacity(s, r->table, &r->out->capacity));
  if (s->training_slots > 0) {
    EF_TRY(ef_prior_price(s, r->table, r->out->capacity, &r->setting.posted_price));
  }
  r->out->posted_price = r->setting.posted_price;
  return EF_OK;
}

ef_status ef_simulate(const ef_scenario *s, const ef_mechanism *const *mechanisms, size_t count,
                      ef_simulation *simulation) {
  *simulation = (ef_simulation){0};
  EF_TRY(ef_scenario_check(s));
  run r = {.scenario = s, .setting = s->setting, .out = simulation};
  ef_status status = EF_OK;
  EF_GO(make_arrays(s, mechanisms, count, simulation));
  EF_GO(prepare(&r));
  for (size_t slot = 0; slot < s->slots; slot++) EF_GO(run_slot(&r, slot));
  for (size_t m = 0; m < count; m++) {
    simulation->summary[m] = ef_rows_summarise(simulation->rows + m * s->slots, s->slots);
  }
done:
  ef_demand_table_free(r.table);
  if (status != EF_OK) ef_simulation_free(simulation);
  return status;
}

void ef_simulation_free(ef_simulation *sim) {
  for (size_t m = 0; sim->notes && m < sim->mechanism_count; m++) ef_free(sim->notes[m]);
  void *owned[] = {sim->mechanisms, sim->rows,      sim->summary,  sim->notes,  sim->users,
                   sim->bidders,    sim->unit_cost, sim->coins,    sim->first,  sim->user,
                   sim->bid,        sim->demand,    sim->allotted, sim->payment};
  for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) ef_free(owned[i]);
  *sim = (ef_simulation){0};
}
