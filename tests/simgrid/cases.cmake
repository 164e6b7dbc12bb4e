# edgefuse-sim on simulated clusters. 77: libsimgrid-dev is not there. Its build is kept beside that of the tests.
add_test(NAME simgrid/clusters COMMAND bash ${CMAKE_CURRENT_LIST_DIR}/clusters.sh)
set_tests_properties(simgrid/clusters PROPERTIES
  ENVIRONMENT "${EF_TEST_ENV};EDGEFUSE_SIM_BUILD=${PROJECT_BINARY_DIR}/simgrid" PROCESSORS 2 TIMEOUT 300
  SKIP_RETURN_CODE 77 LABELS simgrid)
