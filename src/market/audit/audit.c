#include "market/audit/audit_internal.h"

#include "base/memory.h"
#include "base/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_COINS, STREAM_SAMPLE }; /* units of EF_RNG_AUDIT */

/* Which AERIA variant the mechanism is by name, and which one it clears as. */
static void recognise(ef_audit_run *run) {
  run->rule = run->spec->setting.aeria;
  for (ef_variant v = EF_VARIANT_T; v <= EF_VARIANT_D; v++) {
    const ef_mechanism *known = ef_mechanism_aeria(v);
    if (strcmp(run->spec->mechanism->name, known->name) == 0) {
      run->aeria = true;
      run->variant = v;
    }
    if (known->clear == run->spec->mechanism->clear) {
      run->fast = true;
      run->rule.variant = v;
    }
  }
}

static void choose_coins(ef_audit_run *run) {
  const ef_audit_spec *spec = run->spec;
  ef_rng rng = ef_rng_stream(spec->seed, EF_RNG_AUDIT, STREAM_COINS, 0);
  run->coins[0].coin = spec->coin;
  for (size_t k = 0; k < spec->coins; k++) {
    ef_coin *coin = &run->coins[k + 1].coin;
    coin->u = ((double)k + 0.5) / (double)spec->coins;
    coin->v = ef_rng_uniform(&rng);
  }
}

/* Bidders whose misreports are replayed: a partial shuffle, so without replacement. */
static void choose_sample(ef_audit_run *run) {
  size_t n = run->market->n, most = run->spec->most_users;
  ef_rng rng = ef_rng_stream(run->spec->seed, EF_RNG_AUDIT, STREAM_SAMPLE, 0);
  for (size_t i = 0; i < n; i++) run->sample[i] = i;
  run->sample_count = most > 0 && most < n ? most : n;
  if (run->sample_count == n) return;
  for (size_t k = 0; k < run->sample_count; k++) {
    size_t other = k + (size_t)ef_rng_below(&rng, n - k), swap = run->sample[k];
    run->sample[k] = run->sample[other];
    run->sample[other] = swap;
  }
}

typedef struct ranked {
  double density;
  size_t i;
} ranked;

static int by_density(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->density != y->density) return x->density > y->density ? -1 : 1;
  return (x->i > y->i) - (x->i < y->i);
}

static ef_status rank_bidders(ef_audit_run *run) {
  const ef_market *market = run->market;
  ranked *list;
  EF_TRY(EF_NEW(list, market->n));
  for (size_t i = 0; i < market->n; i++) {
    run->density[i] = market->bid[i] / (double)market->demand[i];
    list[i] = (ranked){.density = run->density[i], .i = i};
  }
  qsort(list, market->n, sizeof *list, by_density);
  for (size_t k = 0; k < market->n; k++) {
    run->order[k] = list[k].i;
    run->place[list[k].i] = k;
  }
  ef_free(list);
  return EF_OK;
}

/* Floor, F2 and F2(S minus i) of the true market, which stays loaded. */
static ef_status find_core(ef_audit_run *run) {
  ef_auction_load(run->auction, run->market);
  ef_kept kept = ef_auction_kept(run->auction);
  double *without;
  EF_TRY(EF_NEW(without, kept.kept));
  run->floor = kept.floor;
  run->f2 = ef_benchmark_f2(&kept);
  ef_benchmark_f2_without(run->auction, without);
  for (size_t i = 0; i < run->market->n; i++) run->without[i] = run->f2;
  for (size_t k = 0; k < kept.kept; k++) run->without[kept.index[k]] = without[k];
  ef_free(without);
  return EF_OK;
}

/* Do all members of S get the same estimate? From their F2(S minus i) alone. */
static void find_consensus(ef_audit_run *run, ef_audit_coin *coin) {
  ef_kept kept = ef_auction_kept(run->auction);
  double c = run->spec->setting.aeria.c, u = coin->coin.u;
  coin->estimate = ef_estimate(run->f2, c, u);
  coin->core = true;
  for (size_t k = 1; k < kept.kept && coin->core; k++) {
    double a = ef_estimate(run->without[kept.index[0]], c, u);
    coin->core = ef_estimate(run->without[kept.index[k]], c, u) == a;
  }
  if (coin->core && kept.kept > 0 && !(run->aeria && run->variant == EF_VARIANT_E))
    coin->estimate = ef_estimate(run->without[kept.index[0]], c, u);
  coin->vickrey = run->aeria ? coin->coin.v < run->spec->setting.aeria.vickrey_prob
                             : strcmp(run->spec->mechanism->name, "vickrey") == 0;
  coin->consensus = coin->core || coin->vickrey;
}

