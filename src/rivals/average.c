#include "rivals/average.h"

#include "base/memory.h"
#include <math.h>

enum { SHARED = 0 }; /* SHARED: place of the shared tensors' weight */

static size_t weight_count(const ef_dims *d) { return 1 + ef_dims_moe_count(d) * d->E; }
static size_t weight_place(const ef_dims *d, size_t index, size_t e) { return 1 + index * d->E + e; }

ef_status ef_average_create(const ef_dims *global, ef_average *a) {
  ef_status status = EF_OK;
  *a = (ef_average){.dims = *global};
  EF_GO(ef_table_build(global, 0, global->E, &a->table));
  EF_GO(EF_NEW(a->sum, a->table.floats));
  EF_GO(EF_NEW(a->weight, weight_count(global)));
done:
  if (status != EF_OK) ef_average_free(a);
  return status;
}

void ef_average_free(ef_average *a) {
  ef_table_free(&a->table);
  ef_free(a->sum);
  ef_free(a->weight);
  *a = (ef_average){0};
}

/* ---- adding -------------------------------------------------------------------------------------------- */

/* n numbers that stand under weight[place]. The first ones are set, not added to zero, which would lose the
 * sign of a negative zero. */
static void add_numbers(ef_average *a, size_t place, size_t at, size_t n, const float *x, double weight) {
  double *sum = a->sum + at;
  bool first = a->weight[place] == 0.0;
  for (size_t i = 0; i < n; i++) {
    double term = weight * (double)x[i];
    sum[i] = first ? term : sum[i] + term;
  }
}

static bool is_shared(const ef_tensor *t) { return t->expert < 0 && t->role != EF_T_ROUTER_W; }

static void add_shared(ef_average *a, const ef_model *local, double weight) {
  for (size_t i = 0; i < a->table.count; i++) {
    const ef_tensor *t = &a->table.tensors[i];
    if (is_shared(t)) add_numbers(a, SHARED, t->offset, t->count, local->params + t->offset, weight);
  }
  a->weight[SHARED] += weight;
}

/* Expert j of the local model, e of the global one, with its row of the router. */
static void add_expert(ef_average *a, const ef_model *local, size_t layer, size_t index, size_t j, size_t e,
                       double weight) {
  size_t D = a->dims.D, place = weight_place(&a->dims, index, e);
  size_t router = ef_table_find(&a->table, EF_T_ROUTER_W, (int)layer, -1)->offset;
  add_numbers(a, place, router + e * D, D, local->params + router + j * D, weight);
  add_numbers(a, place, ef_table_expert(&a->table, index, e), a->table.expert_floats,
              local->params + ef_table_expert(&local->table, index, j), weight);
  a->weight[place] += weight;
}

static ef_status check_local(const ef_average *a, const ef_model *local, double weight) {
  const ef_table *mine = &a->table, *its = &local->table;
  bool same = its->shared == mine->shared && its->expert_floats == mine->expert_floats &&
              local->dims.E == a->dims.E && its->expert_count == ef_dims_held(&local->dims);
  EF_TRY(EF_CHECK(same, EF_FAULT, "a local model that was not made from the global one is to be averaged"));
  return EF_CHECK(weight > 0.0 && isfinite(weight), EF_FAULT,
                  "a local model with weight %g is to be averaged", weight);
}

ef_status ef_average_add(ef_average *a, const ef_model *local, const int32_t *order, double weight) {
  size_t held = ef_dims_held(&local->dims);
  EF_TRY(check_local(a, local, weight));
  EF_TRY(EF_CHECK(order || held == a->dims.E, EF_FAULT, "a pruned model without the numbers of its experts"));
  add_shared(a, local, weight);
  for (size_t l = 0, index = 0; l < a->dims.L; l++) {
    if (!ef_dims_is_moe(&a->dims, l)) continue;
    for (size_t j = 0; j < held; j++) {
      size_t e = order ? (size_t)order[index * a->dims.E + j] : j;
      add_expert(a, local, l, index, j, e, weight);
    }
    index++;
  }
  a->added++;
  return EF_OK;
}

/* ---- the result ---------------------------------------------------------------------------------------- */

static void settle(const ef_average *a, size_t place, size_t at, size_t n, ef_model *global) {
  double weight = a->weight[place];
  for (size_t i = at; weight > 0.0 && i < at + n; i++) global->params[i] = (float)(a->sum[i] / weight);
}

void ef_average_finish(const ef_average *a, ef_model *global) {
  size_t D = a->dims.D;
  for (size_t i = 0; i < a->table.count; i++) {
    const ef_tensor *t = &a->table.tensors[i];
    if (is_shared(t)) settle(a, SHARED, t->offset, t->count, global);
  }
  for (size_t l = 0, index = 0; l < a->dims.L; l++) {
    if (!ef_dims_is_moe(&a->dims, l)) continue;
    size_t router = ef_table_find(&a->table, EF_T_ROUTER_W, (int)l, -1)->offset;
    for (size_t e = 0; e < a->dims.E; e++) {
      size_t place = weight_place(&a->dims, index, e);
      settle(a, place, router + e * D, D, global);
      settle(a, place, ef_table_expert(&a->table, index, e), a->table.expert_floats, global);
    }
    index++;
  }
}
