#include "market/solve.h"

#include "base/clock.h"
#include "base/memory.h"
#include <stdio.h>
#include <string.h>

const char *ef_user_status_name(ef_user_status status) {
  static const char *const names[EF_USER_STATUS_COUNT] = {"infeasible", "self", "toobig", "reserve",
                                                          "pruned",     "lose", "win"};
  return names[status];
}

/* ---- demands --------------------------------------------------------------------------------------------
 */

ef_status ef_demands_find(const ef_instance *instance, ef_demand *demands) {
  ef_status status = EF_OK;
  ef_demand_table **tables = NULL;
  EF_GO(EF_NEW(tables, instance->workload_count));
  for (size_t w = 0; w < instance->workload_count; w++) {
    EF_GO(ef_demand_table_create(&instance->workloads[w], &tables[w]));
  }
  for (size_t i = 0; i < instance->user_count; i++) {
    const ef_user *user = &instance->users[i];
    size_t workload = instance->providers[user->provider].workload;
    ef_demand_find(tables[workload], &instance->rules, user, &demands[i]);
  }
done:
  for (size_t w = 0; tables && w < instance->workload_count; w++) ef_demand_table_free(tables[w]);
  ef_free(tables);
  return status;
}

bool ef_demand_fits(const ef_instance *instance, size_t user, const ef_demand *demand) {
  int64_t capacity = ef_market_capacity(instance, instance->users[user].provider);
  return (double)demand->units <= instance->rules.max_share * (double)capacity;
}

/* ---- books ----------------------------------------------------------------------------------------------
 */

size_t ef_market_count(const ef_instance *instance) {
  return instance->rules.pooled ? 1 : instance->provider_count;
}

void ef_market_name(const ef_instance *instance, size_t m, char name[EF_MARKET_NAME]) {
  snprintf(name, EF_MARKET_NAME, instance->rules.pooled ? "pooled" : "provider%zu", m);
}

static size_t market_of(const ef_instance *instance, size_t user) {
  return instance->rules.pooled ? 0 : instance->users[user].provider;
}

/* What a user is before any auction; EF_USER_LOSE: it bids in one. */
static ef_user_status standing(const ef_instance *instance, size_t user, const ef_demand *demand) {
  if (demand->need == EF_NEED_INFEASIBLE) return EF_USER_INFEASIBLE;
  if (demand->need == EF_NEED_SELF) return EF_USER_SELF;
  return ef_demand_fits(instance, user, demand) ? EF_USER_LOSE : EF_USER_TOOBIG;
}

static ef_status book_open(const ef_instance *instance, size_t m, size_t n, ef_book *book) {
  *book = (ef_book){0};
  EF_TRY(EF_NEW(book->bid, n));
  EF_TRY(EF_NEW(book->demand, n));
  EF_TRY(EF_NEW(book->user, n));
  book->market = (ef_market){.bid = book->bid,
                             .demand = book->demand,
                             .capacity = ef_market_capacity(instance, m),
                             .unit_cost = instance->rules.unit_cost,
                             .margin = instance->rules.margin};
  return EF_OK;
}

static void book_enter(const ef_instance *instance, const ef_demand *demands, size_t user, ef_book *book) {
  size_t n = book->market.n++;
  book->bid[n] = instance->users[user].bid;
  book->demand[n] = demands[user].units;
  book->user[n] = user;
}

ef_status ef_book_make(const ef_instance *instance, const ef_demand *demands, size_t m, ef_book *book) {
  size_t n = 0;
  for (size_t pass = 0; pass < 2; pass++) { /* counts, then fills */
    for (size_t i = 0; i < instance->user_count; i++) {
      if (market_of(instance, i) != m || standing(instance, i, &demands[i]) != EF_USER_LOSE) continue;
      if (pass == 0)
        n++;
      else
        book_enter(instance, demands, i, book);
    }
    ef_status status = pass == 0 ? book_open(instance, m, n, book) : EF_OK;
    if (status == EF_OK) continue;
    ef_book_free(book);
    return status;
  }
  return EF_OK;
}

void ef_book_free(ef_book *book) {
  ef_free(book->bid);
  ef_free(book->demand);
  ef_free(book->user);
  *book = (ef_book){0};
}

/* All books in two passes over the users, whatever the number of markets; users keep their standing. */
static ef_status books_make(const ef_instance *instance, const ef_demand *demands, ef_market_outcome *outcome,
                            ef_book *books) {
  for (size_t i = 0; i < instance->user_count; i++) {
    ef_user_outcome *user = &outcome->users[i];
    *user = (ef_user_outcome){.demand = demands[i], .status = standing(instance, i, &demands[i])};
    if (user->status == EF_USER_LOSE) outcome->markets[market_of(instance, i)].users++;
  }
  for (size_t m = 0; m < outcome->market_count; m++) {
    EF_TRY(book_open(instance, m, outcome->markets[m].users, &books[m]));
  }
  for (size_t i = 0; i < instance->user_count; i++) {
    if (outcome->users[i].status != EF_USER_LOSE) continue;
    book_enter(instance, demands, i, &books[market_of(instance, i)]);
  }
  return EF_OK;
}

/* ---- markets --------------------------------------------------------------------------------------------
 */

