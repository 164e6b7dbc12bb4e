# The batch scripts under a real Slurm on this machine. 77: none can run here (no root, no namespaces, packages
# missing). The cases wait more than they compute, so they run beside each other.
foreach(case slots requeue failure array chain nodes scaling)
  add_test(NAME slurm/${case} COMMAND bash ${CMAKE_CURRENT_LIST_DIR}/${case}.sh)
  set_tests_properties(slurm/${case} PROPERTIES
    ENVIRONMENT "${EF_TEST_ENV}" TIMEOUT 240 SKIP_RETURN_CODE 77 LABELS "slurm;slow"
    FAIL_REGULAR_EXPRESSION "${EF_TEST_FAIL}")
endforeach()
set_tests_properties(slurm/slots PROPERTIES COST 1000 TIMEOUT 480) # the longest first; it waits for several time limits
