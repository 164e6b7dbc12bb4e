#include "doctor/exchange.h"

#include "base/clock.h"
#include "base/memory.h"
#include "par/tags.h"

/* Words of a pair's block: above what MPI sends eagerly, and little in all on many ranks. */
enum { MOST_WORDS = 16384, LEAST_WORDS = 512, WORDS_IN_ALL = 1 << 22 };

static uint64_t value(int from, int to, size_t i) {
  return ((uint64_t)from << 40 | (uint64_t)to << 20 | i) * 0x9E3779B97F4A7C15u;
}

static size_t words_of(const ef_par *par) {
  size_t words = WORDS_IN_ALL / (size_t)par->size;
  return words > MOST_WORDS ? MOST_WORDS : words < LEAST_WORDS ? LEAST_WORDS : words;
}

static void fill(const ef_par *par, size_t words, uint64_t *out, uint64_t *in, ef_pair *pairs) {
  for (int r = 0; r < par->size; r++) {
    uint64_t *block = out + (size_t)r * words;
    for (size_t i = 0; i < words; i++) block[i] = value(par->rank, r, i);
    pairs[r] = (ef_pair){.send = block,
                         .recv = in + (size_t)r * words,
                         .send_bytes = words * sizeof *out,
                         .recv_bytes = words * sizeof *in};
  }
}

/* Words from other ranks that are not what was sent. */
static size_t count_wrong(const ef_par *par, size_t words, const uint64_t *in) {
  size_t wrong = 0;
  for (int r = 0; r < par->size; r++) {
    if (r == par->rank) continue;
    for (size_t i = 0; i < words; i++) wrong += in[(size_t)r * words + i] != value(r, par->rank, i);
  }
  return wrong;
}

static void report(const ef_par *par, size_t words, const int64_t *wrong, double seconds, ef_diagnosis *d) {
  static const char name[] = "exchange";
  for (int r = 0; r < par->size; r++) {
    if (wrong[r] == 0) continue;
    ef_diagnosis_add(d, EF_HEALTH_FAIL, name,
                     "network or its driver: try another, as OMPI_MCA_btl=self,vader,tcp OMPI_MCA_pml=ob1",
                     "rank %d received %lld wrong values", r, (long long)wrong[r]);
    return;
  }
  ef_diagnosis_add(d, EF_HEALTH_OK, name, "", "%d ranks, %zu bytes for each pair, every value right, %.1f ms",
                   par->size, words * sizeof(uint64_t), 1e3 * seconds);
}

ef_status ef_check_exchange(ef_par *par, ef_diagnosis *d) {
  if (par->size == 1) return EF_OK;
  size_t words = words_of(par), ranks = (size_t)par->size;
  uint64_t *out = NULL, *in = NULL;
  int64_t *wrong = NULL;
  ef_pair *pairs = NULL;
  ef_status status = EF_NEW(out, ranks * words);
  if (status == EF_OK) status = EF_NEW(in, ranks * words);
  if (status == EF_OK) status = EF_NEW(pairs, ranks);
  if (status == EF_OK) status = EF_NEW(wrong, ranks);
  EF_GO(ef_agree(par, status));
  EF_ASSERT(out && in && pairs && wrong);
  fill(par, words, out, in, pairs);
  double started = ef_clock();
  EF_GO(ef_swap_begin(par, EF_PAIRWISE, EF_TAG_DOCTOR, pairs));
  EF_GO(ef_swap_end(par, EF_PAIRWISE, EF_TAG_DOCTOR, pairs));
  double seconds = ef_clock() - started;
  int64_t mine = (int64_t)count_wrong(par, words, in);
  EF_GO(ef_allgather_i64(par, &mine, 1, wrong));
  if (ef_par_root(par)) report(par, words, wrong, seconds, d);
done:
  ef_free(wrong);
  ef_free(pairs);
  ef_free(in);
  ef_free(out);
  return status;
}
