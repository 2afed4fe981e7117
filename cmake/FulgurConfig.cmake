# find_package(Fulgur): Fulgur::runtime (static), Fulgur::runtime_shared, and fulgur_add_model(), which runs Fulgur::fulgurc.
find_package(Threads QUIET)
include(${CMAKE_CURRENT_LIST_DIR}/FulgurTargets.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/FulgurAddModel.cmake)
