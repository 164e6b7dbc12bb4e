/* doctor: each verdict from facts made by hand, files that are always removed, a watchdog that barks. */
#include "test_cli.h"

#include "base/file.h"
#include "doctor/cores.h"
#include "doctor/folder.h"
#include "doctor/hdf5.h"
#include "doctor/launch.h"
#include "doctor/watch.h"
#include <dirent.h>
#include <jansson.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- environments ----------------------------------------------------------------------------------------
 */

/* Pairs of name and value, ended by NULL. */
static const char *const *environment;
static const char *look_up(const char *name) {
  for (const char *const *e = environment; *e; e += 2) {
    if (strcmp(e[0], name) == 0) return e[1];
  }
  return NULL;
}

static const ef_symptom *last(const ef_diagnosis *d) { return &d->symptoms[d->count - 1]; }

#define EXPECT(d, wanted, text)                                                                              \
  cr_expect(last(d)->health == (wanted) && strstr(last(d)->found, text), "%s: %s",                           \
            ef_health_name(last(d)->health), last(d)->found)

Test(doctor, launches) {
  static const struct {
    int ranks;
    const char *environment[10];
    bool split, speaks;
    ef_health health;
    const char *found;
  } cases[] = {
      {1, {NULL}, false, true, EF_HEALTH_OK, "1 rank by no launcher on 2 nodes (n1, ...)"},
      {4, {"OMPI_MCA_orte_hnp_uri", "x", NULL}, false, true, EF_HEALTH_OK, "4 ranks by mpirun"},
      /* srun without PMI: four worlds, of which the first speaks */
      {1,
       {"SLURM_NTASKS", "4", "SLURM_STEP_NUM_TASKS", "4", "SLURM_PROCID", "0", NULL},
       true,
       true,
       EF_HEALTH_FAIL,
       "srun started 4 processes, and each is an MPI world of its own"},
      {1,
       {"SLURM_NTASKS", "4", "SLURM_STEP_NUM_TASKS", "4", "SLURM_PROCID", "3", NULL},
       true,
       false,
       EF_HEALTH_FAIL,
       "srun started 4"},
      {4,
       {"SLURM_NTASKS", "4", "SLURM_STEP_NUM_TASKS", "4", "SLURM_PROCID", "3", NULL},
       false,
       true,
       EF_HEALTH_OK,
       "4 ranks by srun"},
      {1, {"SLURM_STEP_NUM_TASKS", "1", NULL}, false, true, EF_HEALTH_OK, "1 rank by srun"},
      /* mpirun in a batch script; on another node its daemon is a step of one task */
      {4, {"OMPI_MCA_orte_hnp_uri", "x", "SLURM_NTASKS", "4", NULL}, false, true, EF_HEALTH_OK, "by mpirun"},
      {2,
       {"OMPI_MCA_orte_hnp_uri", "x", "SLURM_NTASKS", "4", NULL},
       false,
       true,
       EF_HEALTH_WARN,
       "2 ranks by mpirun where Slurm has 4 tasks"},
      {4,
       {"OMPI_MCA_orte_hnp_uri", "x", "SLURM_NTASKS", "1", "SLURM_STEP_NUM_TASKS", "1", NULL},
       false,
       true,
       EF_HEALTH_OK,
       "4 ranks by mpirun"},
      {1,
       {"OMPI_MCA_orte_hnp_uri", "x", "SLURM_STEP_NUM_TASKS", "2", NULL},
       false,
       true,
       EF_HEALTH_OK,
       "1 rank by mpirun"},
      /* mpirun of another MPI */
      {1, {"PMI_SIZE", "2", "PMI_RANK", "1", NULL}, true, false, EF_HEALTH_FAIL, "started 2 processes"},
      {1, {"PMI_SIZE", "2", "PMI_RANK", "0", NULL}, true, true, EF_HEALTH_FAIL, "a process manager"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    ef_diagnosis d = {.silent = true};
    environment = cases[i].environment;
    ef_launch_facts facts = ef_launch_facts_of(cases[i].ranks, look_up);
    cr_expect_eq(ef_launch_split(&facts), cases[i].split, "%zu", i);
    cr_expect_eq(ef_launch_speaks(&facts), cases[i].speaks, "%zu", i);
    ef_check_launch(&facts, 2, "n1", &d);
    cr_expect_eq(last(&d)->health, cases[i].health, "%zu: %s", i, last(&d)->found);
    cr_expect_not_null(strstr(last(&d)->found, cases[i].found), "%zu: %s", i, last(&d)->found);
  }
}

Test(doctor, ranks_by_launcher) {
  static const struct {
    const char *environment[10];
    int procid;
  } cases[] = {
      {{NULL}, -1},
      {{"OMPI_MCA_orte_hnp_uri", "x", "OMPI_COMM_WORLD_RANK", "3", NULL}, 3},
      {{"PRTE_LAUNCHED", "1", "PMIX_RANK", "2", "SLURM_PROCID", "0", NULL}, 2},
      /* mpirun in a batch script, and below its daemon on another node */
      {{"OMPI_MCA_orte_hnp_uri", "x", "OMPI_COMM_WORLD_RANK", "3", "SLURM_PROCID", "0", NULL}, 3},
      {{"SLURM_STEP_NUM_TASKS", "2", "SLURM_PROCID", "1", "OMPI_MCA_orte_hnp_uri", "x",
        "OMPI_COMM_WORLD_RANK", "5", NULL},
       5},
      /* srun, with and without PMIx; what an mpirun further up left behind says nothing */
      {{"SLURM_STEP_NUM_TASKS", "4", "SLURM_PROCID", "2", NULL}, 2},
      {{"SLURM_STEP_NUM_TASKS", "4", "SLURM_PROCID", "2", "PMIX_RANK", "2", NULL}, 2},
      {{"SLURM_STEP_NUM_TASKS", "4", "SLURM_PROCID", "2", "OMPI_COMM_WORLD_RANK", "0", NULL}, 2},
      /* another process manager, alone and in a batch script */
      {{"PMI_SIZE", "2", "PMI_RANK", "1", NULL}, 1},
      {{"PMI_SIZE", "2", "PMI_RANK", "1", "SLURM_PROCID", "0", NULL}, 1},
      {{"SLURM_STEP_NUM_TASKS", "4", "SLURM_PROCID", "3", "PMI_RANK", "1", NULL}, 3},
      {{"PMIX_RANK", "1", "SLURM_PROCID", "0", NULL}, 1},
      {{"SLURM_PROCID", "2", NULL}, 2},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    environment = cases[i].environment;
    cr_expect_eq(ef_launch_facts_of(1, look_up).procid, cases[i].procid, "%zu", i);
  }
}

Test(doctor, numbers_of_variables) {
  cr_expect_eq(ef_env_int("12"), 12);
  static const char *const none[] = {"", "x", "-1", "4x", "2(x3)", " 1", "99999999999"};
  for (size_t i = 0; i < COUNT(none); i++) cr_expect_eq(ef_env_int(none[i]), -1, "%s", none[i]);
  cr_expect_eq(ef_env_int(NULL), -1);
}

Test(doctor, blas_threads) {
  static const struct {
    const char *flavour;
    int threads;
    const char *environment[5];
    ef_health health;
    const char *found;
  } cases[] = {
      {"serial", 1, {NULL}, EF_HEALTH_OK, "OpenBLAS (serial) uses 1"},
      {"pthread", 1, {"OPENBLAS_NUM_THREADS", "1", NULL}, EF_HEALTH_OK, "(pthread) uses 1"},
      {"openmp", 8, {"OMP_NUM_THREADS", "8", NULL}, EF_HEALTH_WARN, "(openmp) uses 8 in each rank"},
      {"serial", 1, {"OMP_NUM_THREADS", "8", NULL}, EF_HEALTH_WARN, "OMP_NUM_THREADS=8 has no effect"},
      {"pthread", 2, {"OPENBLAS_NUM_THREADS", "two", NULL}, EF_HEALTH_WARN, "OPENBLAS_NUM_THREADS=two is no"},
      {"pthread", 2, {"OPENBLAS_NUM_THREADS", "0", NULL}, EF_HEALTH_WARN, "OPENBLAS_NUM_THREADS=0 is no"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    ef_diagnosis d = {.silent = true};
    environment = cases[i].environment;
    ef_check_blas(cases[i].flavour, cases[i].threads, look_up, &d);
    EXPECT(&d, cases[i].health, cases[i].found);
  }
}

/* ---- nodes -----------------------------------------------------------------------------------------------
 */

/* A rank on the node that begins with rank `node`, allowed on the processors of `cpus`. */
static ef_place_facts rank_on(int node, int64_t cpus, int threads, int64_t quota_milli) {
  ef_place_facts f = {.node = node,
                      .cpus = {cpus},
                      .threads = threads,
                      .quota_milli = quota_milli,
                      .memory_total = 1000000000,
                      .memory_free = node == 0 ? 600000000 : 500000000};
  snprintf((char *)f.host, sizeof f.host, "n%d", node);
  return f;
}

#define PLACES(...)                                                                                          \
  ((ef_places){.ranks = (int)COUNT(((ef_place_facts[]){__VA_ARGS__})), .of = (ef_place_facts[]){__VA_ARGS__}})

static ef_diagnosis cores_of(ef_places places) {
  ef_diagnosis d = {.silent = true};
  ef_check_cores(&places, &d);
  return d;
}

Test(doctor, cores) {
  /* two ranks bound to a core each; both on one core; four ranks on two cores */
  ef_diagnosis d = cores_of(PLACES(rank_on(0, 1, 1, 0), rank_on(0, 2, 1, 0)));
  EXPECT(&d, EF_HEALTH_OK, "n0: 2 ranks x 1 BLAS thread on 2 cores");
  d = cores_of(PLACES(rank_on(0, 1, 1, 0), rank_on(0, 1, 1, 0)));
  EXPECT(&d, EF_HEALTH_WARN, "n0: 2 ranks x 1 BLAS thread on 1 core: more ranks than cores");
  /* eight threads in each of two ranks */
  d = cores_of(PLACES(rank_on(0, 3, 8, 0), rank_on(0, 3, 8, 0)));
  EXPECT(&d, EF_HEALTH_FAIL, "2 ranks x 8 BLAS threads on 2 cores");
  /* two threads that are bound to one core, on a node with enough of them */
  d = cores_of(PLACES(rank_on(0, 1, 2, 0), rank_on(0, 0xfe, 2, 0)));
  EXPECT(&d, EF_HEALTH_FAIL, "1 of the ranks are bound");
  /* a control group allows 1.5 of 8 */
  d = cores_of(PLACES(rank_on(0, 0xff, 1, 1500), rank_on(0, 0xff, 1, 1500)));
  EXPECT(&d, EF_HEALTH_WARN, "on 1.5 cores (control group: 1.5 of 8)");
  /* the second node is the crowded one: ranks 2 and 3 */
  d = cores_of(PLACES(rank_on(0, 3, 1, 0), rank_on(0, 3, 1, 0), rank_on(2, 1, 1, 0), rank_on(2, 1, 1, 0)));
  EXPECT(&d, EF_HEALTH_WARN, "n2: 2 ranks x 1 BLAS thread on 1 core");
}

Test(doctor, memory) {
  ef_places places = PLACES(rank_on(0, 1, 1, 0), rank_on(1, 1, 1, 0), rank_on(1, 1, 1, 0));
  static const struct {
    uint64_t bytes;
    ef_health health;
    const char *found;
  } cases[] = {
      {0, EF_HEALTH_OK, "n1: 500 of 1000 MB free"},
      {200000000, EF_HEALTH_OK, "n1: 2 x 200 MB by the plan, 500 of 1000 MB free"},
      {300000000, EF_HEALTH_WARN, "n1: 2 x 300 MB by the plan"},
      {501000000, EF_HEALTH_FAIL, "n1: 2 x 501 MB by the plan"},
  };
  cr_expect_eq(ef_places_nodes(&places), 2);
  for (size_t i = 0; i < COUNT(cases); i++) {
    ef_diagnosis d = {.silent = true};
    ef_check_memory(&places, cases[i].bytes, &d);
    EXPECT(&d, cases[i].health, cases[i].found);
  }
}

/* ---- files -----------------------------------------------------------------------------------------------
 */

static char folder[PATH / 2];
static ef_par alone;
static void set_up(void) {
  test_make_folder(folder, sizeof folder);
  alone = ef_par_alone();
}
static void tear_down(void) { test_remove_folder(folder); }
TestSuite(doctor_files, .init = set_up, .fini = tear_down);

static size_t entries(void) {
  size_t count = 0;
  DIR *dir = opendir(folder);
  while (readdir(dir)) count++;
  closedir(dir);
  return count - 2;
}

Test(doctor_files, a_folder_that_is_not_there_yet) {
  ef_probe probe;
  ef_diagnosis d = {.silent = true};
  bool usable = false;
  cr_assert_eq(ef_probe_place(&alone, in(folder, "runs/today/"), &probe), EF_OK);
  cr_expect_str_eq(probe.folder, folder);
  cr_expect(probe.parent);
  cr_assert_eq(ef_check_folder(&alone, &probe, &d, &usable), EF_OK);
  cr_expect(usable);
  EXPECT(&d, EF_HEALTH_OK, "next parent");
  cr_assert_eq(ef_probe_place(&alone, "surely-not-here", &probe), EF_OK);
  cr_expect_str_eq(probe.folder, ".");
  cr_expect_eq(entries(), 0u);
}

Test(doctor_files, a_folder_that_cannot_be_written) {
  ef_probe probe;
  ef_diagnosis d = {.silent = true};
  bool usable = true;
  cr_assert_eq(ef_probe_place(&alone, "/proc", &probe), EF_OK);
  cr_assert_eq(ef_check_folder(&alone, &probe, &d, &usable), EF_OK);
  cr_expect(!usable);
  EXPECT(&d, EF_HEALTH_FAIL, "/proc: no file can be made");
}

Test(doctor_files, space) {
  ef_probe probe;
  ef_diagnosis d = {.silent = true};
  cr_assert_eq(ef_probe_place(&alone, folder, &probe), EF_OK);
  cr_expect(ef_check_space(&probe, 8 << 20, "at least", &d));
  EXPECT(&d, EF_HEALTH_OK, "8 MB needed at least");
  cr_expect(!ef_check_space(&probe, (uint64_t)1 << 60, "by the plan", &d));
  EXPECT(&d, EF_HEALTH_FAIL, "1152921504607 MB needed by the plan");
  struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20}; /* a quota shows itself so, too */
  cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  cr_expect(!ef_check_space(&probe, 8 << 20, "at least", &d));
  EXPECT(&d, EF_HEALTH_FAIL, "cannot be written: File too large");
  cr_expect_eq(entries(), 0u);
}

Test(doctor_files, versions_of_hdf5) {
  ef_diagnosis d = {.silent = true};
  ef_h5_about about;
  cr_assert_eq(ef_h5_about_get(&about), EF_OK);
  cr_expect(ef_check_hdf5(&about, &d));
  about = (ef_h5_about){.built = {1, 10, 8}, .linked = {1, 14, 0}, .parallel = true};
  cr_expect(!ef_check_hdf5(&about, &d));
  EXPECT(&d, EF_HEALTH_FAIL, "built against 1.10.8, runs with 1.14.0");
  about = (ef_h5_about){.built = {1, 10, 8}, .linked = {1, 10, 8}};
  cr_expect(!ef_check_hdf5(&about, &d));
  EXPECT(&d, EF_HEALTH_FAIL, "without MPI");
}

static int barks;
static void bark(void *ctx, const char *stage) {
  (void)ctx;
  barks += strcmp(stage, "slow") == 0;
}

Test(doctor_files, watchdog) {
  ef_watch *watch = NULL;
  cr_assert_eq(ef_watch_create(0.1, bark, NULL, &watch), EF_OK);
  for (int i = 0; i < 30; i++) { /* each stage has its own time */
    ef_watch_begin(watch, "quick");
    usleep(10000);
    ef_watch_end(watch);
  }
  cr_expect_eq(barks, 0);
  ef_watch_begin(watch, "slow");
  usleep(400000);
  ef_watch_end(watch);
  ef_watch_free(watch);
  cr_expect_eq(barks, 1);
  ef_watch_free(NULL);
}

/* ---- the command -----------------------------------------------------------------------------------------
 */

static const char *result_of(const json_t *report, const char *name) {
  size_t i;
  json_t *check;
  json_array_foreach(json_object_get(report, "checks"), i, check) {
    if (strcmp(json_string_value(json_object_get(check, "name")), name) == 0)
      return json_string_value(json_object_get(check, "result"));
  }
  return "absent";
}

Test(doctor_files, command) {
  static char out[1 << 14];
  cr_assert_eq(RUN(out, "doctor", "--out", folder, "--json"), EF_OK, "%s", ef_message());
  json_t *report = json_loads(out, 0, NULL);
  cr_assert_not_null(report, "%s", out);
  cr_expect(json_is_true(json_object_get(report, "ok")));
  cr_expect_eq(json_integer_value(json_object_get(report, "ranks")), 1);
  static const char *const names[] = {"launch", "memory", "folder", "HDF5", "space", "parallel HDF5"};
  for (size_t i = 0; i < COUNT(names); i++)
    cr_expect_str_eq(result_of(report, names[i]), "ok", "%s", names[i]);
  json_decref(report);
  cr_expect_eq(entries(), 0u);
  cr_assert_eq(RUN(out, "doctor", "--out", "/proc"), EF_MACHINE);
  cr_expect_not_null(strstr(out, "fail  folder"), "%s", out);
  cr_expect_not_null(strstr(out, "warn  parallel HDF5   not tried"), "%s", out);
  cr_expect_not_null(strstr(ef_message(), "checks failed: folder"), "%s", ef_message());
  cr_expect_eq(RUN_QUIET("doctor", "--set", "run.seed=1"), EF_USAGE);
  cr_expect_eq(RUN_QUIET("doctor", "--timeout", "0"), EF_USAGE);
  cr_expect_eq(RUN_QUIET("doctor", "--deck", in(folder, "absent.yaml")), EF_DECK, "%s", ef_message());
}
