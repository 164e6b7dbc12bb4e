#include "base/memory.h"
#include "market/auction/auction_internal.h"
#include <string.h>

#define TAKE(pointer, count) ((pointer) = ef_arena_take(arena, (count), sizeof *(pointer)))

static void carve(ef_arena *arena, ef_auction *a) {
  const size_t n = a->room;
  TAKE(a->rank, n);
  TAKE(a->spare, n);
  TAKE(a->scratch, n);
  TAKE(a->bid, n);
  TAKE(a->gate, n);
  TAKE(a->index, n);
  TAKE(a->density, n);
  TAKE(a->demand, n);
  TAKE(a->total, n);
  TAKE(a->largest, n);
  TAKE(a->column, n);
  TAKE(a->abscissa, n);
  TAKE(a->beyond, n);
  TAKE(a->limit, n);
  TAKE(a->tree, 4 * n);
  TAKE(a->before, n);
  TAKE(a->value, n);
  TAKE(a->price, n);
  TAKE(a->peak, 4 * n + 4);
  TAKE(a->estimate, n);
  TAKE(a->count, n);
  TAKE(a->served, n);
  TAKE(a->step, n);
}

ef_status ef_auction_create(size_t n, ef_auction **auction) {
  *auction = NULL;
  ef_auction *a = NULL;
  EF_TRY(EF_NEW(a, 1));
  a->room = n;
  carve(&a->arena, a);
  const ef_status status = ef_arena_place(&a->arena);
  if (status != EF_OK) {
    ef_free(a);
    return status;
  }
  carve(&a->arena, a);
  *auction = a;
  return EF_OK;
}

void ef_auction_free(ef_auction *a) {
  if (!a) return;
  ef_arena_free(&a->arena);
  ef_free(a);
}

/* The key sorts densities descending: positive doubles order as their bits do. */
static uint64_t density_key(double density) {
  uint64_t bits;
  memcpy(&bits, &density, sizeof bits);
  return ~bits;
}

static double key_density(uint64_t key) {
  const uint64_t bits = ~key;
  double density;
  memcpy(&density, &bits, sizeof density);
  return density;
}

/* The reserve, then whether the bidder fits alone; true: it enters the order. */
static bool enters(ef_auction *a, size_t i, int64_t demand, uint64_t *key) {
  const double density = a->bid[i] / (double)demand, net = density - a->unit_cost;
  const bool reserved = !(net > 0 && net >= a->reserve);
  a->gate[i] = reserved ? EF_FATE_RESERVE : EF_FATE_PRUNED;
  *key = density_key(density);
  return !reserved && demand <= a->capacity;
}

static bool before(ef_rank x, ef_rank y) { return x.key != y.key ? x.key < y.key : x.item < y.item; }

static void put(ef_auction *a, const ef_market *m, size_t k, ef_rank rank, int64_t sum) {
  const int64_t demand = m->demand[rank.item];
  a->index[k] = rank.item;
  a->density[k] = key_density(rank.key) - a->unit_cost;
  a->demand[k] = demand;
  a->total[k] = sum + demand;
}

/* Fills the places from the order, with the bidder `skip` left out and, if `added` is not NULL, one put in:
 * the kept prefix up to the first overflow, then as far as the leaving of the largest kept demand lets others
 * in. */
static void fill(ef_auction *a, const ef_market *m, size_t skip, const ef_rank *added) {
  int64_t sum = 0, largest = 0, most = a->capacity;
  bool full = false;
  size_t k = 0, next = 0;
  a->floor = 0;
  while (added || next < a->ranked) {
    if (next < a->ranked && a->rank[next].item == skip) {
      next++;
      continue;
    }
    const bool take = added && (next == a->ranked || before(*added, a->rank[next]));
    put(a, m, k, take ? *added : a->rank[next], sum);
    if (take)
      added = NULL;
    else
      next++;
    if (!full && a->total[k] > a->capacity) {
      full = true;
      a->kept = k;
      a->floor = a->density[k];
      most = a->capacity + largest;
    }
    if (a->total[k] > most) break;
    if (!full && a->demand[k] > largest) largest = a->demand[k];
    sum = a->total[k++];
  }
  a->reach = k;
  if (!full) a->kept = k;
  if (a->floor < a->reserve) a->floor = a->reserve;
}

void ef_auction_load(ef_auction *a, const ef_market *market) {
  EF_ASSERT(market->n <= a->room);
  a->n = market->n;
  a->capacity = market->capacity;
  a->unit_cost = market->unit_cost;
  a->reserve = market->margin * market->unit_cost;
  a->deviant = SIZE_MAX;
  a->ranked = 0;
  for (size_t i = 0; i < a->n; i++) {
    ef_rank rank = {.item = i};
    a->bid[i] = market->bid[i];
    if (enters(a, i, market->demand[i], &rank.key)) a->rank[a->ranked++] = rank;
  }
  ef_rank_sort(a->rank, a->spare, a->ranked);
  fill(a, market, SIZE_MAX, NULL);
}

void ef_auction_deviate(ef_auction *a, const ef_market *market, size_t i, double b) {
  if (a->deviant != SIZE_MAX) {
    a->bid[a->deviant] = a->loaded_bid;
    a->gate[a->deviant] = a->loaded_gate;
  }
  a->deviant = i;
  a->loaded_bid = a->bid[i];
  a->loaded_gate = a->gate[i];
  a->bid[i] = b;
  ef_rank rank = {.item = i};
  const bool in = enters(a, i, market->demand[i], &rank.key);
  fill(a, market, i, in ? &rank : NULL);
}

ef_kept ef_auction_kept(const ef_auction *a) {
  return (ef_kept){a->kept, a->index, a->density, a->demand, a->total, a->floor};
}
