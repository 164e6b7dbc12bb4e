# scripts/plots on made-up run folders. 77: the Debian packages of the pictures are not there.
add_test(NAME plots/pictures
         COMMAND sh -c [[/usr/bin/python3 -c 'import h5py, matplotlib' || exit 77; exec /usr/bin/python3 "$0"]]
                 ${CMAKE_CURRENT_LIST_DIR}/test_plots.py)
set_tests_properties(plots/pictures PROPERTIES
  ENVIRONMENT "${EF_TEST_ENV};PYTHONDONTWRITEBYTECODE=1" TIMEOUT 600 SKIP_RETURN_CODE 77 LABELS plots)
