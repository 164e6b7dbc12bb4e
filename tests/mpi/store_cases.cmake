# Collective HDF5 files, each case on 1 to 4 ranks.
ef_mpi_test(store_h5/many_owners)
ef_mpi_test(store_h5/equal_to_serial)
ef_mpi_test(store_h5/large_array)
ef_mpi_test(store_h5/failures_are_shared)
ef_mpi_test(store_h5/full_disk)
ef_mpi_test(store_h5/flush_fails_on_one_rank)
ef_mpi_test(store_h5/abandoned)
