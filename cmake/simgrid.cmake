# MPI as SimGrid simulates it (Debian: libsimgrid-dev). Everything is compiled by its smpicc, which finds its mpi.h and
# turns a program into a library that smpirun loads once for each rank; so the code is position-independent.
if(NOT CMAKE_C_COMPILER MATCHES "smpicc$")
  message(FATAL_ERROR "EDGEFUSE_SIMGRID needs -DCMAKE_C_COMPILER=smpicc: use the preset simgrid")
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
add_compile_definitions(SMPI_NO_OVERRIDE_MALLOC) # its macros hide the prototypes of stdlib.h
add_library(MPI::MPI_C INTERFACE IMPORTED)
