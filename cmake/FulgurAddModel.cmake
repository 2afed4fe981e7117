# fulgur_add_model(<target> MODEL <model.onnx> [PREFIX <prefix>] [WEIGHTS embed|file] [ARGS <argument>...])
#
# Compiles a model to a static library when the model, its external data or the compiler changed, and makes <target> of it:
# a target that links it links the library and the runtime, and finds "<prefix>.h".
#   PREFIX   of every symbol of the model, and the header's name; by default the target's name
#   WEIGHTS  file: the weights stay outside; the target property FULGUR_WEIGHTS is the file that the program maps
#   ARGS     further arguments of fulgurc, such as --mcpu=native or --dim batch=1
# Another compiler, for example the host's when cross-compiling: set the variable FULGURC.
function(fulgur_add_model target)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "MODEL;PREFIX;WEIGHTS" "ARGS")
  if(NOT ARG_MODEL OR ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "fulgur_add_model(${target} MODEL <model.onnx> [PREFIX <prefix>] [WEIGHTS embed|file] [ARGS ...])")
  endif()
  if(NOT ARG_PREFIX)
    string(MAKE_C_IDENTIFIER ${target} ARG_PREFIX)
  endif()
  if(NOT ARG_WEIGHTS)
    set(ARG_WEIGHTS embed)
  elseif(NOT ARG_WEIGHTS MATCHES "^(embed|file)$")
    message(FATAL_ERROR "fulgur_add_model(${target}): WEIGHTS is embed or file, not ${ARG_WEIGHTS}")
  endif()
  if(FULGURC)
    set(compiler ${FULGURC})
  elseif(TARGET Fulgur::fulgurc)
    set(compiler Fulgur::fulgurc)
  else()
    message(FATAL_ERROR "fulgur_add_model(${target}): this Fulgur has no compiler; set FULGURC to a fulgurc")
  endif()

  get_filename_component(model ${ARG_MODEL} ABSOLUTE BASE_DIR ${CMAKE_CURRENT_SOURCE_DIR})
  get_filename_component(name ${model} NAME)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${target}.fulgur)
  set(stem ${folder}/${ARG_PREFIX})
  set(outputs ${stem}.a ${stem}.h)
  set(kinds lib,header)
  if(ARG_WEIGHTS STREQUAL file)
    list(APPEND outputs ${stem}.weights)
    string(APPEND kinds ,weights)
  endif()
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${outputs}
    COMMAND ${compiler} ${model} -o ${stem} --prefix=${ARG_PREFIX} --weights=${ARG_WEIGHTS} --emit=${kinds} -MD -MF ${stem}.d ${ARG_ARGS}
    DEPENDS ${model} ${compiler} DEPFILE ${stem}.d COMMENT "Compiling ${name}" VERBATIM)
  add_custom_target(${target}_compile DEPENDS ${outputs})

  add_library(${target} INTERFACE)
  add_dependencies(${target} ${target}_compile)
  target_include_directories(${target} INTERFACE ${folder})
  target_link_libraries(${target} INTERFACE ${stem}.a Fulgur::runtime)
  set_target_properties(${target} PROPERTIES FULGUR_WEIGHTS "${stem}.weights")
endfunction()
