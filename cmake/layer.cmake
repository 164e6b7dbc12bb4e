# ef_layer(NAME [DIR dir] [SUBDIRS sub...] LINK lib...): the static library ef_NAME of one folder.
#
# Its headers are published through a folder that holds one link, NAME -> the source folder. A file
# can therefore include "model/dims.h" only if its library links to ef_model: a call up the list of
# layers does not compile.
function(ef_layer name)
  cmake_parse_arguments(ARG "" "DIR" "SUBDIRS;LINK" ${ARGN})
  if(NOT ARG_DIR)
    set(ARG_DIR src/${name})
  endif()
  set(dir ${PROJECT_SOURCE_DIR}/${ARG_DIR})
  set(patterns ${dir}/*.c ${dir}/*.cpp)
  foreach(sub ${ARG_SUBDIRS})
    list(APPEND patterns ${dir}/${sub}/*.c)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  add_library(ef_${name} STATIC ${sources})
  set(include ${PROJECT_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${include})
  file(CREATE_LINK ${dir} ${include}/${name} SYMBOLIC)
  target_include_directories(ef_${name} PUBLIC ${include})
  target_link_libraries(ef_${name} PUBLIC ${ARG_LINK})
endfunction()