static ef_status keep_clearing(const ef_clearing *clearing, ef_market_summary *summary) {
  summary->kept = clearing->kept;
  summary->floor = clearing->floor;
  summary->f = clearing->f;
  summary->f2 = clearing->f2;
  summary->consensus = clearing->consensus;
  summary->vickrey = clearing->vickrey;
  EF_TRY(EF_NEW(summary->estimates, clearing->estimate_count));
  summary->estimate_count = clearing->estimate_count;
  for (size_t e = 0; e < clearing->estimate_count; e++) {
    summary->estimates[e] = (ef_estimate_count){clearing->estimates[e], clearing->counts[e]};
  }
  return EF_OK;
}

static void keep_awards(const ef_book *book, const ef_award *awards, ef_user_outcome *users) {
  static const ef_user_status status[] = {[EF_FATE_RESERVE] = EF_USER_RESERVE,
                                          [EF_FATE_PRUNED] = EF_USER_PRUNED,
                                          [EF_FATE_LOSE] = EF_USER_LOSE,
                                          [EF_FATE_WIN] = EF_USER_WIN};
  for (size_t n = 0; n < book->market.n; n++) {
    ef_user_outcome *user = &users[book->user[n]];
    user->status = status[awards[n].fate];
    user->unit_price = awards[n].unit_price;
    user->payment = awards[n].payment;
  }
}

static ef_status solve_market(const ef_instance *instance, const ef_book *book, size_t m,
                              ef_market_outcome *outcome) {
  ef_status status = EF_OK;
  ef_auction *auction = NULL;
  ef_award *awards = NULL;
  ef_clearing clearing;
  const ef_rules *rules = &instance->rules;
  const ef_aeria rule = {.c = rules->c, .vickrey_prob = rules->vickrey_prob, .variant = rules->variant};
  ef_market_summary *summary = &outcome->markets[m];
  ef_market_name(instance, m, summary->name);
  summary->capacity = book->market.capacity;
  EF_GO(ef_auction_create(book->market.n, &auction));
  EF_GO(EF_NEW(awards, book->market.n));
  ef_aeria_clear(auction, &book->market, &rule, &outcome->coin, awards, &clearing);
  EF_GO(keep_clearing(&clearing, summary));
  keep_awards(book, awards, outcome->users);
  summary->sale = ef_sale_sum(&book->market, awards);
  if (outcome->expected) ef_aeria_expect(auction, &book->market, &rule, awards, &summary->expected);
done:
  ef_free(awards);
  ef_auction_free(auction);
  return status;
}

/* ---- the whole ------------------------------------------------------------------------------------------
 */

static void sum_markets(const ef_instance *instance, ef_market_outcome *outcome) {
  for (size_t m = 0; m < outcome->market_count; m++) {
    const ef_sale *sale = &outcome->markets[m].sale;
    outcome->revenue += sale->revenue;
    outcome->profit += sale->profit;
    outcome->infrastructure_income += instance->rules.unit_cost * (double)sale->used;
  }
}

static ef_status solve_all(const ef_instance *instance, const ef_demand *demands, ef_book *books,
                           ef_market_outcome *outcome) {
  EF_TRY(EF_NEW(outcome->markets, outcome->market_count));
  EF_TRY(EF_NEW(outcome->users, outcome->user_count));
  EF_TRY(books_make(instance, demands, outcome, books));
  for (size_t m = 0; m < outcome->market_count; m++) EF_TRY(solve_market(instance, &books[m], m, outcome));
  sum_markets(instance, outcome);
  return EF_OK;
}

ef_status ef_market_solve(const ef_instance *instance, const ef_solving *solving,
                          ef_market_outcome *outcome) {
  ef_status status = EF_OK;
  ef_demand *found = NULL;
  ef_book *books = NULL;
  double start = ef_clock();
  const ef_rules *rules = &instance->rules;
  *outcome = (ef_market_outcome){.market_count = ef_market_count(instance),
                                 .user_count = instance->user_count,
                                 .coin = {rules->u, rules->v},
                                 .expected = solving->expect};
  EF_GO(ef_instance_check(instance));
  EF_GO(EF_CHECK(rules->has_u && rules->has_v, EF_INPUT, "the market has no coins: give u and v, or a seed"));
  if (!solving->demands) {
    EF_GO(EF_NEW(found, instance->user_count));
    EF_GO(ef_demands_find(instance, found));
  }
  EF_GO(EF_NEW(books, outcome->market_count));
  EF_GO(solve_all(instance, solving->demands ? solving->demands : found, books, outcome));
done:
  for (size_t m = 0; books && m < outcome->market_count; m++) ef_book_free(&books[m]);
  ef_free(books);
  ef_free(found);
  if (status != EF_OK) ef_market_outcome_free(outcome);
  outcome->seconds = ef_clock() - start;
  return status;
}

void ef_market_outcome_free(ef_market_outcome *outcome) {
  for (size_t m = 0; outcome->markets && m < outcome->market_count; m++) {
    ef_free(outcome->markets[m].estimates);
  }
  ef_free(outcome->markets);
  ef_free(outcome->users);
  *outcome = (ef_market_outcome){0};
}
