# Compiles through ccache where it is installed, so that a clean build, or another checkout, costs seconds.
# - Precompiled headers are cacheable only without their time stamp, and with the three mild lies in CCACHE_SLOPPINESS.
# - CCACHE_BASEDIR and the prefix map make two checkouts of the same sources hit the same entries.
option(FULGUR_CCACHE "Compile through ccache when it is installed" ON)
find_program(FULGUR_CCACHE_PROGRAM ccache)
mark_as_advanced(FULGUR_CCACHE_PROGRAM)
if(FULGUR_CCACHE AND FULGUR_CCACHE_PROGRAM)
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${FULGUR_CCACHE_PROGRAM})
  foreach(language C CXX)
    set(CMAKE_${language}_COMPILER_LAUNCHER ${launcher})
  endforeach()
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    add_compile_options("SHELL:-Xclang -fno-pch-timestamp" -ffile-prefix-map=${PROJECT_SOURCE_DIR}=.)
  endif()
endif()
