/* Limits of control groups, from folders as the kernel shows them. */
#include "test_cli.h"

#include "base/file.h"
#include "doctor/cgroup.h"
#include <string.h>

static char mount[PATH / 2];
static void set_up(void) { test_make_folder(mount, sizeof mount); }
static void tear_down(void) { test_remove_folder(mount); }
TestSuite(cgroup, .init = set_up, .fini = tear_down);

static void put(const char *group, const char *name, const char *text) {
  char path[2 * PATH];
  snprintf(path, sizeof path, "%s/%s", mount, group);
  cr_assert_eq(ef_folder_make(path), EF_OK);
  snprintf(path, sizeof path, "%s/%s/%s", mount, group, name);
  cr_assert_eq(ef_file_write(path, text, strlen(text)), EF_OK);
}

static double cores(const char *self) {
  ef_cgroup group = {mount, self};
  return ef_cgroup_cores(&group);
}

static ef_cgroup_memory memory(const char *self) {
  ef_cgroup group = {mount, self};
  return ef_cgroup_memory_of(&group);
}

Test(cgroup, none) {
  cr_expect_eq(cores(""), 0.0);
  cr_expect_eq(cores("0::/\n"), 0.0);
  cr_expect_eq(cores("nonsense"), 0.0);
  cr_expect_eq(memory("0::/a\n").limit, 0u);
}

Test(cgroup, version_2_the_least_on_the_way_up) {
  put("job/step", "cpu.max", "max 100000\n");
  put("job", "cpu.max", "150000 100000\n");
  cr_expect_eq(cores("0::/job/step\n"), 1.5);
  cr_expect_eq(cores("0::/job/step/task_0\n"), 1.5, "a folder that is not seen is passed over");
  cr_expect_eq(cores("0::/\n"), 0.0);
  put(".", "cpu.max", "50000 100000\n");
  cr_expect_eq(cores("0::/job/step\n"), 0.5);
  put("job/step", "memory.max", "max\n");
  cr_expect_eq(memory("0::/job/step\n").limit, 0u);
  put("job/step", "memory.max", "4000\n");
  put("job/step", "memory.current", "1000\n");
  put("job", "memory.max", "9000\n"); /* larger, but less is left of it */
  put("job", "memory.current", "7000\n");
  ef_cgroup_memory m = memory("0::/job/step\n");
  cr_expect(m.limit == 9000 && m.used == 7000);
}

Test(cgroup, version_1_beside_an_empty_version_2) {
  static const char self[] = "12:pids:/x\n4:cpuacct,cpu:/slurm/job\n3:memory:/slurm\n0::/init\n";
  put("cpu/slurm/job", "cpu.cfs_quota_us", "200000\n");
  put("cpu/slurm/job", "cpu.cfs_period_us", "50000\n");
  cr_expect_eq(cores(self), 4.0);
  put("cpu/slurm", "cpu.cfs_quota_us", "-1\n"); /* no limit */
  put("cpu/slurm", "cpu.cfs_period_us", "100000\n");
  cr_expect_eq(cores(self), 4.0);
  put("memory", "memory.limit_in_bytes", "9223372036854771712\n"); /* no limit */
  cr_expect_eq(memory(self).limit, 0u);
  put("memory/slurm", "memory.limit_in_bytes", "1048576\n");
  put("memory/slurm", "memory.usage_in_bytes", "48576\n");
  ef_cgroup_memory m = memory(self);
  cr_expect(m.limit == 1048576 && m.used == 48576);
}
