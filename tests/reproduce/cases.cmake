# The arithmetic and the pages of scripts/tables. 77: the Debian packages of the tables are not there.
add_test(NAME reproduce/tables
         COMMAND sh -c [[/usr/bin/python3 -c 'import h5py, matplotlib' 2>/dev/null || exit 77; exec /usr/bin/python3 "$0"]]
                 ${CMAKE_CURRENT_LIST_DIR}/test_tables.py)
set_tests_properties(reproduce/tables PROPERTIES
  ENVIRONMENT "${EF_TEST_ENV};PYTHONDONTWRITEBYTECODE=1" TIMEOUT 300 SKIP_RETURN_CODE 77)

# scripts/reproduce.sh on a made-up text, interrupted and gone on with.
add_test(NAME reproduce/runs COMMAND bash ${CMAKE_CURRENT_LIST_DIR}/runs.sh)
set_tests_properties(reproduce/runs PROPERTIES
  ENVIRONMENT "${EF_TEST_ENV};PYTHONDONTWRITEBYTECODE=1" PROCESSORS 2 TIMEOUT 600 SKIP_RETURN_CODE 77 LABELS slow
  FAIL_REGULAR_EXPRESSION "${EF_TEST_FAIL}")
