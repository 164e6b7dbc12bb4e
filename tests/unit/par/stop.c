#include "par/stop.h"
#include "base/file.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static bool asked(ef_stop *stop) {
  ef_par alone = {.size = 1};
  bool now = false;
  cr_assert_eq(ef_stop_now(stop, &alone, &now), EF_OK);
  return now;
}

Test(stop, signals) {
  ef_stop stop;
  cr_assert_eq(ef_stop_setup(&stop, NULL, 0.0), EF_OK);
  cr_assert(!asked(&stop));
  cr_assert_str_eq(ef_stop_reason(&stop), "");
  raise(SIGUSR1);
  cr_assert(asked(&stop));
  cr_assert_str_eq(ef_stop_reason(&stop), "SIGUSR1");
  raise(SIGTERM);
  cr_assert(asked(&stop));
  cr_assert_str_eq(ef_stop_reason(&stop), "SIGTERM");
  cr_assert_eq(ef_stop_setup(&stop, "", 0.0), EF_OK);
  cr_assert(!asked(&stop));
}

/* A run in a run sets up its own: what came just before that is not lost. */
Test(stop, signal_between_two_setups) {
  ef_stop outer, inner;
  cr_assert_eq(ef_stop_setup(&outer, NULL, 0.0), EF_OK);
  raise(SIGUSR1);
  cr_assert_eq(ef_stop_setup(&inner, NULL, 0.0), EF_OK);
  cr_assert(asked(&inner));
  cr_assert_str_eq(ef_stop_reason(&inner), "SIGUSR1");
}

Test(stop, file_is_obeyed_once) {
  char folder[4000], path[4096];
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/stop", folder);
  ef_stop stop;
  cr_assert_eq(ef_stop_setup(&stop, path, 0.0), EF_OK);
  cr_assert(!asked(&stop));
  cr_assert_eq(ef_file_write(path, "", 0), EF_OK);
  cr_assert(asked(&stop));
  cr_assert_str_eq(ef_stop_reason(&stop), "stop file");
  cr_assert(asked(&stop), "a stop stays");
  cr_assert(!ef_file_exists(path));
  test_remove_folder(folder);
}

Test(stop, time_limit_less_the_reserve) {
  ef_stop stop;
  cr_assert_eq(ef_stop_setup(&stop, NULL, 1000.0), EF_OK);
  cr_assert(!asked(&stop));
  stop.reserve = 1000.0;
  cr_assert(asked(&stop));
  cr_assert_str_eq(ef_stop_reason(&stop), "time limit");
}

Test(stop, a_path_that_is_too_long) {
  char path[5000];
  for (size_t i = 0; i < sizeof path; i++) path[i] = 'a';
  path[sizeof path - 1] = 0;
  ef_stop stop;
  cr_assert_eq(ef_stop_setup(&stop, path, 0.0), EF_INPUT);
}

static bool wished(ef_stop *stop, ef_stop_wish *wish, const char *passed, const char *name, size_t step) {
  *wish = (ef_stop_wish){.passed = passed};
  cr_assert_eq(ef_stop_setup(stop, NULL, 0.0), EF_OK);
  stop->wish = wish;
  ef_stop_reached(stop, name, step, 5);
  return asked(stop);
}

Test(stop, a_wish_comes_true_in_the_middle_of_a_training_that_has_not_passed) {
  ef_stop stop;
  ef_stop_wish wish;
  cr_assert(!wished(&stop, &wish, "", "device", 2), "less than half");
  cr_assert(wished(&stop, &wish, "", "device", 3));
  cr_assert_str_eq(wish.name, "device");
  cr_assert(wish.step == 3 && wish.steps == 5 && wish.obeyed);
  cr_assert_str_eq(ef_stop_reason(&stop), "request");
  ef_stop_reached(&stop, "base", 4, 5);
  cr_assert_str_eq(wish.name, "device", "the first counts");
  cr_assert(!wished(&stop, &wish, "", "device", 5), "nothing is left of it");
  cr_assert(!wished(&stop, &wish, ",base,device,", "device", 3), "passed");
  cr_assert(wished(&stop, &wish, ",base,device2,", "device", 4), "another name");
}

Test(stop, a_signal_outweighs_a_wish) {
  ef_stop stop;
  ef_stop_wish wish = {.passed = ""};
  cr_assert_eq(ef_stop_setup(&stop, NULL, 0.0), EF_OK);
  stop.wish = &wish;
  ef_stop_reached(&stop, "device", 3, 5);
  raise(SIGUSR1);
  cr_assert(asked(&stop));
  cr_assert_str_eq(ef_stop_reason(&stop), "SIGUSR1");
  cr_assert(!wish.obeyed);
}

Test(stop, a_signal_before_the_setup_is_kept) {
  ef_stop stop;
  ef_stop_hold();
  raise(SIGUSR1); /* which would end this process */
  cr_assert_eq(ef_stop_setup(&stop, NULL, 0.0), EF_OK);
  cr_assert(asked(&stop));
  cr_assert_str_eq(ef_stop_reason(&stop), "SIGUSR1");
}

/* The limit of a run that may take `limit` seconds in a job that ends in `left` seconds. */
static double limit_in_job(double limit, long left) {
  char end[32];
  ef_stop stop;
  snprintf(end, sizeof end, "%ld", (long)time(NULL) + left);
  setenv("SLURM_JOB_END_TIME", end, 1);
  cr_assert_eq(ef_stop_setup(&stop, NULL, limit), EF_OK);
  unsetenv("SLURM_JOB_END_TIME");
  return stop.limit;
}

Test(stop, the_end_of_the_job_is_a_limit) {
  cr_assert_float_eq(limit_in_job(0.0, 1000), 995.0, 1.5);
  cr_assert_float_eq(limit_in_job(2000.0, 1000), 995.0, 1.5);
  cr_assert_eq(limit_in_job(20.0, 1000), 20.0);
  cr_assert(limit_in_job(0.0, 3) > 0.0 && limit_in_job(0.0, 3) < 0.1, "no time is left");
  cr_assert_eq(limit_in_job(0.0, -10), 0.0, "an end that is past is none");
  ef_stop stop;
  setenv("SLURM_JOB_END_TIME", "never", 1);
  cr_assert_eq(ef_stop_setup(&stop, NULL, 7.0), EF_OK);
  cr_assert_eq(stop.limit, 7.0);
}
