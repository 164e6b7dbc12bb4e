/* What the parts of the simulation share: the users of a slot without strings, the prior behind the posted
 * price, and the measures of one clearing.
 */
#pragma once

#include "market/demand.h"
#include "market/simulate.h"
#include "market/solve.h"

/* Streams of training users begin here: no slot of a run has such a number. */
#define EF_TRAINING_SLOT (UINT64_C(1) << 63)

/* Users of one slot and their demands. `shell` is an instance that borrows everything (workload of the
 * scenario, arrays of the crowd) and is not freed as one; it points into the crowd, which must not move. */
typedef struct ef_crowd {
  ef_instance shell;
  ef_workload workload; /* borrowed contents */
  ef_provider provider;
  ef_user *users;     /* (shell.user_count), owned */
  ef_demand *demands; /* (shell.user_count), owned */
} ef_crowd;

/* Draws users from the streams of `unit`, with the traces' entries of `slot`; demands are found once. */
ef_status ef_crowd_make(const ef_scenario *scenario, const ef_demand_table *table, int64_t capacity,
                        uint64_t unit, size_t slot, ef_crowd *crowd);
void ef_crowd_free(ef_crowd *crowd);

/* Capacity with a table that exists, for a scenario that is checked. */
ef_status ef_crowd_capacity(const ef_scenario *scenario, const ef_demand_table *table, int64_t *units);

/* The net density that maximises the mean profit of first-come sales at one price over the training slots,
 * each on its kept prefix with its floor; the least of equals; 0 if nobody bids there. */
ef_status ef_prior_price(const ef_scenario *scenario, const ef_demand_table *table, int64_t capacity,
                         double *price);

/* What is true of a slot whatever the mechanism. */
typedef struct ef_slot_facts {
  const ef_book *book;
  const ef_crowd *crowd;
  double f, f2;
  bool consensus; /* of variant T */
} ef_slot_facts;

/* Units that each bidder is given: d_i, or what its payment buys at its unit price where the mechanism does
 * not promise d_i (proportional share). units (n). */
void ef_units_allot(const ef_mechanism *mechanism, const ef_market *market, const ef_award *awards,
                    double *units);

/* Whether a request ends in time and its rate is sustained at so many units (a share of 1e-8 is rounding). */
bool ef_units_suffice(const ef_rules *rules, const ef_user *user, const ef_demand *demand, double units);

/* Whether a bidder prefers another's units and payment to his own (aeria.md: envy, notion b). O(n log n);
 * scratch: (2n) numbers. */
bool ef_awards_envied(const ef_slot_facts *facts, const ef_award *awards, const double *units,
                      double *scratch);

/* The row of one clearing, but for `refused` and `seconds`. */
void ef_row_fill(const ef_slot_facts *facts, const ef_mechanism *mechanism, const ef_award *awards,
                 const double *units, double *scratch, ef_slot_row *row);
ef_slot_row ef_row_refused(void);

/* Means of one mechanism's rows. */
ef_summary_row ef_rows_summarise(const ef_slot_row *rows, size_t slots);
