#include "step/step_time.h"

#include "par/stages.h"
#include "par/tree.h"
#include "par/units.h"

#include <math.h>

/* Journeys of a far row: the token, its result, and the gradients of both (exchange.c). Numbers that are told
 * of a micro-batch beside the early exits (step.c). */
enum { LEGS = 4, FACTS = 5 };

/* All that the formulas below read. */
typedef struct job {
  const ef_dims *dims;
  const ef_table *table;
  const ef_step_shape *shape;
  const ef_interconnect *net;
  const ef_step_work *work;
  double N, nodes, c;             /* ranks, nodes, ranks of a node */
  double layers;                  /* with experts */
  double rows;                    /* of a micro-batch, once per chosen expert */
  double held_most;               /* experts of a layer on the rank that holds most */
  size_t slots;                   /* of a step */
  size_t most_open;               /* open nodes that a rank has in the tree of the shared tensors, at most */
  ef_stage stage[EF_STAGES_MOST]; /* of the sum of that tree */
  size_t stage_count;
} job;

static double bigger(double a, double b) { return a > b ? a : b; }

/* ---- the tree over micro-batches (par/tree.h) --------------------------------------------------------- */

/* Open nodes of the leaves that `count` ranks from `first` on have together. */
static size_t open_of(const job *j, int first, int count) {
  size_t M = j->shape->M;
  int ranks = (int)j->N;
  return ef_tree_open_nodes(M, ef_block_first(M, ranks, first), ef_block_first(M, ranks, first + count));
}

/* The most that as many ranks in a row have together. */
static size_t most_open_of(const job *j, int count) {
  size_t most = 0;
  for (int first = 0; first < (int)j->N; first += count) {
    size_t open = open_of(j, first, count);
    if (open > most) most = open;
  }
  return most;
}

static job job_of(const ef_dims *dims, const ef_table *table, const ef_step_shape *shape, int ranks,
                  int nodes) {
  job j = {.dims = dims, .table = table, .shape = shape, .N = ranks, .nodes = nodes};
  j.c = j.N / j.nodes;
  j.layers = (double)ef_dims_moe_count(dims);
  j.rows = (double)(shape->B * shape->T * dims->K);
  j.held_most = ceil((double)dims->E / j.N);
  j.slots = (shape->M + (size_t)ranks - 1) / (size_t)ranks;
  j.most_open = most_open_of(&j, 1);
  j.stage_count = ef_stages_make(ranks, ranks / nodes, j.stage);
  return j;
}

/* ---- bytes -------------------------------------------------------------------------------------------- */

/* Bytes that one rank has in each all-gather, by place. */
static double told_in_slot(void) { return sizeof(int64_t); }
static double told_in_layer(const job *j) { return sizeof(int64_t) * (double)j->dims->E; }
static double told_of_nodes(const job *j) { return 2 * sizeof(int64_t) * (double)j->most_open; }
static double told_of_losses(const job *j) {
  return sizeof(double) * (double)j->slots * (double)(FACTS + ef_dims_exit_count(j->dims));
}
static double told_of_squares(const job *j) {
  return j->shape->train_experts ? sizeof(double) * j->layers * j->held_most : 0.0;
}

static double shared_bytes(const job *j) { return sizeof(float) * (double)j->table->shared; }
static double row_bytes(const job *j) { return sizeof(float) * (double)j->dims->D; }

/* Of a rank in the sum of the tree: its open nodes but for the parts that it keeps, and its parts of the sum.
 */
static double tree_bytes(const job *j, int rank) {
  ef_segment mine = {0, j->table->shared};
  size_t floats = 0;
  for (size_t s = 0; s < j->stage_count; s++) {
    ef_stage stage = j->stage[s];
    ef_segment part = ef_stage_part(stage, mine, ef_stage_row(stage, rank));
    size_t open = open_of(j, ef_stage_first(stage, rank), stage.stride);
    floats += open * (mine.count - part.count) + (size_t)(stage.radix - 1) * part.count;
    mine = part;
  }
  return sizeof(float) * (double)floats;
}

/* Mean over ranks of what is handed to MPI beside rows. */
static double fixed_bytes(const job *j) {
  double told = sizeof(int64_t) + told_of_nodes(j) + told_of_losses(j) + told_of_squares(j), tree = 0.0;
  if (j->layers > 0) told += (double)j->slots * (told_in_slot() + j->layers * told_in_layer(j));
  for (int r = 0; r < (int)j->N; r++) tree += tree_bytes(j, r);
  return (j->N - 1.0) * told + tree / j->N;
}

