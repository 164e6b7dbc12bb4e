#include "rivals/pruned.h"

#include "base/memory.h"
#include "base/sort.h"
#include <string.h>

/* ---- which experts ------------------------------------------------------------------------------------- */

typedef struct gate {
  const ef_kernels *k;
  const ef_model *common, *global;
  size_t T;
  ef_pass *pass;
  int32_t *ids, *targets; /* (T) */
  float *logits, *probs;  /* (T,E) */
  double *count;          /* (E) choices: none is made */
} gate;

static ef_status gate_open(gate *g) {
  size_t E = g->global->dims.E;
  EF_TRY(EF_NEW(g->ids, g->T));
  EF_TRY(EF_NEW(g->targets, g->T));
  EF_TRY(EF_NEW(g->logits, g->T * E));
  EF_TRY(EF_NEW(g->probs, g->T * E));
  EF_TRY(EF_NEW(g->count, E));
  return ef_pass_create(&g->common->dims, g->k, EF_PASS_TRAIN, 1, g->T, false, NULL, &g->pass);
}

static void gate_close(gate *g) {
  ef_pass_free(g->pass);
  ef_free(g->ids);
  ef_free(g->targets);
  ef_free(g->logits);
  ef_free(g->probs);
  ef_free(g->count);
}

/* The first `rows` tokens of the window that ran. */
static void add_masses(gate *g, size_t rows, double *mass) {
  const ef_dims *d = &g->global->dims;
  int32_t no_expert = 0;
  float no_weight = 0.0f;
  for (size_t l = 0; l < d->L; l++) {
    if (!ef_dims_is_moe(d, l)) continue;
    const float *router = ef_model_tensor(g->global, EF_T_ROUTER_W, (int)l, -1);
    g->k->matmul(0, 1, rows, d->E, d->D, ef_pass_ffn_input(g->pass, l), d->D, router, d->D, 0.0f, g->logits,
                 d->E);
    g->k->router(rows, d->E, 0, 0, 0.0f, g->logits, g->probs, &no_expert, &no_weight);
    g->k->router_stats(rows, d->E, 0, g->probs, &no_expert, g->count, mass);
    mass += d->E;
  }
}

static ef_status check_common(const ef_dims *common, const ef_dims *global) {
  return EF_CHECK(
      common->E == 0 && common->D == global->D && common->L == global->L && common->V == global->V, EF_FAULT,
      "a common expert of (V,D,L) = (%zu,%zu,%zu) with %zu experts for a model of (%zu,%zu,%zu)", common->V,
      common->D, common->L, common->E, global->V, global->D, global->L);
}

ef_status ef_gate_mass(const ef_kernels *kernels, const ef_model *common, const ef_model *global,
                       const ef_stream *stream, size_t T, size_t most, double *mass) {
  gate g = {.k = kernels, .common = common, .global = global, .T = T};
  size_t windows = ef_stream_windows(stream, T), used = most < windows ? most : windows;
  ef_status status = EF_OK;
  EF_TRY(check_common(&common->dims, &global->dims));
  EF_TRY(EF_CHECK(used > 0, EF_INPUT,
                  "no experts can be chosen by a text of %zu tokens, of which at most %zu windows count",
                  stream->count, most));
  memset(mass, 0, ef_dims_moe_count(&global->dims) * global->dims.E * sizeof *mass);
  EF_GO(gate_open(&g));
  for (size_t i = 0; i < used; i++) {
    size_t w = i * windows / used, left = stream->count - 1 - w * T;
    ef_stream_window(stream, T, w, g.ids, g.targets);
    EF_GO(ef_forward(g.pass, common, g.ids, 1, T));
    add_masses(&g, left < T ? left : T, mass);
  }
done:
  gate_close(&g);
  return status;
}

