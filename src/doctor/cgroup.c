#include "doctor/cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

/* Above this a limit of memory stands for none: version 1 writes the largest multiple of a page. */
static const uint64_t NO_LIMIT = (uint64_t)1 << 60;

/* True if the comma-separated list `names` holds `name`. */
static bool lists(const char *names, size_t length, const char *name) {
  size_t n = strlen(name);
  for (size_t at = 0; at < length;) {
    size_t word = strcspn(names + at, ",:");
    if (word == n && strncmp(names + at, name, n) == 0) return true;
    at += word + 1;
  }
  return false;
}

/* The folder of this process's group for a controller: version 1 if it is mounted so, else version 2. `root`
 * is the length of the mount's part. False: there is none. */
static bool folder_of(const ef_cgroup *group, const char *controller, char *folder, size_t *root, bool *v1) {
  bool found = false;
  for (const char *line = group->self; line && *line;) {
    const char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
    size_t end = strcspn(line, "\n");
    if (path && path < line + end) {
      size_t length = (size_t)(path - names) - 1;
      bool old = lists(names + 1, length, controller);
      if (old || (length == 0 && !found)) {
        int n = old ? snprintf(folder, PATH_BYTES, "%s/%s", group->mount, controller)
                    : snprintf(folder, PATH_BYTES, "%s", group->mount);
        if (n < 0 || n >= PATH_BYTES) return false;
        *root = (size_t)n;
        snprintf(folder + n, PATH_BYTES - (size_t)n, "%.*s", (int)(line + end - path - 1), path + 1);
        found = true;
        *v1 = old;
        if (old) return true;
      }
    }
    line += end + (line[end] == '\n');
  }
  return found;
}

/* One folder up; false at the root. */
static bool up(char *folder, size_t root) {
  size_t n = strlen(folder);
  if (n <= root) return false;
  while (n > root && folder[n - 1] != '/') n--;
  if (n > root) n--;
  folder[n] = '\0';
  return true;
}

/* First words of FOLDER/NAME; false if it cannot be read. */
static bool read_words(const char *folder, const char *name, char *words, size_t size) {
  char path[PATH_BYTES + 64];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "r");
  if (!file) return false;
  bool any = fgets(words, (int)size, file) != NULL;
  fclose(file);
  return any;
}

static bool read_number(const char *folder, const char *name, uint64_t *value) {
  char words[64];
  unsigned long long number;
  if (!read_words(folder, name, words, sizeof words) || sscanf(words, "%llu", &number) != 1) return false;
  *value = number;
  return true;
}

/* Quota and period of one group; 0: no limit. */
static double cores_of(const char *folder, bool v1) {
  char words[64];
  double quota = 0.0, period = 0.0;
  if (v1) {
    if (!read_words(folder, "cpu.cfs_quota_us", words, sizeof words) || sscanf(words, "%lf", &quota) != 1)
      return 0.0;
    if (!read_words(folder, "cpu.cfs_period_us", words, sizeof words) || sscanf(words, "%lf", &period) != 1)
      return 0.0;
  } else if (!read_words(folder, "cpu.max", words, sizeof words) ||
             sscanf(words, "%lf %lf", &quota, &period) != 2) {
    return 0.0;
  }
  return quota > 0.0 && period > 0.0 ? quota / period : 0.0;
}

double ef_cgroup_cores(const ef_cgroup *group) {
  char folder[PATH_BYTES];
  size_t root;
  bool v1;
  double least = 0.0;
  if (!folder_of(group, "cpu", folder, &root, &v1)) return 0.0;
  do {
    double cores = cores_of(folder, v1);
    if (cores > 0.0 && (least == 0.0 || cores < least)) least = cores;
  } while (up(folder, root));
  return least;
}

ef_cgroup_memory ef_cgroup_memory_of(const ef_cgroup *group) {
  char folder[PATH_BYTES];
  size_t root;
  bool v1;
  ef_cgroup_memory least = {0};
  if (!folder_of(group, "memory", folder, &root, &v1)) return least;
  uint64_t left = UINT64_MAX;
  do {
    uint64_t limit, used = 0;
    if (!read_number(folder, v1 ? "memory.limit_in_bytes" : "memory.max", &limit) || limit >= NO_LIMIT)
      continue;
    read_number(folder, v1 ? "memory.usage_in_bytes" : "memory.current", &used);
    uint64_t rest = limit > used ? limit - used : 0;
    if (rest >= left) continue;
    left = rest;
    least = (ef_cgroup_memory){limit, used};
  } while (up(folder, root));
  return least;
}
