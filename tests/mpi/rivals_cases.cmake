ef_mpi_test(rivals_rounds/fedavg_has_the_bits_of_one_rank 1 2 3)
ef_mpi_test(rivals_rounds/fedjets_has_the_bits_of_one_rank 1 2 3)
ef_mpi_test(rivals_rounds/a_stopped_run_goes_on 2 3)
