# SPDX-License-Identifier: Apache-2.0
# How every target of the project is made: language level, warnings, sanitizers, aliases, export.

include(SluicePrecompile)

# ccache must see through a precompiled header, and clang takes it only if no file of it is younger.
if(CMAKE_CXX_COMPILER_LAUNCHER MATCHES "ccache")
  add_compile_options("$<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>"
    "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>")
endif()

# With the little memory that g++ allows itself it collects garbage again and again: a tenth of its time. A source takes 0.9 GB
# at most so, instead of 0.7.
if(PROJECT_IS_TOP_LEVEL)
  add_compile_options("$<$<CXX_COMPILER_ID:GNU>:--param=ggc-min-heapsize=1048576>")
endif()

function(sluice_compile_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion)
  if(SLUICE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(SLUICE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${SLUICE_SANITIZE})
    if(SLUICE_SANITIZE MATCHES "undefined")
      target_compile_options(${target} PRIVATE -fno-sanitize-recover=undefined)
      if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
        # It asks through a pipe whether memory can be read, which fails in a process that has no descriptor left.
        target_compile_options(${target} PRIVATE -fno-sanitize=vptr)
      endif()
    endif()
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # Between the checks that a sanitizer adds g++ loses sight of what is initialized: in <regex>, for one.
      target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
    endif()
    if(SLUICE_SANITIZE STREQUAL "thread")
      # A copy that the compiler expands in place is one that ThreadSanitizer does not see.
      target_compile_options(${target} PRIVATE -fno-builtin-memcpy -fno-builtin-memmove -fno-builtin-memset)
    endif()
  endif()
endfunction()

# What embeds Sluice may be a shared object, which exports nothing of ours unless its own flags say so, and which
# dlclose() really unloads: it would keep one for ever that holds a symbol of the kind that g++ calls unique, as
# standard templates have them.
function(sluice_library_options target)
  set_target_properties(${target} PROPERTIES
    POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -fno-gnu-unique)
  endif()
  if(SLUICE_FUZZ_TARGETS)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# Programs whose own code is not what is tested: the libraries that they test are optimized as ever, while they
# compile in two thirds of the time.
function(sluice_light_optimization target)
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(${target} PRIVATE -O1)
  endif()
endfunction()

# Sources that no measured path runs through are compiled several as one: what they share costs most. Those of the lane and the
# engine stay alone, so that what is measured does not depend on which of them are neighbours.
function(sluice_compile_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${SLUICE_UNITY} UNITY_BUILD_BATCH_SIZE 8)
  # It tells a source from a header by its name, and takes the sources of a batch for headers.
  if(SLUICE_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # A type without a name outside its source, in one that only this source knows.
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
  endif()
endfunction()

# sluice_library(ipc SOURCES ... LIBS ...) makes the static library sluice_ipc, known as sluice::ipc. EXPORT names the set of
# targets that it is installed with, `sluice` if nothing is said.
function(sluice_library name)
  cmake_parse_arguments(arg "" "EXPORT" "SOURCES;LIBS;PRIVATE_LIBS" ${ARGN})
  if(NOT arg_EXPORT)
    set(arg_EXPORT sluice)
  endif()
  add_library(sluice_${name} STATIC ${arg_SOURCES})
  add_library(sluice::${name} ALIAS sluice_${name})
  set_target_properties(sluice_${name} PROPERTIES EXPORT_NAME ${name})
  sluice_library_options(sluice_${name})
  target_include_directories(sluice_${name} PUBLIC
    $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(sluice_${name} PUBLIC ${arg_LIBS} PRIVATE ${arg_PRIVATE_LIBS})
  sluice_compile_options(sluice_${name})
  if("fmt::fmt" IN_LIST arg_PRIVATE_LIBS)
    sluice_precompile(sluice_${name} library)
  endif()
  set(shared "$<OR:$<STREQUAL:$<TARGET_PROPERTY:TYPE>,MODULE_LIBRARY>,$<STREQUAL:$<TARGET_PROPERTY:TYPE>,SHARED_LIBRARY>>")
  target_compile_options(sluice_${name} INTERFACE "$<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,${shared}>:-fno-gnu-unique>")
  # Templates of the standard library that are instantiated in ours are nothing to export either.
  target_link_options(sluice_${name} INTERFACE "$<${shared}:-Wl,--exclude-libs,libsluice_${name}.a>")
  install(TARGETS sluice_${name} EXPORT ${arg_EXPORT} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endfunction()

# sluice_program(market SOURCES ... LIBS ...) makes a program in build/<preset>/bin.
function(sluice_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBS})
  sluice_compile_options(${name})
  if("fmt::fmt" IN_LIST arg_LIBS AND NOT "GTest::gtest" IN_LIST arg_LIBS)
    sluice_precompile(${name} program)
  endif()
endfunction()