/* The least mass of those that are held; `ties`: experts of just this mass among them. */
static ef_status least_held(const double *mass, size_t E, size_t held, double *least, size_t *ties) {
  double *sorted = NULL;
  EF_TRY(EF_NEW(sorted, E));
  memcpy(sorted, mass, E * sizeof *mass);
  ef_sort_ascending(sorted, E);
  *least = sorted[E - held];
  for (*ties = 0; *ties < held && sorted[E - held + *ties] == *least; ++*ties) {
  }
  ef_free(sorted);
  return EF_OK;
}

ef_status ef_experts_order(const double *mass, size_t E, size_t held, int32_t *order) {
  double least;
  size_t ties, n = 0, first = 0;
  EF_TRY(least_held(mass, E, held, &least, &ties));
  for (size_t e = 0; e < E && n < held; e++) {
    bool tie = mass[e] == least && ties > 0;
    if (tie) ties--;
    if (tie || mass[e] > least) order[n++] = (int32_t)e;
  }
  size_t among = n;
  for (size_t e = 0; e < E; e++) {
    if (first < among && order[first] == (int32_t)e) {
      first++;
    } else {
      order[n++] = (int32_t)e;
    }
  }
  return EF_OK;
}

/* ---- the local model ----------------------------------------------------------------------------------- */

ef_status ef_pruned_dims(const ef_dims *global, size_t held, ef_dims *local) {
  EF_TRY(EF_CHECK(global->held == 0, EF_FAULT, "a model of %zu of %zu experts is to be pruned again",
                  global->held, global->E));
  EF_TRY(EF_CHECK(held >= global->K && held <= global->E && held > 0, EF_INPUT,
                  "%zu experts of each layer for a device; from %zu (those of a token) to %zu are possible",
                  held, global->K, global->E));
  *local = *global;
  local->held = held == global->E ? 0 : held;
  return EF_OK;
}

void ef_pruned_take(const ef_model *global, const int32_t *order, ef_model *local) {
  const ef_dims *d = &global->dims;
  const ef_table *from = &global->table, *to = &local->table;
  memcpy(local->params, global->params, from->shared * sizeof *local->params);
  for (size_t l = 0, index = 0; l < d->L; l++) {
    if (!ef_dims_is_moe(d, l)) continue;
    const float *rows = ef_model_tensor(global, EF_T_ROUTER_W, (int)l, -1);
    float *new_rows = ef_model_tensor(local, EF_T_ROUTER_W, (int)l, -1);
    for (size_t j = 0; j < d->E; j++) {
      memcpy(new_rows + j * d->D, rows + (size_t)order[j] * d->D, d->D * sizeof *rows);
    }
    for (size_t j = 0; j < ef_dims_held(&local->dims); j++) {
      memcpy(local->params + ef_table_expert(to, index, j),
             global->params + ef_table_expert(from, index, (size_t)order[j]),
             from->expert_floats * sizeof *local->params);
    }
    order += d->E;
    index++;
  }
}

/* ---- the formula --------------------------------------------------------------------------------------- */

/* q, k, v and o with their biases, and the two norms. */
static uint64_t attention_numbers(const ef_dims *d) {
  uint64_t D = d->D, wide = D + 2 * d->G * d->h;
  return D * wide + (d->qkv_bias ? wide : 0) + D * D + (d->o_bias ? D : 0) + 2 * D;
}

/* An FFN with experts. */
static uint64_t moe_numbers(const ef_dims *d, uint64_t held) {
  return d->D * d->E + held * 3 * d->D * d->Fe + 3 * d->D * d->Fs + (d->shared_gate ? d->D : 0);
}

uint64_t ef_pruned_numbers(const ef_dims *d, size_t held) {
  uint64_t ends = d->V * d->D * (d->tied ? 1 : 2) + d->D; /* embedding, head, final norm */
  uint64_t moe = ef_dims_moe_count(d) * moe_numbers(d, held), dense = 0;
  for (size_t l = 0; l < d->L; l++) dense += ef_dims_is_moe(d, l) ? 0 : 3 * d->D * ef_dims_ffn_width(d, l);
  return ends + d->L * attention_numbers(d) + moe + dense + ef_dims_exit_count(d) * d->D;
}
