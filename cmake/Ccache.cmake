# Compiles through ccache where it is installed, so that a clean build, or another checkout, costs seconds.
# A precompiled header names its sources by absolute path. It can be shared when it has no time stamp, and when that path is
# true in every build tree: /proc/self/cwd.
option(FULGUR_CCACHE "Compile through ccache when it is installed" ON)
find_program(FULGUR_CCACHE_PROGRAM ccache)
mark_as_advanced(FULGUR_CCACHE_PROGRAM)
if(FULGUR_CCACHE AND FULGUR_CCACHE_PROGRAM)
  foreach(language C CXX)
    set(CMAKE_${language}_COMPILER_LAUNCHER ${PROJECT_SOURCE_DIR}/cmake/ccache.sh ${PROJECT_SOURCE_DIR} ${FULGUR_CCACHE_PROGRAM})
  endforeach()
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp -working-directory=/proc/self/cwd>")
  endif()
endif()
