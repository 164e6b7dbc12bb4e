# Writes build_info.h (version, git revision, compiler, flags) at each build, only when it changed.
set(EF_BUILD_INFO ${PROJECT_BINARY_DIR}/generated/build_info.h)
add_custom_target(ef_build_info
  COMMAND ${CMAKE_COMMAND} -DOUT=${EF_BUILD_INFO} -DSOURCE=${PROJECT_SOURCE_DIR}
          -DVERSION=${PROJECT_VERSION} "-DCOMPILER=${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}"
          "-DBUILD=${CMAKE_BUILD_TYPE} -march=${EDGEFUSE_ARCH}"
          -P ${PROJECT_SOURCE_DIR}/cmake/write_build_info.cmake
  BYPRODUCTS ${EF_BUILD_INFO} VERBATIM)
