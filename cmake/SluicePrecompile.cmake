# SPDX-License-Identifier: Apache-2.0
# Precompiled headers, each made once for all targets whose flags are the same. They hold nothing of this project.
# CMake's own CMAKE_DISABLE_PRECOMPILE_HEADERS=ON builds without them, which must work too.

# sluice_precompile(TARGET KIND): TARGET reads the precompiled header of KIND. The compiler takes it only if it was
# made with the flags and macros of its reader, so that there is one for each set of them:
#   library  cmake/precompiled/library.hpp, for sluice_library(); the reader links fmt::fmt
#   program  the same header for what is not position-independent; the reader links fmt::fmt
#   test     cmake/precompiled/test.hpp, for sluice_test()
#   lane     the same header for tests that are compiled like the library (see sluice_test)
function(sluice_precompile target kind)
  set(owner sluice_precompiled_${kind})
  if(NOT TARGET ${owner})
    add_library(${owner} OBJECT ${PROJECT_SOURCE_DIR}/cmake/precompiled/nothing.cpp)
    if(kind STREQUAL "library")
      sluice_library_options(${owner})
    endif()
    sluice_compile_options(${owner})
    if(kind MATCHES "library|program")
      set(header library.hpp)
      target_link_libraries(${owner} PRIVATE fmt::fmt)
    else()
      set(header test.hpp)
      target_link_libraries(${owner} PRIVATE GTest::gmock GTest::gtest)
      if(kind STREQUAL "test")
        sluice_light_optimization(${owner})
      endif()
    endif()
    target_precompile_headers(${owner} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/precompiled/${header})
  endif()
  target_precompile_headers(${target} REUSE_FROM ${owner})
endfunction()
