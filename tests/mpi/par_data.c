/* Agreement, broadcast, gather, point to point and swap, with and without split messages. */
#include "base/memory.h"
#include "par/par.h"
#include "par/stop.h"
#include "support/mpi_test.h"
#include <stdio.h>
#include <string.h>

static ef_par par;

static uint8_t byte_of(int from, int to, size_t i) {
  return (uint8_t)(i * 7 + (size_t)from * 31 + (size_t)to * 101 + 3);
}

static bool all_ok(ef_status status) { return mpi_all(status == EF_OK) != 0; }

MPI_TEST(par, agreement) {
  cr_assert(all_ok(ef_par_start(NULL, NULL, &par)));
  cr_assert(all_ok(ef_agree(&par, EF_OK)));
  int last = par.size - 1;
  ef_status mine = par.rank >= last ? ef_fail(EF_INPUT, "here.c", 7, "no tokens on %d", par.rank) : EF_OK;
  ef_status all = ef_agree(&par, mine);
  char expected[64];
  int n = par.size == 1 ? 0 : snprintf(expected, sizeof expected, "rank %d: ", last);
  snprintf(expected + n, sizeof expected - (size_t)n, "no tokens on %d", last);
  cr_assert(mpi_all(all == EF_INPUT && strcmp(ef_message(), expected) == 0), "%s", ef_message());
  cr_assert(mpi_all(strcmp(ef_message_place(), "here.c:7") == 0));
  all = ef_agree(&par, ef_fail(EF_DECK, "deck.c", 1, "same everywhere"));
  cr_assert(mpi_all(all == EF_DECK && strcmp(ef_message(), "same everywhere") == 0), "%s", ef_message());
  bool any = false;
  cr_assert(all_ok(ef_any(&par, par.rank == last, &any)));
  cr_assert(mpi_all(any));
  cr_assert(all_ok(ef_any(&par, false, &any)));
  cr_assert(mpi_all(!any));
  cr_assert(all_ok(ef_barrier(&par)));
  ef_par_finish(&par);
}

static bool block_arrives(int from, size_t bytes) {
  char *data = NULL;
  size_t got = bytes;
  if (par.rank == from) {
    data = ef_alloc(bytes, 1);
    for (size_t i = 0; i < bytes; i++) data[i] = (char)byte_of(from, 0, i);
  } else {
    got = 0;
  }
  void *block = data;
  bool ok = ef_bcast_block(&par, from, &block, &got) == EF_OK && got == bytes;
  for (size_t i = 0; ok && i < bytes; i++) ok = ((char *)block)[i] == (char)byte_of(from, 0, i);
  ef_free(block);
  return ok;
}

/* A ring: every rank sends 100 bytes to the next. */
static bool ring_works(void) {
  uint8_t out[100], in[100] = {0};
  int next = (par.rank + 1) % par.size, before = (par.rank + par.size - 1) % par.size;
  for (size_t i = 0; i < sizeof out; i++) out[i] = byte_of(par.rank, next, i);
  if (par.size == 1) return true;
  bool ok = par.rank != 0 || ef_send(&par, next, 5, out, sizeof out) == EF_OK;
  ok = ok && ef_recv(&par, before, 5, in, sizeof in) == EF_OK;
  ok = ok && (par.rank == 0 || ef_send(&par, next, 5, out, sizeof out) == EF_OK);
  for (size_t i = 0; ok && i < sizeof in; i++) ok = in[i] == byte_of(before, par.rank, i);
  return ok;
}

static bool gathers(size_t count) {
  int64_t mine[8], all[4 * 8];
  double mine_f[8], all_f[4 * 8];
  for (size_t i = 0; i < count; i++) {
    mine[i] = (int64_t)i - 1000 * par.rank;
    mine_f[i] = (double)mine[i] / 3.0;
  }
  bool ok = ef_allgather_i64(&par, mine, count, all) == EF_OK &&
            ef_allgather_f64(&par, mine_f, count, all_f) == EF_OK;
  for (int r = 0; ok && r < par.size; r++) {
    for (size_t i = 0; ok && i < count; i++) {
      int64_t expected = (int64_t)i - 1000 * r;
      size_t at = (size_t)r * count + i;
      ok = all[at] == expected && all_f[at] == (double)expected / 3.0;
    }
  }
  return ok;
}

