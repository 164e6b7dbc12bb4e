/* Two levels: what a rank has for other nodes goes to the leader of its own, which sends one message to the
 * leader of each other node, who hands it on. Ranks of one node talk to each other directly.
 *
 * Orders. A rank's data for others: by destination, nodes in the order of their leaders, ranks ascending. A
 * message from node to node: by source, and of each source by destination, both ascending.
 */
#include "base/memory.h"
#include "par/par_internal.h"
#include "par/swap_internal.h"
#include "par/tags.h"

#include <string.h>

struct ef_staging {
  char *own;  /* data for or from other nodes */
  char *node; /* the leader's: that of all its ranks, as it came and sorted, out and in */
  size_t own_bytes, node_bytes;
  int64_t
      *sizes; /* (members,2,size) bytes to and from each rank of other nodes; on others their own row alone */
  size_t *cursor; /* (members) */
  ef_pair *pairs; /* (size) ranks of the node, and leaders */
};

static bool leads(const ef_par *par) { return par->nodes.index == 0; }
static bool is_near(const ef_par *par, int rank) {
  return par->nodes.leader[rank] == par->nodes.leader[par->rank];
}
static int member(const ef_par *par, int index) { return par->nodes.order[par->nodes.first + index]; }

/* ---- room ---------------------------------------------------------------------------------------------- */

void ef_staging_free(ef_staging *s) {
  if (!s) return;
  ef_free(s->own);
  ef_free(s->node);
  ef_free(s->sizes);
  ef_free(s->cursor);
  ef_free(s->pairs);
  ef_free(s);
}

static ef_status create(ef_par *par) {
  if (par->staging) return EF_OK;
  size_t size = (size_t)par->size, members = (size_t)(leads(par) ? par->nodes.members : 1);
  EF_TRY(EF_NEW(par->staging, 1));
  EF_TRY(EF_NEW(par->staging->sizes, members * 2 * size));
  EF_TRY(EF_NEW(par->staging->cursor, members));
  return EF_NEW(par->staging->pairs, size);
}

static ef_status grow(char **block, size_t *bytes, size_t wanted) {
  if (wanted <= *bytes) return EF_OK;
  ef_free(*block);
  *bytes = 0;
  EF_TRY(EF_NEW(*block, wanted));
  *bytes = wanted;
  return EF_OK;
}

ef_status ef_swap_reserve(ef_par *par, size_t rank_bytes, size_t node_bytes) {
  EF_TRY(create(par));
  EF_TRY(grow(&par->staging->own, &par->staging->own_bytes, rank_bytes));
  return leads(par) ? grow(&par->staging->node, &par->staging->node_bytes, 2 * node_bytes) : EF_OK;
}

/* ---- out ----------------------------------------------------------------------------------------------- */

static size_t pack(const ef_par *par, const ef_pair *pairs, char *out) {
  size_t done = 0;
  for (int i = 0; i < par->size; i++) {
    int r = par->nodes.order[i];
    if (is_near(par, r) || pairs[r].send_bytes == 0) continue;
    memcpy(out + done, pairs[r].send, pairs[r].send_bytes);
    done += pairs[r].send_bytes;
  }
  return done;
}

static void fill_sizes(const ef_par *par, const ef_pair *pairs, int64_t *sizes) {
  for (int r = 0; r < par->size; r++) {
    bool far = !is_near(par, r);
    sizes[r] = far ? (int64_t)pairs[r].send_bytes : 0;
    sizes[par->size + r] = far ? (int64_t)pairs[r].recv_bytes : 0;
  }
}

static size_t sum(size_t count, const int64_t *sizes) {
  size_t all = 0;
  for (size_t i = 0; i < count; i++) all += (size_t)sizes[i];
  return all;
}

/* The leader's rows of sizes and, one member behind the other, their data. Its end. */
static ef_status gather(ef_par *par, size_t *end) {
  ef_staging *s = par->staging;
  size_t size = (size_t)par->size;
  *end = 0;
  for (int m = 0; m < par->nodes.members; m++) {
    int64_t *row = s->sizes + (size_t)m * 2 * size;
    if (m > 0) EF_TRY(ef_recv(par, member(par, m), EF_TAG_NODE_SIZES, row, 2 * size * sizeof *row));
    size_t bytes = sum(size, row);
    s->cursor[m] = *end;
    if (m == 0) memcpy(s->node, s->own, bytes);
    if (m > 0) EF_TRY(ef_recv(par, member(par, m), EF_TAG_NODE_UP, s->node + *end, bytes));
    *end += bytes;
  }
  return EF_OK;
}

