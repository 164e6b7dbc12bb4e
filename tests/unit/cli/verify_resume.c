/* verify-resume: what it refuses. The verification itself: tests/faults/verify_resume.sh. */
#include "test_cli.h"

#include "base/file.h"
#include <stdlib.h>
#include <string.h>

static char folder[PATH / 2];
static void set_up(void) { test_make_folder(folder, sizeof folder); }
static void tear_down(void) { test_remove_folder(folder); }
TestSuite(verify_resume, .init = set_up, .fini = tear_down);

static bool smoke_deck(char *deck) {
  const char *source = getenv("EDGEFUSE_SOURCE");
  if (source) snprintf(deck, PATH, "%s/inputs/smoke.yaml", source);
  return source != NULL;
}

Test(verify_resume, refused) {
  char deck[PATH];
  if (!smoke_deck(deck)) cr_skip_test("EDGEFUSE_SOURCE is not set");
  const char *out = in(folder, "v");
  cr_expect_eq(RUN_QUIET("verify-resume"), EF_USAGE);
  cr_expect_eq(RUN_QUIET("verify-resume", deck, "--ranks-again", "2"), EF_USAGE);
  cr_expect_str_eq(ef_message(), "--ranks-again 2: this launch has 1 rank");
  cr_expect_eq(RUN_QUIET("verify-resume", deck, "--method", "none"), EF_USAGE);
  cr_expect_eq(RUN_QUIET("verify-resume", deck, "--out", out, "--against", in(folder, "w")), EF_USAGE);
  cr_expect_not_null(strstr(ef_message(), "no verification was kept there"), "%s", ef_message());
  cr_assert_eq(ef_folder_make(in(folder, "v/whole")), EF_OK);
  cr_expect_eq(RUN_QUIET("verify-resume", deck, "--out", out), EF_USAGE);
  cr_expect_not_null(strstr(ef_message(), "v/whole is there, from an earlier"), "%s", ef_message());
  cr_expect(ef_file_exists(in(folder, "v/whole")));
}