double ef_step_far_rows(const ef_dims *dims, const ef_step_shape *shape, int ranks) {
  double layers = (double)ef_dims_moe_count(dims), far = 0.0;
  if (layers == 0.0) return 0.0;
  for (size_t unit = 0; unit < shape->M; unit++) {
    int owner = ef_block_owner(shape->M, ranks, unit);
    size_t held = ef_block_first(dims->E, ranks, owner + 1) - ef_block_first(dims->E, ranks, owner);
    far += 1.0 - (double)held / (double)dims->E;
  }
  return far * layers * (double)(shape->B * shape->T * dims->K);
}

double ef_step_bytes(const ef_dims *dims, const ef_table *table, const ef_step_shape *shape, int ranks,
                     int nodes, double far_rows) {
  if (ranks == 1) return 0.0;
  const job j = job_of(dims, table, shape, ranks, nodes);
  return fixed_bytes(&j) + far_rows * LEGS * row_bytes(&j) / j.N;
}

/* ---- seconds of the network --------------------------------------------------------------------------- */

static double latency(const job *j) { return j->nodes > 1.0 ? j->net->latency : j->net->node_latency; }

/* Small messages in ceil(log2 N) rounds, the first of them inside nodes. */
static double rounds(const job *j) {
  double near = ceil(log2(j->c)), all = ceil(log2(j->N));
  return near * j->net->node_latency + (all - near) * j->net->latency + 2.0 * all * j->net->overhead;
}

/* MPICH's choice: recursive doubling up to 512 KiB in all (80 KiB where N is no power of two), then a ring.
 */
static double allgather(const job *j, double bytes) {
  if (bytes == 0.0 || j->N == 1.0) return 0.0;
  bool power = exp2(floor(log2(j->N))) == j->N;
  double bandwidth = j->nodes > 1.0 ? j->net->bandwidth : j->net->node_bandwidth;
  double move = (j->N - 1.0) * bytes / bandwidth;
  if (j->N * bytes < (power ? 524288.0 : 81920.0)) return rounds(j) + move;
  return (j->N - 1.0) * (latency(j) + 2.0 * j->net->overhead) + move;
}

/* Bytes that a rank has for the others, evenly, or receives: the busiest one; the others of its node. */
typedef struct load {
  double most, mean;
} load;

/* Of all ranks of the busiest node. */
static double of_node(const job *j, load bytes) { return bytes.most + (j->c - 1.0) * bytes.mean; }

/* So many messages of a rank to others; as many come in. */
static double swap(const job *j, load bytes, double messages) {
  double busy = 2.0 * messages * j->net->overhead, others = j->N - 1.0;
  double near = bytes.most * (j->c - 1.0) / others / j->net->node_bandwidth;
  double far = of_node(j, bytes) * (j->N - j->c) / others / j->net->bandwidth;
  return latency(j) + bigger(busy, bigger(near, far));
}

/* Through the leaders of the nodes: up to the leader, from node to node, down. */
static double swap_by_node(const job *j, load bytes) {
  const ef_interconnect *n = j->net;
  double members = j->c - 1.0, sizes = 16.0 * j->N, share = (j->N - j->c) / (j->N - 1.0);
  double far = of_node(j, bytes) * share, inner = members > 0.0 ? far - bytes.mean * share : 0.0;
  double up = n->node_latency + 2.0 * members * n->overhead + (members * sizes + inner) / n->node_bandwidth;
  double down = n->node_latency + members * n->overhead + inner / n->node_bandwidth;
  double across = n->latency + 2.0 * (j->nodes - 1.0) * n->overhead + far / n->bandwidth;
  return members > 0.0 ? up + across + down : across;
}

/* ---- the parts of a step ------------------------------------------------------------------------------ */

/* One leg of a slot in which `busy` ranks have a micro-batch. Where there are fewer experts than ranks, the
 * rank that holds some receives more than anyone sends; so does the busiest one. */
static double leg_bytes(const job *j, double busy, double skew) {
  double E = (double)j->dims->E, least = floor(E / j->N);
  double out = 1.0 - least / E, in = (busy - (busy < j->N ? 0.0 : 1.0)) * j->held_most / E * (1.0 + skew);
  return j->rows * bigger(out, in) * row_bytes(j);
}

