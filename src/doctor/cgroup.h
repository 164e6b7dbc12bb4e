/* Limits of the control groups that this process is in, of version 1 and 2: the least on the way from its own
 * group to the root of the mount.
 */
#pragma once

#include <stdint.h>

/* Where control groups are seen, and the text of /proc/self/cgroup. Tests give folders of their own. */
typedef struct ef_cgroup {
  const char *mount; /* "/sys/fs/cgroup" */
  const char *self;  /* lines "hierarchy:controllers:path" */
} ef_cgroup;

/* CPUs' worth of time, from cpu.max or cpu.cfs_quota_us; 0: no limit. Local. */
double ef_cgroup_cores(const ef_cgroup *group);

typedef struct ef_cgroup_memory {
  uint64_t limit, used; /* bytes; limit 0: none, and used is then 0 */
} ef_cgroup_memory;

/* The limit that leaves least. File pages that can be dropped count as used. Local. */
ef_cgroup_memory ef_cgroup_memory_of(const ef_cgroup *group);
