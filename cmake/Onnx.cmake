# The ONNX project's C++ library, ONNX::onnx, at the one version that Fulgur is written for: an installed one, or the one in
# the user's cache, which is built on first use (three minutes of CPU) and outlives build trees.
set(FULGUR_ONNX_VERSION 1.23.2)
set(FULGUR_ONNX_SHA256 008cb0467b2bbee41448acc7da8b6f4e704624cb0d327a2d5adafc7ce19bc5b8)
set(ONNX_SOURCE_DIR "$ENV{ONNX_SOURCE_DIR}" CACHE PATH
  "An unpacked source distribution of onnx ${FULGUR_ONNX_VERSION}; fetched when empty")

function(fulgur_build_onnx prefix)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  set(scratch ${prefix}-build)
  set(source ${ONNX_SOURCE_DIR})
  if(NOT source)
    message(STATUS "Fetching onnx ${FULGUR_ONNX_VERSION} (6 MB)")
    execute_process(COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/cmake/onnx/fetch.py onnx ${FULGUR_ONNX_VERSION}
        ${FULGUR_ONNX_SHA256} ${scratch}/source
      OUTPUT_VARIABLE source OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
    if(failed)
      message(FATAL_ERROR "onnx ${FULGUR_ONNX_VERSION} could not be fetched. Where there is no network, unpack its source "
        "distribution (onnx-${FULGUR_ONNX_VERSION}.tar.gz of PyPI) and configure with -DONNX_SOURCE_DIR=FOLDER")
    endif()
  endif()
  message(STATUS "Building onnx ${FULGUR_ONNX_VERSION} into ${prefix}, once for this user")
  set(launcher "")
  if(FULGUR_CCACHE AND FULGUR_CCACHE_PROGRAM)
    set(launcher -DCMAKE_CXX_COMPILER_LAUNCHER=${FULGUR_CCACHE_PROGRAM})
  endif()
  execute_process(
    COMMAND ${CMAKE_COMMAND} -S ${PROJECT_SOURCE_DIR}/cmake/onnx -B ${scratch}/build -G Ninja --log-level=WARNING
      -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} -DONNX_SOURCE_DIR=${source}
      -DCMAKE_INSTALL_PREFIX=${prefix} ${launcher}
    COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${CMAKE_COMMAND} --build ${scratch}/build COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${CMAKE_COMMAND} --install ${scratch}/build OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  file(REMOVE_RECURSE ${scratch})
endfunction()

if("$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(FULGUR_CACHE $ENV{HOME}/.cache/fulgur)
else()
  set(FULGUR_CACHE $ENV{XDG_CACHE_HOME}/fulgur)
endif()
list(APPEND CMAKE_PREFIX_PATH ${FULGUR_CACHE}/onnx-${FULGUR_ONNX_VERSION})
find_package(ONNX ${FULGUR_ONNX_VERSION} EXACT QUIET CONFIG)
if(NOT ONNX_FOUND)
  file(MAKE_DIRECTORY ${FULGUR_CACHE})
  file(LOCK ${FULGUR_CACHE}/onnx.lock) # two builds at once: the second one waits, and finds it
  find_package(ONNX ${FULGUR_ONNX_VERSION} EXACT QUIET CONFIG)
  if(NOT ONNX_FOUND)
    fulgur_build_onnx(${FULGUR_CACHE}/onnx-${FULGUR_ONNX_VERSION})
    find_package(ONNX ${FULGUR_ONNX_VERSION} EXACT REQUIRED CONFIG)
  endif()
  file(LOCK ${FULGUR_CACHE}/onnx.lock RELEASE)
endif()
