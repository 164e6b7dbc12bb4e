# `market solve` against a second implementation (reference.py, plain loops), on random and on the shipped instances.
# 77: there is no Python on this machine.
file(GLOB market_instances CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/inputs/markets/*.json)
add_test(NAME market_reference
         COMMAND sh -c [[command -v python3 >/dev/null || exit 77 && exec python3 "$0" "$@"]]
                 ${CMAKE_CURRENT_LIST_DIR}/agree.py --count 60 --seed 1
                 --keep ${CMAKE_CURRENT_BINARY_DIR}/market_reference ${market_instances})
set_tests_properties(market_reference PROPERTIES
  ENVIRONMENT "${EF_TEST_ENV};PYTHONDONTWRITEBYTECODE=1" PROCESSORS 2 TIMEOUT 300 SKIP_RETURN_CODE 77
  FAIL_REGULAR_EXPRESSION "${EF_TEST_FAIL}")
