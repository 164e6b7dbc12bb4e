# Compiler flags that hold for the whole tree.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELEASE "-O2")

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wshadow $<$<COMPILE_LANGUAGE:C>:-Wconversion>
                    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>)
# A product and a sum are rounded one by one with every compiler: prices have the same bits (gcc does so anyway).
add_compile_options($<$<COMPILE_LANGUAGE:C>:-ffp-contract=off>)
if(EDGEFUSE_WERROR)
  add_compile_options(-Werror)
endif()
# SIMD pragmas without the OpenMP runtime; no errno and no traps from maths, so that loops vectorise.
add_compile_options($<$<COMPILE_LANGUAGE:C>:-fopenmp-simd> $<$<COMPILE_LANGUAGE:C>:-fno-math-errno>
                    $<$<COMPILE_LANGUAGE:C>:-fno-trapping-math>)
# A loop that clang leaves scalar at -O1 is slower, not wrong.
add_compile_options($<$<C_COMPILER_ID:Clang>:-Wno-pass-failed>)
if(EDGEFUSE_ARCH)
  add_compile_options($<$<COMPILE_LANGUAGE:C>:-march=${EDGEFUSE_ARCH}>)
endif()
if(EDGEFUSE_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined -rdynamic)
endif()
if(EDGEFUSE_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()

# Under the sanitizers plugins of MPI must stay loaded, or leak reports lose their stacks.
function(ef_executable_flags target)
  if(EDGEFUSE_SANITIZE)
    target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/keep_plugins.c)
  endif()
endfunction()
