# What `cmake --install` installs, and the CMake package, which works from the build tree too (-DFulgur_DIR=BUILD/lib/cmake/Fulgur).
include(GNUInstallDirs)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/Fulgur)

set_target_properties(fulgur_rt PROPERTIES EXPORT_NAME runtime)
set_target_properties(fulgur_rt_shared PROPERTIES EXPORT_NAME runtime_shared)
install(TARGETS fulgur_rt fulgur_rt_shared EXPORT FulgurTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${PROJECT_SOURCE_DIR}/runtime/fulgur.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
foreach(tool fulgurc fulgur-run fulgur-bench fulgur-opt fulgur-translate)
  if(TARGET ${tool})
    set_target_properties(${tool} PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON) # where LLVM's shared library is, if it is used
    set(export "")
    if(tool STREQUAL fulgurc)
      set(export EXPORT FulgurTargets)
    endif()
    install(TARGETS ${tool} ${export} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

include(CMakePackageConfigHelpers)
set(build_package ${PROJECT_BINARY_DIR}/lib/cmake/Fulgur)
write_basic_package_version_file(${build_package}/FulgurConfigVersion.cmake COMPATIBILITY SameMinorVersion)
foreach(file FulgurConfig.cmake FulgurAddModel.cmake)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${file} ${build_package}/${file} COPYONLY)
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/${file} DESTINATION ${package})
endforeach()
install(FILES ${build_package}/FulgurConfigVersion.cmake DESTINATION ${package})
install(EXPORT FulgurTargets NAMESPACE Fulgur:: DESTINATION ${package})
export(EXPORT FulgurTargets NAMESPACE Fulgur:: FILE ${build_package}/FulgurTargets.cmake)
