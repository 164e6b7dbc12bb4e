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
  ef_ledger_free(&ledger);
  ef_ledger_free(&ledger);
}
