# MLIRStatic: everything of MLIR and LLVM as static archives, for releases. MLIR's own CMake targets cannot do this where LLVM
# was packaged with a shared library (each of them links it), so the archives are named one by one; the linker takes from them
# what is used. lld needs no order among them.
function(fulgur_static_llvm)
  get_property(mlir GLOBAL PROPERTY MLIR_ALL_LIBS)
  list(FILTER mlir EXCLUDE REGEX "^MLIRCAPI|Test|Dyn")
  add_library(MLIRStatic INTERFACE)
  foreach(library IN LISTS mlir LLVM_AVAILABLE_LIBS)
    if(TARGET ${library})
      get_target_property(type ${library} TYPE)
      if(type STREQUAL STATIC_LIBRARY AND NOT library MATCHES "^Polly") # which packages leave out
        target_link_libraries(MLIRStatic INTERFACE $<TARGET_FILE:${library}>)
      endif()
    endif()
  endforeach()
  find_package(Threads REQUIRED)
  find_library(FULGUR_ZSTD NAMES libzstd.a zstd REQUIRED)
  find_library(FULGUR_ZLIB NAMES libz.a z REQUIRED)
  target_link_libraries(MLIRStatic INTERFACE ${FULGUR_ZSTD} ${FULGUR_ZLIB} Threads::Threads ${CMAKE_DL_LIBS} m)
endfunction()
