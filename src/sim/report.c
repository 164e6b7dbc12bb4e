#include "sim/report.h"

#include <stdio.h>

static void print_spent(const char *name, const ef_sim_spent *s) {
  printf("\"%s\": {\"seconds\": %.9g, \"compute\": %.9g, \"exchange\": %.9g, \"wait\": %.9g, \"bytes\": "
         "%.12g}, ",
         name, s->seconds, s->compute, s->exchange, s->wait, s->bytes);
}

static void print_time(const char *name, const ef_step_time *t, double simulated) {
  printf("\"%s\": {\"seconds\": %.9g, \"compute\": %.9g, \"exchange\": %.9g, \"reduction\": %.9g, "
         "\"agreement\": %.9g, \"bytes\": %.12g, \"route\": \"%s\", \"error\": %.4f}, ",
         name, t->seconds, t->compute, t->exchange, t->reduction, t->agreement, t->bytes,
         ef_route_name(t->route), t->seconds / simulated - 1.0);
}

/* What is foretold without knowing how tokens are routed, and with the unevenness that was met. */
static ef_status print_model(const ef_par *par, const ef_sim_options *o, const ef_dims *dims,
                             const ef_sim_outcome *outcome) {
  ef_table table;
  ef_step_shape shape = ef_sim_shape(o, par->size);
  int ranks = par->size, nodes = par->nodes.count;
  ef_step_work work = {.micro = outcome->mean.micro, .adam = o->adam_seconds};
  EF_TRY(ef_table_build(dims, 0, 0, &table));
  ef_step_time even = ef_step_time_of(dims, &table, &shape, ranks, nodes, &o->network, &work);
  work.skew = outcome->skew;
  ef_step_time uneven = ef_step_time_of(dims, &table, &shape, ranks, nodes, &o->network, &work);
  ef_table_free(&table);
  print_time("model", &even, outcome->most.seconds);
  print_time("model_with_skew", &uneven, outcome->most.seconds);
  return EF_OK;
}

ef_status ef_sim_report(const ef_par *par, const ef_sim_options *o, const ef_dims *dims,
                        const ef_sim_outcome *outcome) {
  printf("{\"ranks\": %d, \"nodes\": %d, \"experts\": %zu, \"micro_batches\": %zu, \"steps\": %.0f, "
         "\"micro_seconds\": %.9g, \"skew\": %.4f, ",
         par->size, par->nodes.count, dims->E, ef_sim_shape(o, par->size).M, o->steps, outcome->mean.micro,
         outcome->skew);
  print_spent("mean", &outcome->mean);
  print_spent("most", &outcome->most);
  EF_TRY(print_model(par, o, dims, outcome));
  printf("\"loss\": %.9g, \"loss_bits\": \"%a\"}\n", outcome->loss, outcome->loss);
  return EF_CHECK(fflush(stdout) == 0, EF_MACHINE, "standard output could not be written");
}