static ef_status allocate(ef_audit_run *run) {
  size_t n = run->market->n;
  run->coin_count = run->spec->coins + 1;
  EF_TRY(EF_NEW(run->coins, run->coin_count));
  for (size_t k = 0; k < run->coin_count; k++) EF_TRY(EF_NEW(run->coins[k].awards, n));
  EF_TRY(EF_NEW(run->without, n));
  EF_TRY(EF_NEW(run->density, n));
  EF_TRY(EF_NEW(run->order, n));
  EF_TRY(EF_NEW(run->place, n));
  EF_TRY(EF_NEW(run->sample, n));
  EF_TRY(EF_NEW(run->bid, n));
  EF_TRY(EF_NEW(run->demand, n));
  EF_TRY(EF_NEW(run->scratch, n));
  EF_TRY(EF_NEW(run->replies, run->coin_count));
  EF_TRY(EF_NEW(run->points, ef_audit_points_most(run)));
  return ef_auction_create(n, &run->auction);
}

ef_status ef_audit_run_create(ef_audit_run *run, const ef_market *market, const ef_audit_spec *spec,
                              ef_audit *audit) {
  *run = (ef_audit_run){.market = market, .spec = spec, .audit = audit};
  *audit = (ef_audit){.markets = 1, .bidders = market->n};
  EF_TRY(allocate(run));
  recognise(run);
  choose_coins(run);
  choose_sample(run);
  EF_TRY(rank_bidders(run));
  for (size_t i = 0; i < market->n; i++) {
    run->bid[i] = market->bid[i];
    run->demand[i] = market->demand[i];
  }
  run->copy = *market;
  run->copy.bid = run->bid;
  run->copy.demand = run->demand;
  for (size_t k = 0; k < run->coin_count; k++) {
    EF_TRY(spec->mechanism->clear(run->auction, market, &spec->setting, &run->coins[k].coin,
                                  run->coins[k].awards));
    audit->clearings++;
  }
  EF_TRY(find_core(run));
  for (size_t k = 0; k < run->coin_count; k++) {
    find_consensus(run, &run->coins[k]);
    audit->consensus_rate += run->coins[k].core / (double)run->coin_count;
  }
  return EF_OK;
}

void ef_audit_run_free(ef_audit_run *run) {
  for (size_t k = 0; run->coins && k < run->coin_count; k++) ef_free(run->coins[k].awards);
  ef_free(run->coins);
  ef_free(run->without);
  ef_free(run->density);
  ef_free(run->order);
  ef_free(run->place);
  ef_free(run->sample);
  ef_free(run->bid);
  ef_free(run->demand);
  ef_free(run->scratch);
  ef_free(run->replies);
  ef_free(run->points);
  ef_auction_free(run->auction);
}

bool ef_audit_agrees(const ef_audit_run *run, const ef_audit_coin *coin, size_t i) {
  if (!run->aeria || run->variant != EF_VARIANT_E || coin->vickrey) return coin->consensus;
  double c = run->spec->setting.aeria.c, u = coin->coin.u;
  return ef_estimate(run->without[i], c, u) == ef_estimate(run->f2, c, u);
}

static ef_status check(ef_audit_run *run) {
  for (size_t k = 0; k < run->coin_count; k++) {
    ef_audit_money(run, &run->coins[k]);
    ef_audit_estimate(run, &run->coins[k]);
    EF_TRY(ef_audit_envy(run, &run->coins[k]));
  }
  ef_audit_revenue(run);
  EF_TRY(ef_audit_deviations(run));
  if (run->spec->demands) EF_TRY(ef_audit_demands(run));
  ef_audit_judge(run);
  return EF_OK;
}

ef_status ef_audit_market(const ef_market *market, const ef_audit_spec *spec, ef_audit *audit) {
  ef_audit_run run;
  ef_status status = ef_audit_run_create(&run, market, spec, audit);
  if (status == EF_OK) status = check(&run);
  ef_audit_run_free(&run);
  return status;
}
