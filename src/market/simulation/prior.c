#include "market/simulation/simulate_internal.h"

#include "base/memory.h"
#include "base/sort.h"
#include <math.h>

/* Candidates are every density seen, thinned to about so many. */
enum { MOST_CANDIDATES = 4096 };

/* The kept prefix of one training slot. */
typedef struct lesson {
  size_t kept, left; /* left: those that bid at least the price asked last */
  double *density;   /* (kept), descending; owned */
  int64_t *total;    /* (kept); owned */
  double floor;
} lesson;

static void free_lessons(lesson *lessons, size_t count) {
  for (size_t t = 0; lessons && t < count; t++) {
    ef_free(lessons[t].density);
    ef_free(lessons[t].total);
  }
  ef_free(lessons);
}

static ef_status learn_book(const ef_book *book, lesson *out) {
  ef_auction *auction = NULL;
  ef_status status = ef_auction_create(book->market.n, &auction);
  if (status != EF_OK) return status;
  ef_auction_load(auction, &book->market);
  ef_kept s = ef_auction_kept(auction);
  EF_GO(EF_NEW(out->density, s.kept));
  EF_GO(EF_NEW(out->total, s.kept));
  out->kept = out->left = s.kept;
  out->floor = s.floor;
  for (size_t k = 0; k < s.kept; k++) {
    out->density[k] = s.density[k];
    out->total[k] = s.total[k];
  }
done:
  ef_auction_free(auction);
  return status;
}

static ef_status learn_slot(const ef_scenario *s, const ef_demand_table *table, int64_t capacity, size_t t,
                            lesson *out) {
  ef_crowd crowd;
  ef_book book = {0};
  EF_TRY(ef_crowd_make(s, table, capacity, EF_TRAINING_SLOT + t, t, &crowd));
  ef_status status = ef_book_make(&crowd.shell, crowd.demands, 0, &book);
  if (status == EF_OK) status = learn_book(&book, out);
  ef_book_free(&book);
  ef_crowd_free(&crowd);
  return status;
}

/* Profit of one slot at net unit price max(price, floor): all of the prefix that bids at least that. Prices
 * must come in ascending order: `left` only falls. */
static double profit_at(lesson *l, double price) {
  double asked = fmax(price, l->floor);
  while (l->left > 0 && l->density[l->left - 1] < asked) l->left--;
  return l->left > 0 ? asked * (double)l->total[l->left - 1] : 0.0;
}

/* Between densities the profit grows with the price, so that the best price is one of them. */
static ef_status best_price(lesson *lessons, size_t slots, double *price) {
  size_t count = 0;
  for (size_t t = 0; t < slots; t++) count += lessons[t].kept;
  double *candidate;
  EF_TRY(EF_NEW(candidate, count));
  count = 0;
  for (size_t t = 0; t < slots; t++) {
    for (size_t k = 0; k < lessons[t].kept; k++) candidate[count++] = lessons[t].density[k];
  }
  ef_sort_ascending(candidate, count);
  double best = 0.0;
  *price = 0.0;
  for (size_t i = 0; i < count; i += 1 + count / MOST_CANDIDATES) {
    double sum = 0.0;
    for (size_t t = 0; t < slots; t++) sum += profit_at(&lessons[t], candidate[i]);
    if (!(sum > best)) continue;
    best = sum;
    *price = candidate[i];
  }
  ef_free(candidate);
  return EF_OK;
}

ef_status ef_prior_price(const ef_scenario *s, const ef_demand_table *table, int64_t capacity,
                         double *price) {
  lesson *lessons;
  EF_TRY(EF_NEW(lessons, s->training_slots));
  ef_status status = EF_OK;
  for (size_t t = 0; t < s->training_slots && status == EF_OK; t++) {
    status = learn_slot(s, table, capacity, t, &lessons[t]);
  }
  if (status == EF_OK) status = best_price(lessons, s->training_slots, price);
  free_lessons(lessons, s->training_slots);
  return status;
}
