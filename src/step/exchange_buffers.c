#include "base/memory.h"
#include "par/units.h"
#include "step/exchange_internal.h"

static ef_status create_kept(ef_exchange *x, size_t layers, size_t counts) {
  ef_kept *kept;
  ef_status status = EF_NEW(kept, layers);
  if (!kept) return status;
  x->kept = kept;
  x->kept_count = layers;
  for (size_t i = 0; i < layers; i++) {
    EF_TRY(EF_NEW(kept[i].count, counts));
    EF_TRY(EF_NEW(kept[i].room.floats, (size_t)x->par->size));
  }
  return EF_OK;
}

ef_status ef_exchange_lists(ef_exchange *x) {
  size_t size = (size_t)x->par->size, E = x->model->dims.E, layers = ef_dims_moe_count(&x->model->dims);
  EF_TRY(EF_NEW(x->moe_index, x->model->dims.L));
  EF_TRY(EF_NEW(x->flow.from, size));
  EF_TRY(EF_NEW(x->flow.to, size));
  EF_TRY(EF_NEW(x->units, size));
  EF_TRY(EF_NEW(x->leaf, size));
  EF_TRY(EF_NEW(x->pairs, size));
  EF_TRY(EF_NEW(x->my_count, E));
  EF_TRY(EF_NEW(x->zeros, E));
  EF_TRY(EF_NEW(x->scratch.floats, size));
  for (size_t l = 0, index = 0; l < x->model->dims.L; l++) {
    x->moe_index[l] = index;
    if (ef_dims_is_moe(&x->model->dims, l)) index++;
  }
  return create_kept(x, x->train ? layers : 1, size * E);
}

static void free_room(ef_room *room) {
  ef_free(room->block);
  ef_free(room->floats);
}

void ef_exchange_release(ef_exchange *x) {
  for (size_t i = 0; i < x->kept_count; i++) {
    ef_free(x->kept[i].count);
    free_room(&x->kept[i].room);
  }
  ef_free(x->kept);
  free_room(&x->scratch);
  ef_free(x->moe_index);
  ef_free(x->flow.from);
  ef_free(x->flow.to);
  ef_free(x->units);
  ef_free(x->leaf);
  ef_free(x->pairs);
  ef_free(x->my_count);
  ef_free(x->zeros);
}

/* Rows that rank `from` routed to the experts of rank `to`; *widest grows to the largest count among them. */
static size_t rows_between(const ef_exchange *x, const int64_t *count, int from, int to, size_t *widest) {
  size_t E = x->model->dims.E, rows = 0;
  for (size_t e = ef_block_first(E, x->par->size, to); e < ef_block_first(E, x->par->size, to + 1); e++) {
    size_t n = (size_t)count[(size_t)from * E + e];
    rows += n;
    if (n > *widest) *widest = n;
  }
  return rows;
}

void ef_flow_read(ef_exchange *x, const int64_t *count) {
  ef_flow *f = &x->flow;
  int me = x->par->rank;
  size_t sorted = 0, ignored = 0;
  f->others = f->widest = 0;
  f->count = count;
  for (int r = 0; r < x->par->size; r++) {
    f->to[r] = (ef_range){sorted, rows_between(x, count, me, r, &ignored)};
    sorted += f->to[r].rows;
    f->from[r] = (ef_range){f->others, rows_between(x, count, r, me, &f->widest)};
    if (r != me) f->others += f->from[r].rows;
  }
  f->from[me].first = f->others;
  f->rows = f->others + f->from[me].rows;
}

/* Floats that `rank` needs for this layer, kept until backward and not. */
static void needs(const ef_exchange *x, int rank, size_t *kept, size_t *scratch) {
  size_t D = x->model->dims.D, Fe = x->model->dims.Fe, others = 0, own = 0, widest = 0;
  for (int s = 0; s < x->par->size; s++) {
    size_t rows = rows_between(x, x->flow.count, s, rank, &widest);
    *(s == rank ? &own : &others) += rows;
  }
  *kept = others * D + (x->train ? (others + own) * 3 * Fe : 0);
  *scratch = others * D * (x->train ? 2 : 1) + widest * 3 * Fe;
}

/* Notes that a buffer of `rank` grows, if it must; the contents are not needed. */
static bool must_grow(ef_room *room, int rank, size_t need) {
  if (need <= room->floats[rank]) return false;
  room->floats[rank] = need + need / 4;
  return true;
}

static ef_status grow(ef_room *room, int rank) {
  ef_free(room->block);
  return EF_NEW(room->block, room->floats[rank]);
}

void ef_staging_rows(const ef_exchange *x, size_t *rank, size_t *node) {
  const ef_nodes *nodes = &x->par->nodes;
  size_t sum = 0, widest = 0;
  for (int i = 0; i < x->par->size; i++) {
    int r = nodes->order[i];
    size_t out = 0, in = 0;
    if (nodes->leader[r] == r) sum = 0;
    for (int s = 0; s < x->par->size; s++) {
      out += rows_between(x, x->flow.count, r, s, &widest);
      in += rows_between(x, x->flow.count, s, r, &widest);
    }
    if (out > *rank) *rank = out;
    if (in > *rank) *rank = in;
    sum += out + in;
    if (sum > *node) *node = sum;
  }
}

static ef_status reserve(ef_exchange *x, size_t rank, size_t node) {
  size_t row = x->model->dims.D * sizeof(float);
  if (rank > x->rank_rows) x->rank_rows = rank + rank / 4;
  if (node > x->node_rows) x->node_rows = node + node / 4;
  return ef_swap_reserve(x->par, x->rank_rows * row, x->node_rows * row);
}

ef_status ef_rooms_grow(ef_exchange *x, ef_kept *kept) {
  bool any = false, mine = false;
  for (int r = 0; r < x->par->size; r++) {
    size_t keep = 0, scratch = 0;
    needs(x, r, &keep, &scratch);
    bool first = must_grow(&kept->room, r, keep), second = must_grow(&x->scratch, r, scratch);
    any = any || first || second;
    mine = mine || (r == x->par->rank && (first || second));
  }
  size_t rank_rows = 0, node_rows = 0;
  if (x->staged) ef_staging_rows(x, &rank_rows, &node_rows);
  bool stage = rank_rows > x->rank_rows || node_rows > x->node_rows;
  if (!any && !stage) return EF_OK;
  ef_status status = EF_OK;
  if (stage) status = reserve(x, rank_rows, node_rows);
  if (mine && status == EF_OK) status = grow(&kept->room, x->par->rank);
  if (mine && status == EF_OK) status = grow(&x->scratch, x->par->rank);
  return ef_agree(x->par, status);
}

ef_status ef_rows_begin(ef_exchange *x, int tag, const ef_range *out, const float *send, const ef_range *in,
                        float *recv) {
  size_t D = x->model->dims.D;
  for (int r = 0; r < x->par->size; r++) {
    bool other = r != x->par->rank;
    x->pairs[r] = (ef_pair){.send = send ? send + out[r].first * D : NULL,
                            .recv = recv ? recv + in[r].first * D : NULL,
                            .send_bytes = other ? out[r].rows * D * sizeof(float) : 0,
                            .recv_bytes = other ? in[r].rows * D * sizeof(float) : 0};
  }
  return ef_swap_begin(x->par, x->route, tag, x->pairs);
}

ef_status ef_rows_end(ef_exchange *x, int tag) { return ef_swap_end(x->par, x->route, tag, x->pairs); }
