#include "par/ledger.h"
#include <criterion/criterion.h>

Test(ledger, sums_by_device_direction_and_class) {
  ef_ledger ledger;
  cr_assert_eq(ef_ledger_create(3, &ledger), EF_OK);
  ef_ledger_count(&ledger, 0, EF_UP, EF_MSG_WEIGHTS, 100);
  ef_ledger_count(&ledger, 0, EF_UP, EF_MSG_WEIGHTS, 11);
  ef_ledger_count(&ledger, 2, EF_UP, EF_MSG_EMBEDDING, 7);
  ef_ledger_count(&ledger, 2, EF_DOWN, EF_MSG_WEIGHTS, 5);
  cr_assert_eq(ef_ledger_device(&ledger, 0, EF_UP), 111);
  cr_assert_eq(ef_ledger_device(&ledger, 1, EF_UP), 0);
  cr_assert_eq(ef_ledger_device(&ledger, 2, EF_DOWN), 5);
  cr_assert_eq(ef_ledger_total(&ledger, EF_UP), 118);
  cr_assert_eq(ef_ledger_class(&ledger, EF_UP, EF_MSG_WEIGHTS), 111);
  cr_assert_eq(ef_ledger_class(&ledger, EF_DOWN, EF_MSG_EMBEDDING), 0);
  cr_assert_str_eq(ef_message_name(EF_MSG_LOGITS), "logits");
  cr_assert_str_eq(ef_message_name(EF_MSG_LOSS), "loss");
  ef_ledger_free(&ledger);
  ef_ledger_free(&ledger);
}

Test(ledger, takes_over_what_another_counted) {
  ef_ledger all, more;
  cr_assert_eq(ef_ledger_create(2, &all), EF_OK);
  cr_assert_eq(ef_ledger_create(2, &more), EF_OK);
  ef_ledger_count(&all, 1, EF_UP, EF_MSG_WEIGHTS, 100);
  ef_ledger_count(&more, 1, EF_UP, EF_MSG_WEIGHTS, 20);
  ef_ledger_count(&more, 0, EF_DOWN, EF_MSG_LOSS, 4);
  ef_ledger_add(&all, &more);
  cr_assert_eq(ef_ledger_device(&all, 1, EF_UP), 120);
  cr_assert_eq(ef_ledger_class(&all, EF_DOWN, EF_MSG_LOSS), 4);
  cr_assert_eq(ef_ledger_total(&all, EF_UP), 120);
  cr_assert_eq(ef_ledger_total(&more, EF_UP), 20);
  ef_ledger_free(&all);
  ef_ledger_free(&more);
}
