#include "test_cli.h"

#include <criterion/criterion.h>
#include <jansson.h>

/* Times differ from machine to machine; what must hold is that each was taken, and how many users there were.
 */
Test(market_bench, one_row) {
  char out[4096];
  cr_assert_eq(RUN(out, "market", "bench", "--users", "100", "--json"), EF_OK, "%s", ef_message());
  json_t *json = json_loads(out, 0, NULL), *rows = json_object_get(json, "rows");
  cr_assert_eq(json_array_size(rows), 1u);
  const json_t *row = json_array_get(rows, 0);
  cr_assert_eq(json_integer_value(json_object_get(row, "users")), 100);
  json_int_t bidders = json_integer_value(json_object_get(row, "bidders"));
  cr_assert(bidders > 0 && bidders <= 100);
  cr_assert(json_integer_value(json_object_get(row, "distinct_demands")) <= bidders);
  const char *const times[] = {"demands_s", "clear_t_s", "clear_e_s", "clear_d_s", "qsort_s"};
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    cr_assert(json_number_value(json_object_get(row, times[i])) > 0.0, "%s", times[i]);
  }
  json_decref(json);
}

Test(market_bench, refused) {
  char out[256];
  cr_assert_eq(RUN(out, "market", "bench", "--users", "99"), EF_USAGE);
  cr_assert_eq(RUN(out, "market", "bench", "file"), EF_USAGE);
}