/* One message to and one from the leader of the node whose ranks begin at order[first]; how many they are. */
static int arrange(ef_par *par, int first, char **out, char **in) {
  ef_staging *s = par->staging;
  size_t size = (size_t)par->size;
  int leader = par->nodes.order[first], count = 0;
  while (first + count < par->size && par->nodes.leader[par->nodes.order[first + count]] == leader) count++;
  ef_pair *pair = &s->pairs[leader];
  *pair = (ef_pair){.send = *out, .recv = *in};
  for (int m = 0; m < par->nodes.members; m++) {
    const int64_t *row = s->sizes + (size_t)m * 2 * size;
    for (int i = first; i < first + count; i++) {
      size_t bytes = (size_t)row[par->nodes.order[i]];
      memcpy(*out, s->node + s->cursor[m], bytes);
      s->cursor[m] += bytes;
      *out += bytes;
      pair->send_bytes += bytes;
      pair->recv_bytes += (size_t)row[size + (size_t)par->nodes.order[i]];
    }
  }
  *in += pair->recv_bytes;
  return count;
}

static ef_status lead(ef_par *par) {
  size_t up;
  EF_TRY(gather(par, &up));
  char *out = par->staging->node + up, *in = par->staging->node + 2 * up;
  for (int i = 0; i < par->size;) {
    int r = par->nodes.order[i];
    i += is_near(par, r) ? par->nodes.members : arrange(par, i, &out, &in);
  }
  return EF_OK;
}

ef_status ef_by_node_begin(ef_par *par, int tag, const ef_pair *pairs) {
  ef_staging *s = par->staging;
  size_t bytes = pack(par, pairs, s->own), row = 2 * (size_t)par->size * sizeof *s->sizes;
  int leader = par->nodes.leader[par->rank];
  fill_sizes(par, pairs, s->sizes);
  for (int r = 0; r < par->size; r++) s->pairs[r] = is_near(par, r) ? pairs[r] : (ef_pair){0};
  if (leads(par)) {
    EF_TRY(lead(par));
  } else {
    EF_TRY(ef_send(par, leader, EF_TAG_NODE_SIZES, s->sizes, row));
    EF_TRY(ef_send(par, leader, EF_TAG_NODE_UP, s->own, bytes));
  }
  return ef_pairwise_begin(par, tag, s->pairs);
}

/* ---- in ------------------------------------------------------------------------------------------------ */

static void unpack(const ef_par *par, const ef_pair *pairs, const char *in) {
  for (int i = 0; i < par->size; i++) {
    int r = par->nodes.order[i];
    if (is_near(par, r) || pairs[r].recv_bytes == 0) continue;
    memcpy(pairs[r].recv, in, pairs[r].recv_bytes);
    in += pairs[r].recv_bytes;
  }
}

/* Sorts what came from all nodes by the rank that it is for, each at its cursor behind `down`. */
static void sort(ef_par *par, const char *in, char *down) {
  ef_staging *s = par->staging;
  size_t size = (size_t)par->size;
  for (int i = 0; i < par->size; i++) {
    int from = par->nodes.order[i];
    for (int m = 0; m < par->nodes.members && !is_near(par, from); m++) {
      size_t bytes = (size_t)s->sizes[((size_t)m * 2 + 1) * size + (size_t)from];
      memcpy(down + s->cursor[m], in, bytes);
      s->cursor[m] += bytes;
      in += bytes;
    }
  }
}

static ef_status hand_on(ef_par *par, const ef_pair *pairs) {
  ef_staging *s = par->staging;
  size_t size = (size_t)par->size, up = 0, come = 0;
  for (int m = 0; m < par->nodes.members; m++) {
    const int64_t *row = s->sizes + (size_t)m * 2 * size;
    s->cursor[m] = come;
    up += sum(size, row);
    come += sum(size, row + size);
  }
  char *in = s->node + 2 * up, *down = in + come;
  sort(par, in, down);
  for (int m = 0; m < par->nodes.members; m++) {
    size_t bytes = sum(size, s->sizes + ((size_t)m * 2 + 1) * size);
    if (m == 0) unpack(par, pairs, down);
    if (m > 0) EF_TRY(ef_send(par, member(par, m), EF_TAG_NODE_DOWN, down + s->cursor[m] - bytes, bytes));
  }
  return EF_OK;
}

ef_status ef_by_node_end(ef_par *par, int tag, const ef_pair *pairs) {
  ef_staging *s = par->staging;
  size_t size = (size_t)par->size;
  EF_TRY(ef_pairwise_end(par, tag, s->pairs));
  if (leads(par)) return hand_on(par, pairs);
  EF_TRY(ef_recv(par, par->nodes.leader[par->rank], EF_TAG_NODE_DOWN, s->own, sum(size, s->sizes + size)));
  unpack(par, pairs, s->own);
  return EF_OK;
}
