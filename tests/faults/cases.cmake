# Tests of whole commands: bash scripts over the built program. 77 means that nothing could be checked on this machine.
add_executable(hdf5_maker ${CMAKE_CURRENT_LIST_DIR}/hdf5_maker.c)
target_link_libraries(hdf5_maker PRIVATE hdf5::hdf5 MPI::MPI_C)
ef_executable_flags(hdf5_maker)
add_library(fault_maker MODULE ${CMAKE_CURRENT_LIST_DIR}/fault_maker.c)
target_link_libraries(fault_maker PRIVATE MPI::MPI_C ${CMAKE_DL_LIBS})

# Many whole runs, too slow under the sanitizers; pictures and progress run nothing there that others do not.
set(slow_cases checkpoint machine resume bits documents clearing methods ofakd rounds fedkmt extensions plan_memory
    doctor verify_resume rehearsal pictures progress)

foreach(case bad_deck bad_text bad_model numbers ledger market viewers ${slow_cases})
  set(labels faults)
  if(case IN_LIST slow_cases)
    list(APPEND labels slow)
  endif()
  add_test(NAME faults/${case} COMMAND bash ${CMAKE_CURRENT_LIST_DIR}/${case}.sh)
  set_tests_properties(faults/${case} PROPERTIES
    ENVIRONMENT "${EF_TEST_ENV};EDGEFUSE_HDF5_MAKER=$<TARGET_FILE:hdf5_maker>;EDGEFUSE_FAULT_MAKER=$<TARGET_FILE:fault_maker>"
    PROCESSORS 2 TIMEOUT 900 SKIP_RETURN_CODE 77 LABELS "${labels}" FAIL_REGULAR_EXPRESSION "${EF_TEST_FAIL}")
endforeach()
