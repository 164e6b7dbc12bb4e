#include "doctor/cores.h"

#include "doctor/launch.h"
#include <string.h>

/* Threads that want to compute at once, for each core. */
static double crowd(const ef_node_sum *node) {
  return node->cores > 0.0 ? node->ranks * node->threads / node->cores : 0.0;
}

static ef_node_sum most_crowded(const ef_places *places) {
  ef_node_sum worst = ef_node_sum_of(places, 0);
  for (int r = 1; r < places->ranks; r++) {
    if (places->of[r].node != r) continue;
    ef_node_sum node = ef_node_sum_of(places, r);
    if (node.narrow > worst.narrow || (node.narrow == worst.narrow && crowd(&node) > crowd(&worst)))
      worst = node;
  }
  return worst;
}

void ef_check_cores(const ef_places *places, ef_diagnosis *d) {
  static const char name[] = "cores";
  ef_node_sum n = most_crowded(places);
  char what[256];
  snprintf(what, sizeof what, "%s: %d rank%s x %d BLAS thread%s on %.4g core%s", n.host, n.ranks,
           n.ranks == 1 ? "" : "s", n.threads, n.threads == 1 ? "" : "s", n.cores, n.cores == 1.0 ? "" : "s");
  if (n.cores < n.processors)
    snprintf(what + strlen(what), sizeof what - strlen(what), " (control group: %.4g of %d)", n.cores,
             n.processors);
  if (n.threads > 1 && n.narrow > 0) {
    ef_diagnosis_add(d, EF_HEALTH_FAIL, name,
                     "export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1, or start with --bind-to none",
                     "%s; %d of the ranks are bound to fewer cores than they have threads", what, n.narrow);
  } else if (crowd(&n) > 1.0 && n.threads > 1) {
    ef_diagnosis_add(d, EF_HEALTH_FAIL, name, "export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1", "%s", what);
  } else if (crowd(&n) > 1.0) {
    ef_diagnosis_add(d, EF_HEALTH_WARN, name,
                     "as many ranks as cores are fastest; if they are as many, two jobs share the cores: "
                     "--bind-to none",
                     "%s: more ranks than cores", what);
  } else {
    ef_diagnosis_add(d, EF_HEALTH_OK, name, "", "%s", what);
  }
}

/* The first of the variables that OpenBLAS reads whose value is no count of threads, or is not the count in
 * use; NULL: none. */
static const char *odd_variable(int threads, const char *(*env)(const char *name), bool *senseless) {
  static const char *const names[] = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"};
  const char *odd = NULL;
  *senseless = false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *text = env(names[i]);
    if (!text) continue;
    if (ef_env_int(text) < 1) {
      *senseless = true;
      return names[i];
    }
    if (!odd && ef_env_int(text) != threads) odd = names[i];
  }
  return odd;
}

void ef_check_blas(const char *flavour, int threads, const char *(*env)(const char *name), ef_diagnosis *d) {
  static const char name[] = "BLAS threads";
  bool senseless;
  const char *odd = odd_variable(threads, env, &senseless);
  if (senseless) {
    ef_diagnosis_add(d, EF_HEALTH_WARN, name, "set it to 1",
                     "%s=%s is no number of threads; OpenBLAS (%s) uses %d", odd, env(odd), flavour, threads);
  } else if (odd && strcmp(flavour, "serial") == 0) {
    ef_diagnosis_add(d, EF_HEALTH_WARN, name, "set it to 1, for the day when another OpenBLAS is installed",
                     "%s=%s has no effect: OpenBLAS is serial", odd, env(odd));
  } else if (threads > 1) {
    ef_diagnosis_add(
        d, EF_HEALTH_WARN, name,
        "export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1; another count of threads may give other "
        "last bits",
        "OpenBLAS (%s) uses %d in each rank", flavour, threads);
  } else {
    ef_diagnosis_add(d, EF_HEALTH_OK, name, "", "OpenBLAS (%s) uses %d", flavour, threads);
  }
}

static double left(const ef_node_sum *node, uint64_t rank_bytes) {
  return (double)node->memory_free - (double)rank_bytes * node->ranks;
}

void ef_check_memory(const ef_places *places, uint64_t rank_bytes, ef_diagnosis *d) {
  static const char name[] = "memory";
  ef_node_sum least = ef_node_sum_of(places, 0);
  for (int r = 1; r < places->ranks; r++) {
    if (places->of[r].node != r) continue;
    ef_node_sum node = ef_node_sum_of(places, r);
    if (left(&node, rank_bytes) < left(&least, rank_bytes)) least = node;
  }
  double free_mb = (double)least.memory_free / 1e6, total_mb = (double)least.memory_total / 1e6;
  if (rank_bytes == 0) {
    ef_diagnosis_add(d, EF_HEALTH_OK, name, "", "%s: %.0f of %.0f MB free", least.host, free_mb, total_mb);
    return;
  }
  double need = (double)rank_bytes * least.ranks;
  bool never = need > (double)least.memory_total, now = left(&least, rank_bytes) < 0.0;
  ef_diagnosis_add(d,
                   never ? EF_HEALTH_FAIL
                   : now ? EF_HEALTH_WARN
                         : EF_HEALTH_OK,
                   name,
                   never ? "take more nodes or fewer ranks on each"
                   : now ? "other processes hold what is missing: end them, or take fewer ranks"
                         : "",
                   "%s: %d x %.0f MB by the plan, %.0f of %.0f MB free", least.host, least.ranks,
                   (double)rank_bytes / 1e6, free_mb, total_mb);
}