/* Rank a sends a*13 + b*5 bytes to rank b, nothing if that is divisible by three. */
static size_t swapped(int a, int b) {
  size_t n = (size_t)(a * 13 + b * 5);
  return n % 3 == 0 ? 0 : n;
}

static bool swaps(ef_route route) {
  static uint8_t out[4][64], in[4][64];
  ef_pair pairs[4];
  for (int r = 0; r < par.size; r++) {
    pairs[r] = (ef_pair){out[r], in[r], swapped(par.rank, r), swapped(r, par.rank)};
    for (size_t i = 0; i < 64; i++) {
      out[r][i] = byte_of(par.rank, r, i);
      in[r][i] = 0xEE;
    }
  }
  if (ef_swap_begin(&par, route, 9, pairs) != EF_OK || ef_swap_end(&par, route, 9, pairs) != EF_OK)
    return false;
  for (int r = 0; r < par.size; r++) {
    for (size_t i = 0; i < 64; i++) {
      bool comes = r != par.rank && i < swapped(r, par.rank);
      if (in[r][i] != (comes ? byte_of(r, par.rank, i) : 0xEE)) return false;
    }
  }
  return true;
}

/* Nodes of one rank to nodes of all of them. */
static bool swaps_by_all_routes(void) {
  bool ok = swaps(EF_PAIRWISE) && swaps(EF_VECTOR);
  for (int ranks = 1; ranks <= par.size; ranks++) {
    ef_par_set_nodes(&par, ranks);
    ok = mpi_all(ok && ef_swap_reserve(&par, 4 * 64, 4 * 2 * 4 * 64) == EF_OK) && swaps(EF_BY_NODE);
  }
  return ok;
}

/* What each call hands to MPI for others; a rank alone sends nothing and waits for none. */
static bool counts_traffic(void) {
  uint64_t others = (uint64_t)par.size - 1, bytes = (par.rank == 0 ? 100 * others : 0) + 3 * 8 * others;
  for (int r = 0; r < par.size; r++) bytes += r == par.rank ? 0 : swapped(par.rank, r);
  ef_traffic before = par.traffic;
  uint8_t block[100] = {0};
  int64_t mine[3] = {0}, all[3 * 4];
  bool ok = ef_bcast(&par, 0, block, sizeof block) == EF_OK &&
            ef_allgather_i64(&par, mine, 3, all) == EF_OK && swaps(EF_PAIRWISE) && ef_barrier(&par) == EF_OK;
  ef_traffic t = ef_traffic_since(&par, &before);
  bool timed = par.size == 1 ? t.wait_seconds == 0.0 : t.wait_seconds > 0.0 && t.exchange_seconds > 0.0;
  return ok && timed && t.bytes == bytes;
}

MPI_TEST(par, data) {
  cr_assert(all_ok(ef_par_start(NULL, NULL, &par)));
  size_t before = ef_memory_blocks();
  const size_t chunks[] = {1 << 20, 64, 7, 1};
  for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
    ef_par_set_chunk(&par, chunks[c]);
    for (int from = 0; from < par.size; from++) {
      cr_assert(mpi_all(block_arrives(from, 0)));
      cr_assert(mpi_all(block_arrives(from, 1000)));
    }
    cr_assert(mpi_all(ring_works()), "chunk %zu", chunks[c]);
    cr_assert(mpi_all(gathers(0) && gathers(1) && gathers(8)), "chunk %zu", chunks[c]);
    cr_assert(mpi_all(swaps_by_all_routes()), "chunk %zu", chunks[c]);
    cr_assert(mpi_all(counts_traffic()), "chunk %zu", chunks[c]);
  }
  ef_par_set_nodes(&par, par.size); /* which drops the room for two levels */
  cr_assert(mpi_all(ef_memory_blocks() == before));
  ef_par_finish(&par);
}

MPI_TEST(par, stop_of_one_stops_all) {
  cr_assert(all_ok(ef_par_start(NULL, NULL, &par)));
  ef_stop stop;
  bool now = true;
  cr_assert(all_ok(ef_stop_setup(&stop, NULL, 0.0)));
  cr_assert(all_ok(ef_stop_now(&stop, &par, &now)));
  cr_assert(mpi_all(!now));
  if (par.rank == par.size - 1) raise(SIGUSR1);
  cr_assert(all_ok(ef_stop_now(&stop, &par, &now)));
  cr_assert(mpi_all(now && strcmp(ef_stop_reason(&stop), "SIGUSR1") == 0));
  ef_par_finish(&par);
}
