#include "federation/local.h"

#include <criterion/criterion.h>

Test(local, steps_are_bounded_by_passes_over_the_own_text) {
  static const struct {
    int64_t steps;
    double epochs;
    size_t tokens, expected;
  } cases[] = {
      {100, 0.0, 128, 100},                           /* no bound; a step has 128 tokens */
      {100, 3.0, 1280, 30},                           /* 10 steps a pass */
      {100, 3.0, 1281, 31},                           /* a part of a step is a step */
      {100, 0.25, 1280, 3},                           /* less than one pass */
      {100, 10.0, 1280, 100}, {100, 11.0, 1280, 100}, /* the steps bound it */
      {100, 1.0, 2, 1},                               /* fewer tokens than a window */
      {0, 3.0, 1280, 0},                              /* devices that do not train */
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const ef_deck d = {
        .federation = {.steps = cases[i].steps, .epochs = cases[i].epochs, .batch = 4, .context = 32}};
    cr_expect_eq(ef_local_steps(&d, cases[i].tokens), cases[i].expected, "case %zu: %zu", i,
                 ef_local_steps(&d, cases[i].tokens));
  }
}
