#include "doctor/ranks.h"

#include "base/memory.h"
#include "doctor/cgroup.h"
#include "kernels/blas/threads.h"
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(ef_place_facts) % sizeof(int64_t) == 0, "facts travel as whole numbers");

enum { PROC_BYTES = 8192 };

/* The beginning of a file of the kernel, which has no size; "" if it cannot be read. */
static void read_proc(const char *path, char text[PROC_BYTES]) {
  FILE *file = fopen(path, "r");
  size_t n = file ? fread(text, 1, PROC_BYTES - 1, file) : 0;
  if (file) fclose(file);
  text[n] = '\0';
}

static void read_cpus(ef_place_facts *facts) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return;
  for (size_t cpu = 0; cpu < 64 * EF_CPU_WORDS && cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &set))
      facts->cpus[cpu / 64] = (int64_t)((uint64_t)facts->cpus[cpu / 64] | (uint64_t)1 << (cpu % 64));
  }
}

/* "MemTotal:  123 kB" in bytes. */
static int64_t meminfo(const char *text, const char *key) {
  const char *line = strstr(text, key);
  long long kilobytes;
  return line && sscanf(line + strlen(key), ": %lld", &kilobytes) == 1 ? kilobytes * 1024 : 0;
}

static void read_memory(ef_place_facts *facts, const ef_cgroup *group) {
  char text[PROC_BYTES];
  read_proc("/proc/meminfo", text);
  facts->memory_total = meminfo(text, "MemTotal");
  facts->memory_free = meminfo(text, "MemAvailable");
  ef_cgroup_memory memory = ef_cgroup_memory_of(group);
  if (memory.limit == 0) return;
  int64_t left = (int64_t)(memory.limit > memory.used ? memory.limit - memory.used : 0);
  if ((int64_t)memory.limit < facts->memory_total) facts->memory_total = (int64_t)memory.limit;
  if (left < facts->memory_free) facts->memory_free = left;
}

static void read_facts(const ef_par_about *about, ef_place_facts *facts) {
  char text[PROC_BYTES];
  ef_cgroup group = {.mount = "/sys/fs/cgroup", .self = text};
  *facts = (ef_place_facts){.node = about->node, .threads = ef_blas_threads()};
  memcpy(facts->host, about->host, EF_HOST_BYTES);
  read_cpus(facts);
  read_proc("/proc/self/cgroup", text);
  facts->quota_milli = (int64_t)(1000.0 * ef_cgroup_cores(&group));
  read_memory(facts, &group);
}

ef_status ef_places_gather(ef_par *par, const ef_par_about *about, ef_places *places) {
  ef_place_facts mine;
  read_facts(about, &mine);
  *places = (ef_places){.ranks = par->size};
  EF_TRY(ef_agree(par, EF_NEW(places->of, (size_t)par->size)));
  return ef_allgather_i64(par, (const int64_t *)&mine, sizeof mine / sizeof(int64_t), (int64_t *)places->of);
}

void ef_places_free(ef_places *places) {
  ef_free(places->of);
  *places = (ef_places){0};
}

static int count_bits(const int64_t *words) {
  int count = 0;
  for (int w = 0; w < EF_CPU_WORDS; w++) count += __builtin_popcountll((unsigned long long)words[w]);
  return count;
}

ef_node_sum ef_node_sum_of(const ef_places *places, int first) {
  const ef_place_facts *f = &places->of[first];
  ef_node_sum sum = {.host = (const char *)f->host,
                     .memory_total = (uint64_t)f->memory_total,
                     .memory_free = (uint64_t)f->memory_free};
  int64_t all[EF_CPU_WORDS] = {0}, quota = 0;
  for (int r = first; r < places->ranks; r++) {
    f = &places->of[r];
    if (f->node != first) continue;
    sum.ranks++;
    sum.narrow += f->threads > count_bits(f->cpus);
    if (f->threads > sum.threads) sum.threads = (int)f->threads;
    if (f->quota_milli > quota) quota = f->quota_milli;
    for (int w = 0; w < EF_CPU_WORDS; w++) all[w] = (int64_t)((uint64_t)all[w] | (uint64_t)f->cpus[w]);
  }
  sum.processors = count_bits(all);
  sum.cores = sum.processors;
  if (quota > 0 && (double)quota / 1000.0 < sum.cores) sum.cores = (double)quota / 1000.0;
  return sum;
}

int ef_places_nodes(const ef_places *places) {
  int nodes = 0;
  for (int r = 0; r < places->ranks; r++) nodes += places->of[r].node == r;
  return nodes;
}
