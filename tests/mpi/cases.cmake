# Every multi-rank case, by the room it tests.
include(mpi/par_cases.cmake)
include(mpi/store_cases.cmake)
include(mpi/train_cases.cmake)
include(mpi/rivals_cases.cmake)
