# ef_layer(NAME [DIR dir] [SUBDIRS sub...] [FILES file...] [WITHOUT file...] LINK lib...): the static library ef_NAME of
# one folder, or of some files of it; WITHOUT: all files but these.
#
# Its headers are published through a folder that holds one link, named as the source folder -> the source folder. A
# file can therefore include "model/dims.h" only if its library links to ef_model: a call up the list of
# layers does not compile.
function(ef_layer name)
  cmake_parse_arguments(ARG "" "DIR" "SUBDIRS;FILES;WITHOUT;LINK" ${ARGN})
  if(NOT ARG_DIR)
    set(ARG_DIR src/${name})
  endif()
  set(dir ${PROJECT_SOURCE_DIR}/${ARG_DIR})
  set(patterns ${dir}/*.c ${dir}/*.cpp)
  foreach(sub ${ARG_SUBDIRS})
    list(APPEND patterns ${dir}/${sub}/*.c)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  if(ARG_FILES)
    list(TRANSFORM ARG_FILES PREPEND ${dir}/ OUTPUT_VARIABLE sources)
  elseif(ARG_WITHOUT)
    list(TRANSFORM ARG_WITHOUT PREPEND ${dir}/)
    list(REMOVE_ITEM sources ${ARG_WITHOUT})
  endif()
  add_library(ef_${name} STATIC ${sources})
  get_filename_component(folder ${dir} NAME)
  set(include ${PROJECT_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${include})
  file(CREATE_LINK ${dir} ${include}/${folder} SYMBOLIC)
  target_include_directories(ef_${name} PUBLIC ${include})
  target_link_libraries(ef_${name} PUBLIC ${ARG_LINK})
endfunction()