static double leg(const job *j, double busy, ef_route *route) {
  double E = (double)j->dims->E, holders = E < j->N ? E : j->N;
  double met = 1.0 - pow(1.0 - j->held_most / E, j->rows); /* that a rank has a row for another */
  double most = bigger(holders, busy) - 1.0;
  load bytes = {leg_bytes(j, busy, j->work->skew), leg_bytes(j, busy, 0.0)};
  double direct = swap(j, bytes, most * met);
  bool room = 4.0 * j->c * j->rows * row_bytes(j) <= EF_STAGING_MOST;
  *route = EF_PAIRWISE;
  if (j->nodes == 1.0 || !room) return direct;
  double staged = swap_by_node(j, bytes);
  if (staged >= direct) return direct;
  *route = EF_BY_NODE;
  return staged;
}

static double busy_in(const job *j, size_t slot) {
  double left = (double)j->shape->M - (double)slot * j->N;
  return left < j->N ? left : j->N;
}

static double exchange(const job *j, ef_route *route) {
  double seconds = 0.0;
  ef_route last = EF_PAIRWISE;
  *route = EF_PAIRWISE;
  for (size_t slot = 0; slot < j->slots && j->layers > 0.0 && j->N > 1.0; slot++) {
    double layer = allgather(j, told_in_layer(j)) + LEGS * leg(j, busy_in(j, slot), &last);
    seconds += allgather(j, told_in_slot()) + j->layers * layer;
    if (slot == 0) *route = last;
  }
  return seconds;
}

/* A stage of the tree's sum: a round for each open node, and one on the way back. */
static double stage_seconds(const job *j, ef_stage stage) {
  double others = stage.radix - 1.0, busy = 2.0 * others * j->net->overhead;
  double bytes = shared_bytes(j) * others / ((double)stage.stride * stage.radix);
  bool near = (double)stage.stride * stage.radix <= j->c;
  double move = near ? bytes / j->net->node_bandwidth : j->c * bytes / j->net->bandwidth;
  double round = (near ? j->net->node_latency : j->net->latency) + bigger(busy, move);
  return ((double)most_open_of(j, stage.stride) + 1.0) * round;
}

/* The M-1 sums of the tree are spread over the ranks. */
static double reduction(const job *j) {
  double seconds = ((double)j->shape->M - 1.0) * (double)j->table->shared / j->N * j->work->sum;
  for (size_t s = 0; s < j->stage_count; s++) seconds += stage_seconds(j, j->stage[s]);
  return seconds + allgather(j, sizeof(int64_t)) + allgather(j, told_of_nodes(j)) +
         allgather(j, told_of_losses(j)) + allgather(j, told_of_squares(j));
}

/* ef_agree in ef_step_run, of each slot and of ef_tree_sum_all. */
static double agreement(const job *j) {
  double of_slot = j->layers > 0.0 && j->shape->train_experts ? 2.0 : 1.0, of_tree = 4.0;
  return j->N == 1.0 ? 0.0 : ((double)j->slots * of_slot + of_tree) * rounds(j);
}

/* The blocks of the experts are computed where these are held, the rest where the micro-batch is. */
static double compute(const job *j) {
  const ef_dims *d = j->dims;
  const ef_step_work *work = j->work;
  double seconds = 0.0, held = j->layers * j->held_most * (double)j->table->expert_floats;
  double routed = 18.0 * j->layers * (double)(d->K * d->D * d->Fe);
  double share = routed / ef_dims_flops_per_token(d, j->shape->T);
  for (size_t slot = 0; slot < j->slots; slot++) {
    double experts =
        j->layers > 0.0 ? share * (1.0 + work->skew) * busy_in(j, slot) * j->held_most / (double)d->E : 0.0;
    seconds += work->micro * (1.0 - share + experts);
  }
  double trained = (double)j->table->shared + (j->shape->train_experts ? held : 0.0);
  if (j->shape->train_experts) seconds += ((double)j->shape->M - 1.0) * held * work->sum;
  return seconds + trained * work->adam;
}

ef_step_time ef_step_time_of(const ef_dims *dims, const ef_table *table, const ef_step_shape *shape,
                             int ranks, int nodes, const ef_interconnect *network, const ef_step_work *work) {
  job j = job_of(dims, table, shape, ranks, nodes);
  j.net = network;
  j.work = work;
  ef_step_time t = {.compute = compute(&j), .reduction = reduction(&j), .agreement = agreement(&j)};
  t.exchange = exchange(&j, &t.route);
  t.seconds = t.compute + t.exchange + t.reduction + t.agreement;
  t.bytes = ef_step_bytes(dims, table, shape, ranks, nodes, ef_step_far_rows(dims, shape, ranks));
  return t;
}
