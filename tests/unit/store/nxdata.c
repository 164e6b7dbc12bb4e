/* What viewers follow: the chain of defaults, axes and titles of plots. */
#include "base/memory.h"
#include "store/h5_internal.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char folder[256], path[512];

static void up(void) {
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/a.h5", folder);
}

static void down(void) { test_remove_folder(folder); }

TestSuite(nxdata, .init = up, .fini = down);

static ef_h5 *write_and_open(void) {
  const double heights[] = {0.5, 0.25, 0.125};
  const ef_h5_header header = {.kind = "series", .deck = "", .seed = 1, .ranks = 1};
  ef_h5 *file = NULL;
  cr_assert_eq(ef_h5_create(path, MPI_COMM_NULL, &header, &file), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_write_vector(file, "/plot/height", EF_H5_F64, 3, "step", "heights", "m", heights),
               EF_OK);
  cr_assert_eq(ef_h5_write_axis(file, "/plot", "step", 3, 1, "step, from 1", true), EF_OK);
  cr_assert_eq(ef_h5_set_nxdata(file, "/plot", "height", "step", "Heights of steps"), EF_OK, "%s",
               ef_message());
  cr_assert_eq(ef_h5_set_default(file, "/first", "/nowhere"), EF_OK);
  cr_assert_eq(ef_h5_set_default(file, "/entry", "/plot"), EF_OK, "the last one counts");
  cr_assert_eq(ef_h5_commit(file), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_open(path, "series", &file), EF_OK, "%s", ef_message());
  return file;
}

static void expect_text(ef_h5 *file, const char *object, const char *name, const char *wanted) {
  char *text = NULL;
  cr_assert_eq(ef_h5_get_text(file, object, name, &text), EF_OK, "%s", ef_message());
  cr_expect_str_eq(text, wanted, "%s of %s", name, object);
  ef_free(text);
}

Test(nxdata, root_leads_to_the_plot) {
  ef_h5 *file = write_and_open();
  expect_text(file, "/", "NX_class", "NXroot");
  expect_text(file, "/", "default", "entry");
  expect_text(file, "/entry", "NX_class", "NXentry");
  expect_text(file, "/entry", "default", "/plot");
  expect_text(file, "/plot", "NX_class", "NXdata");
  ef_h5_close(file);
}

Test(nxdata, an_axis_counts) {
  ef_h5 *file = write_and_open();
  int64_t steps[3] = {0};
  ef_h5_array array = {.path = "/plot/step", .type = EF_H5_I64, .rank = 1, .shape = {3}};
  cr_assert_eq(ef_h5_read(file, &array, steps), EF_OK, "%s", ef_message());
  cr_expect(steps[0] == 1 && steps[1] == 2 && steps[2] == 3);
  expect_text(file, "/plot/step", "dims", "step");
  ef_h5_close(file);
}

/* By HDF5's own calls: a scalar of class string, as viewers ask for it. */
Test(nxdata, a_title_is_a_scalar_text) {
  ef_h5 *file = write_and_open();
  char *title = NULL;
  cr_assert_eq(ef_h5_verify(file), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_read_text(file, "/plot/title", &title), EF_OK, "%s", ef_message());
  cr_expect_str_eq(title, "Heights of steps");
  ef_free(title);
  hid_t set = H5Dopen2(file->id, "/plot/title", H5P_DEFAULT);
  hid_t space = H5Dget_space(set), type = H5Dget_type(set);
  cr_expect_eq(H5Sget_simple_extent_type(space), H5S_SCALAR);
  cr_expect_eq(H5Tget_class(type), H5T_STRING);
  H5Tclose(type);
  H5Sclose(space);
  H5Dclose(set);
  ef_h5_close(file);
}
