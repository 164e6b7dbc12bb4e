/* The progress of a phase: share, time left and the line, by hand; the file by reading it while it changes.
 */
#include "base/clock.h"
#include "support/tiny_run.h"
#include "train/events.h"
#include "train/progress.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Half of the work behind, a quarter under way, 30 of its 120 steps done: 9/16. 300 steps in 60 s moved 3/8.
 */
static const ef_progress_state units = {.phase = "local training",
                                        .unit = 3,
                                        .units = 4,
                                        .step = 30,
                                        .steps = 120,
                                        .worked = 300,
                                        .ended = 2,
                                        .done = 0.5,
                                        .weight = 0.25,
                                        .moved = 0.375,
                                        .loss = 3.25,
                                        .started = 1000.0};

Test(progress, share_and_time_left) {
  cr_expect_float_eq(ef_progress_share(&units), 0.5625, 1e-12);
  cr_expect_float_eq(ef_progress_left(&units, 1060.0), 60.0 * 0.4375 / 0.375, 1e-9);
  ef_progress_state fresh = {.phase = "tuning", .weight = 1.0, .loss = NAN, .started = 5.0};
  cr_expect_float_eq(ef_progress_share(&fresh), 0.0, 0.0);
  cr_expect(isnan(ef_progress_left(&fresh, 7.0)));
}

static void expect_line(const ef_progress_state *state, double now, size_t columns, const char *wanted) {
  char line[EF_PROGRESS_LINE];
  ef_progress_line(state, now, columns, line);
  cr_expect_str_eq(line, wanted, "'%s' is not '%s'", line, wanted);
}

Test(progress, lines) {
  expect_line(&units, 1060.0, 0,
              "local training: unit 3 of 4, step 30 of 120, 5 steps/s, loss 3.2500, 70 s left");
  expect_line(&units, 1060.0, 200,
              "local training [###########.........] 56 %, 5 steps/s, loss 3.2500, 70 s left, unit 3 of 4, "
              "step 30 of 120");
  expect_line(&units, 1060.0, 80,
              "local training [#####.....] 56 %, 5 steps/s, loss 3.2500, 70 s left, unit 3 of 4");
  ef_progress_state other = units;
  other.units = other.unit = 0;
  other.done = 0.0;
  other.weight = 1.0;
  other.moved = 0.25;
  other.loss = NAN;
  expect_line(&other, 1200.0, 0, "local training: step 30 of 120, 1.5 steps/s, 10 min 00 s left");
  expect_line(&other, 8200.0, 0, "local training: step 30 of 120, 0.0417 steps/s, 6 h 00 min left");
  expect_line(&other, 1000.5, 0, "local training: step 30 of 120, 600 steps/s, 2 s left");
  ef_progress_state plain = {
      .phase = "proxies", .unit = 1, .units = 4, .ended = 1, .done = 0.25, .moved = 0.25, .loss = NAN};
  expect_line(&plain, 2.0, 0, "proxies: unit 1 of 4, 0.5 units/s, 6 s left");
}

static tiny_run t;

static void open_run(void) { tiny_run_open(&t, NULL, NULL); }
static void close_run(void) { tiny_run_close(&t); }

/* Two units of weights 3/4 and 1/4; the first was half done before this start, the second ends early. */
Test(progress, a_resumed_unit_counts_what_moved_here, .init = open_run, .fini = close_run) {
  ef_progress_state *p = &t.run.progress;
  ef_progress_begin(&t.run, "local training", 2);
  ef_progress_unit(&t.run, 0.75);
  for (size_t step = 6; step <= 10; step++) ef_progress_step(&t.run, "device", step, 10, 2.0);
  cr_expect_str_eq(p->phase, "local training");
  cr_expect_float_eq(ef_progress_share(p), 0.75, 1e-12);
  cr_expect_float_eq(p->moved, 0.375, 1e-12);
  ef_progress_unit_over(&t.run);
  ef_progress_unit(&t.run, 0.25);
  ef_progress_step(&t.run, "device", 1, 10, 2.0);
  cr_expect_float_eq(ef_progress_share(p), 0.775, 1e-12);
  cr_expect_float_eq(p->moved, 0.4, 1e-12);
  ef_progress_unit_over(&t.run);
  cr_expect_float_eq(ef_progress_share(p), 1.0, 1e-12);
  cr_expect_eq(p->worked, 6);
}

/* Another phase with the same text at the same address is another phase. */
Test(progress, phases_are_told_apart, .init = open_run, .fini = close_run) {
  ef_progress_step(&t.run, "tuning", 3, 10, 2.0);
  ef_progress_step(&t.run, "tuning", 4, 10, 2.0);
  cr_expect_eq(t.run.progress.worked, 2);
  ef_progress_end(&t.run, "tuning", 1.0);
  ef_progress_step(&t.run, "tuning", 1, 10, 2.0);
  cr_expect_eq(t.run.progress.worked, 1);
  ef_progress_step(&t.run, "public only", 1, 10, 2.0);
  cr_expect_eq(t.run.progress.worked, 1);
  cr_expect_str_eq(t.run.progress.phase, "public only");
}

static const char *const texts[] = {"a short line", "a line that is a good deal longer than the other one"};
static volatile bool writing;

static void *write_often(void *ctx) {
  for (int i = 0; i < 2000; i++) ef_progress_note(ctx, texts[i % 2]);
  writing = false;
  return NULL;
}

Test(progress, the_file_is_whole_at_any_moment, .init = open_run, .fini = close_run) {
  char path[1024], line[256];
  pthread_t writer;
  ef_run_path(&t.run, path, sizeof path, "progress");
  ef_progress_note(&t.run, texts[1]);
  writing = true;
  cr_assert_eq(pthread_create(&writer, NULL, write_often, &t.run), 0);
  for (bool last = false; !last;) {
    last = !writing;
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "there is always a file");
    size_t count = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    cr_assert_gt(count, 0);
    line[count - 1] = '\0';
    cr_assert(strcmp(line, texts[0]) == 0 || strcmp(line, texts[1]) == 0, "'%s'", line);
  }
  pthread_join(writer, NULL);
  ef_run_path(&t.run, path, sizeof path, "progress.tmp");
  cr_expect_neq(access(path, F_OK), 0);
}
